"""Ids, prefixes, ``@``, names and result commits: which run each means, and what is said when it means none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from snaprun.errors import DataFault
from snaprun.index import runlist, selectors, store
from snaprun.index.runlist import SqliteReader
from snaprun.statuses import Status
from tests.indexed import oid, run

TWINS = ("abcd1" + "0" * 35, "abcd2" + "0" * 35)
RUNS = [
    run(0, name="base"),
    run(1, status=Status.FAILED),
    run(2, name="base"),
    run(3, status=Status.RUNNING, name="Große Läufe"),
    run(4, id=TWINS[0]),
    run(5, id=TWINS[1]),
    run(6, id=TWINS[0][:39] + "1", name="abcd2"),
    run(7, name="feed"),
    run(8, status=Status.TIMED_OUT),
    run(9, commit=oid(9)),
]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteReader]:
    state = tmp_path_factory.mktemp("state")
    store.open_store(state).rebuild(RUNS)
    with runlist.connect(state) as opened:
        yield opened


@pytest.mark.parametrize(
    ("selector", "number"),
    [
        (oid(3), 3),
        (oid(3)[:4], 3),
        (oid(3).upper()[:12], 3),
        (oid(3, "result"), 3),
        (oid(3, "result")[:8], 3),
        (oid(9)[:8], 9),
        (TWINS[0], 4),
        (TWINS[1][:5], 5),
        ("abcd2", 5),  # an id goes before a name
        ("@", 9),
        ("@~0", 9),
        ("@~9", 0),
        ("@failed", 1),
        ("@succeeded", 9),
        ("@running", 3),
        ("@timed-out", 8),
        ("base", 2),
        (" base ", 2),
        ("feed", 7),
        ("Große Läufe", 3),
    ],
)
def test_finds(reader: SqliteReader, selector: str, number: int) -> None:
    assert selectors.find(reader, selector) == RUNS[number]


@pytest.mark.parametrize(
    ("selector", "message", "hint"),
    [
        ("abcd", "abcd is the start of more than one run", "abcd10000000"),
        ("abcd1", "more than one run", "work/train.ipynb"),
        ("bsae", "no run 'bsae'", "did you mean base?"),
        ("0000", "no run '0000'", "snaprun history"),
        ("abc", "no run 'abc'", ""),
        ("", "no run ''", "snaprun history"),
        ("@~10", "no run @~10", "snaprun history"),
        ("@~-1", "no run @~-1", "@~1"),
        ("@faild", "no run @faild", "did you mean @failed?"),
        ("@lost", "no run is lost", "snaprun history"),
        ("f" * 41, "no run", "snaprun history"),
        ("x' OR '1'='1", "no run", ""),
        ("\0\ud800", "no run", ""),
    ],
)
def test_refuses(reader: SqliteReader, selector: str, message: str, hint: str) -> None:
    with pytest.raises(DataFault) as caught:
        selectors.find(reader, selector)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.code == 65


def test_many_candidates_are_cut_short(tmp_path: Path) -> None:
    store.open_store(tmp_path).rebuild(run(number, id=f"aaaa{number:036}") for number in range(9))
    with runlist.connect(tmp_path) as opened, pytest.raises(DataFault) as caught:
        selectors.find(opened, "aaaa")
    assert caught.value.hint.count("aaaa") == 5
    assert caught.value.hint.endswith("…")


def test_an_empty_index(tmp_path: Path) -> None:
    store.open_store(tmp_path).rebuild([])
    with runlist.connect(tmp_path) as opened:
        for selector in ("@", "@running", "abcd", "name"):
            with pytest.raises(DataFault, match="no run"):
                selectors.find(opened, selector)
