"""What people read: numbers, times, tables."""

from __future__ import annotations

import pytest

from snaprun import show
from snaprun.model import Cell, CellError, Details, LeftOut, Metric, Result, Run, RunSpec
from snaprun.show import Columns, Look
from snaprun.statuses import Status

RUN = Run(
    id="4f2a9c1e" + "0" * 32,
    notebook="train.ipynb",
    status=Status.FAILED,
    created="2026-11-22T10:00:00.000000Z",
    commit="1" * 40,
    name="base",
    exit_code=1,
    reason="ZeroDivisionError in cell 2",
    params={"lr": 0.01, "text": "a b", "when": {"$yaml": "2026-01-01"}, "deep": [1, {"a": None}]},
    metrics={"loss": Metric(0.25, 0.125, 2.0, 10)},
    seconds=192.4,
    parent="2" * 40,
    branch="main",
    dirty=True,
    user="ada",
    host="box",
    cells=(Cell(1, "load", "ok", 1.5), Cell(2, "divide", "failed", 0.01)),
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5 s ago"), (300, "5 m ago"), (7200, "2 h ago"), (90000, "1 d ago"), (40 * 86400, "2026-11-22")],
)
def test_ago(seconds: float, text: str) -> None:
    then = 1795341600.0  # 2026-11-22T10:00:00Z
    assert show.age(RUN.created, then + seconds) == text


@pytest.mark.parametrize(
    ("thing", "text"),
    [(0.1, "0.1"), (1e-7, "1e-07"), ("adam", "adam"), ("a b", "a b"), ("", "''"), (" x", "' x'"), (True, "true"),
     (None, "null"), ([1, "b"], '[1,"b"]'), ({"$yaml": ".nan"}, ".nan"), (7, "7")],
)  # fmt: skip
def test_value(thing: object, text: str) -> None:
    assert show.value(thing) == text


def test_history_is_as_wide_as_it_needs_when_piped_and_fits_a_terminal() -> None:
    wide = show.history([RUN], Columns(), Look(), now=0)
    assert wide.splitlines()[0].split() == ["run", "name", "notebook", "status", "exit", "started", "time", "params"]
    assert 'deep=[1,{"a":null}]' in wide
    narrow = show.history([RUN], Columns(), Look(width=80), now=0)
    assert max(map(len, narrow.splitlines())) <= 80
    assert "…" in narrow


def test_history_with_columns() -> None:
    table = show.history([RUN], Columns(params=("lr",), metrics=("loss", "none")), Look(), now=0)
    assert table.splitlines()[0].split()[-3:] == ["lr", "loss", "none"]
    assert table.splitlines()[1].split()[-2:] == ["0.01", "0.25"]


def test_colour_only_where_it_is_wanted() -> None:
    assert "\x1b[" in show.history([RUN], Columns(), Look(colour=True), now=0)
    assert "\x1b[" not in show.history([RUN], Columns(), Look(), now=0)
    assert not show.choose_look(terminal=True, env={"NO_COLOR": "1"}).colour
    assert show.choose_look(terminal=True, env={"NO_COLOR": ""}).colour  # as no-color.org has it
    assert not show.choose_look(terminal=False, env={}).colour


def test_csv_gives_values_not_words() -> None:
    header, row = show.history_csv([RUN], Columns()).splitlines()
    cells = dict(zip(header.split(","), row.split(",")[: header.count(",") + 1], strict=False))
    assert cells["id"] == RUN.id
    assert cells["exit_code"] == "1"
    assert header.endswith("metrics.loss")
    assert row.endswith(",0.25")


def test_show_tells_of_the_failing_cell_and_of_what_was_left_out() -> None:
    error = CellError(2, "ZeroDivisionError", "division by zero", "Traceback: x", "x = 1\nx / 0")
    result = Result(Status.FAILED, 1, cells=RUN.cells, error=error, peak_memory=5_000_000, warnings=("data changed",))
    spec = RunSpec("train.ipynb", RUN.created, given=("lr",), left_out=(LeftOut("big.bin", "too large", 60_000_000),))
    text = show.run_text(Details(RUN, spec, result, {"python": "3.11.7", "packages": {"numpy": "2"}}), Look())
    for part in (
        "4f2a9c1e  train.ipynb  failed  exit 1  3 m 12 s",
        "based on  22222222 (main) with changes",
        "cell 2 failed",
        "    2  x / 0",
        "Traceback: x",
        "big.bin",
        "60.0 MB",
        "data changed",
        "text  a b  (default)",
        "python: 3.11.7",
        "packages: 1 ",
    ):
        assert part in text, part
