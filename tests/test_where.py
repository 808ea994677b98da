"""``--where`` and ``--sort``: what they find, what they refuse, and that no value ever becomes SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snaprun.errors import UsageFault
from snaprun.index import runlist, store, where
from snaprun.index.runlist import Filter, SqliteReader
from tests.filters import FOUND, NOW, RUNS

REFUSED = [
    ("", "a name is missing, at character 1"),
    ("lr", "an operator is missing"),
    ("lr <", "a value is missing"),
    ("lr < 0.1 and", "a name is missing"),
    ("lr 0.1", "an operator is expected, not '0.1', at character 4"),
    ("(lr < 1", "')' is missing"),
    ("lr < 1)", "')' is not expected"),
    ("lr in 3", "a list is expected"),
    ("lr in (1, 2]", "')' is missing"),
    ("lr in ()", "a value is expected, not ')'"),
    ("lr in", "a list is missing"),
    ("lr not 3", "an operator is expected, not 'not'"),
    ("and == 3", "a name is expected, not 'and'"),
    ("x == or", "a value is expected, not 'or'"),
    ('name == "a', "a quote is not closed, at character 9"),
    ("a == 1 !", "'!' means nothing here, at character 8"),
    ("exit_code == zero", "exit_code is a number"),
    ("seconds == soon", "seconds is a duration"),
    ("created == soon", "created is a time"),
    ("created > 2023-13-40", "created is a time"),
    ("status == faild", "did you mean failed?"),
    ("dirty == 1", "dirty is true or false"),
    ("dirty < true", "dirty is true or false"),
    ("deep < true", "true and false compare with == and !="),
    ("lr < none", "none compares with == and !="),
    ("seconds ~ 1", "~ compares text"),
    ("tag < x", "tags compare with"),
    ("params. == 1", "'params.' is no name"),
    ('"" == 1', "is no name"),
    ("(" * 30 + "a == 1" + ")" * 30, "more than 20 levels"),
    ("not " * 30 + "a == 1", "more than 20 levels"),
    (" or ".join(["a == 1"] * 201), "more than 200 comparisons"),
    ("a in (" + ",".join("1" * 201) + ")", "more than 200 comparisons"),
    ("a" * 10_001, "longer than"),
]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteReader]:
    state = tmp_path_factory.mktemp("state")
    store.open_store(state).rebuild(RUNS.values())
    with runlist.connect(state) as opened:
        yield opened


@pytest.mark.parametrize(("text", "names"), FOUND)
def test_finds(reader: SqliteReader, text: str, names: str) -> None:
    condition = where.compile(text, now=NOW)
    found = runlist.query(reader, Filter(where=condition))
    assert "".join(sorted(run.name or "" for run in found)) == names


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(UsageFault) as caught:
        where.compile(text, now=NOW)
    assert message in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_largest_condition_still_runs(reader: SqliteReader) -> None:
    text = " and ".join(["loss.min < 0.5"] * 100 + ["lr not in (1, 2)"] * 50)
    assert runlist.query(reader, Filter(where=where.compile(text, now=NOW), sort=where.order("loss.min"))) is not None
    deep = "(" * 18 + "loss.min < 0.5 or lr in (1, 2) and not tag == x" + ")" * 18
    assert runlist.query(reader, Filter(where=where.compile(deep, now=NOW))) is not None


def test_names_what_it_compares() -> None:
    assert where.compile("lr < 1 and metrics.loss.min > 2 and status == failed or lr > 3", now=NOW).names == (
        "lr",
        "loss",
    )


WORDS = """lr loss.min metrics. params.x status created tag dirty seconds id == < ~ !~ in not and or ( ) [ ] , 0.1 2h
none failed true " ' a'b "x" 2026-11-22 2026-11-22T25:00 9999-12-31 0001-01-01 1e999 999999999w \\ \0 é \ud800"""
PIECES = st.sampled_from(WORDS.split())


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map(" ".join), st.lists(PIECES).map("".join)))
def test_any_text_is_a_condition_or_a_usage_fault(reader: SqliteReader, text: str) -> None:
    try:
        condition = where.compile(text, now=NOW)
    except UsageFault:
        return
    runlist.query(reader, Filter(where=condition))


@settings(max_examples=200)
@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30), st.floats(allow_nan=False))
def test_values_stay_out_of_the_sql(name: str, text: str, number: float) -> None:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    one = where.compile(f"{quoted(name)} == {quoted(text)} or {quoted(name)} < {number!r}", now=NOW)
    other = where.compile('"n" == "v" or "n" < 1', now=NOW)
    assert one.sql == other.sql
    assert sqlite3.complete_statement(f"SELECT {one.sql};")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=30))
def test_any_sort_name_sorts_or_is_refused(reader: SqliteReader, name: str) -> None:
    try:
        found = runlist.query(reader, Filter(sort=where.order(name)))
    except UsageFault:
        return
    assert len(found) == len(RUNS)


@pytest.mark.parametrize(
    ("sort", "ascending", "names"),
    [
        ("lr", False, "abced"),  # numbers, then text, then those without, newest first
        ("lr", True, "baced"),
        ("loss", True, "ebadc"),
        ("metrics.loss.min", True, "a"),
        ("seconds", False, "e"),
        ("name", True, "abcde"),
        ("created", True, "abcde"),
        ("status", True, "b"),
    ],
)
def test_sorts(reader: SqliteReader, sort: str, ascending: bool, names: str) -> None:
    found = runlist.query(reader, Filter(sort=where.order(sort), ascending=ascending))
    order = "".join(run.name or "" for run in found)
    assert len(order) == 5
    assert order.startswith(names)


def test_tags_have_no_order() -> None:
    with pytest.raises(UsageFault, match="tags have no order"):
        where.order("tags")
    with pytest.raises(UsageFault, match="--sort"):
        where.order("lr desc")


def test_state_folder_is_not_needed(tmp_path: Path) -> None:
    assert where.compile("lr < 1", now=0).values == {"w0": "lr", "w1": 1.0}
