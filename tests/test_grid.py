"""Many runs as a table: what differs, groups over seeds, and which is best."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import pytest

from snaprun.charts import grid, tables
from snaprun.model import Metric, Run
from snaprun.show import Look
from snaprun.statuses import Status


def run(
    number: int, status: Status = Status.SUCCEEDED, *, metrics: dict[str, float] | None = None, **params: Any
) -> Run:
    found = {name: Metric(value, value - 1, value + 1, 3) for name, value in (metrics or {}).items()}
    return Run(
        id=f"{number:040x}",
        notebook="a.ipynb",
        status=status,
        created="2026-01-02T03:04:05.000000Z",
        commit="c" * 40,
        name=f"r{number}",
        params=params,
        metrics=found,
    )


SWEEP = [
    run(1, lr=0.1, seed=0, epochs=5, metrics={"loss": 0.30, "acc": 0.90}),
    run(2, lr=0.1, seed=1, epochs=5, metrics={"loss": 0.32, "acc": 0.92}),
    run(3, lr=0.2, seed=0, epochs=5, metrics={"loss": 0.20, "acc": 0.80}),
    run(4, Status.FAILED, lr=0.2, seed=1, epochs=5, metrics={"loss": math.nan}),
]


def test_columns_are_the_parameters_that_differ_and_all_metrics() -> None:
    found = grid.grid(SWEEP)
    assert (found.params, found.metrics, found.constant) == (("lr", "seed"), ("loss", "acc"), {"epochs": 5})
    assert [row.params["lr"] for row in found.rows] == [0.1, 0.1, 0.2, 0.2]
    assert [sorted(row.best) for row in found.rows] == [[], ["acc"], ["loss"], []]


def test_a_run_that_failed_is_not_the_best() -> None:
    failed = run(9, Status.FAILED, lr=0.9, seed=0, epochs=5, metrics={"loss": 0.01})
    assert [sorted(row.best) for row in grid.grid([*SWEEP[:3], failed]).rows] == [[], ["acc"], ["loss"], []]


def test_groups_over_seeds() -> None:
    found = grid.grid(SWEEP[:3], group=True)
    assert found.grouped_by == ("lr",)
    assert [len(row.runs) for row in found.rows] == [2, 1]
    loss = found.rows[0].metrics["loss"]
    assert (loss.mean, loss.n) == (pytest.approx(0.31), 2)
    assert loss.sd == pytest.approx(0.0141421, rel=1e-4)
    assert found.rows[1].metrics["loss"].sd is None
    assert found.rows[0].best == {"acc"}


def test_groups_by_the_callers_choice() -> None:
    found = grid.grid(SWEEP, group=True, by=["epochs"])
    assert len(found.rows) == 1
    assert found.rows[0].statuses == {"succeeded": 3, "failed": 1}
    assert found.rows[0].n == 3
    assert (found.rows[0].metrics["loss"].n, found.rows[0].metrics["loss"].mean) == (3, pytest.approx(0.82 / 3))


def test_the_way_that_is_better_and_the_value_can_be_chosen() -> None:
    found = grid.grid(SWEEP[:3], better=[("loss", "higher")], pick=lambda metric: float(metric.max))
    assert [row.metrics["loss"].mean for row in found.rows] == pytest.approx([1.30, 1.32, 1.20])
    assert ["loss" in row.best for row in found.rows] == [False, True, False]


def test_values_that_only_look_the_same_differ() -> None:
    found = grid.grid([run(1, x=1), run(2, x=1.0), run(3, x=True), run(4)])
    assert found.params == ("x",)
    assert found.rows[3].params == {}


def test_rows_stand_in_the_order_of_a_parameter_numbers_first() -> None:
    table = grid.grid([run(1, x="b"), run(2, x=10**400), run(3, x=math.nan), run(4, x=0.5), run(5), run(6, x="a")])
    order = [row.runs[0].name for row in grid.sort_rows(table, "x").rows]
    assert order == ["r4", "r2", "r6", "r1", "r3", "r5"]


def test_nothing_and_one() -> None:
    assert grid.grid([]).rows == ()
    one = grid.grid([SWEEP[0]])
    assert (one.params, one.rows[0].best) == ((), frozenset())


def test_for_a_terminal() -> None:
    text = tables.text(grid.grid(SWEEP), Look()).split("\n")
    assert text[0].split() == ["run", "name", "status", "lr", "seed", "loss", "acc"]
    assert text[4].split() == ["00000000", "r3", "succeeded", "0.2", "0", "0.2", "*", "0.8"]
    assert text[-1] == "the same in all: epochs=5"
    grouped = tables.text(grid.grid(SWEEP[:3], group=True), Look()).split("\n")
    assert "0.310 ± 0.014 (n=2)" in grouped[2]


def test_csv_json_and_html() -> None:
    rows = list(csv.DictReader(io.StringIO(tables.as_csv(grid.grid(SWEEP[:3], group=True)))))
    assert rows[0]["loss_n"] == "2"
    assert float(rows[0]["loss"]) == pytest.approx(0.31)
    document = json.loads(json.dumps(grid.grid(SWEEP).to_json(), allow_nan=False))
    assert document["schema"] == "snaprun.compare/1"
    assert document["rows"][3]["metrics"]["loss"]["mean"] == {"$yaml": ".nan"}
    page = tables.as_html(grid.grid([run(1, lr="<script>x</script>"), run(2, lr="b")]))
    assert "<script" not in page
    assert "default-src 'none'" in page


def test_hostile_names_do_not_reach_the_terminal() -> None:
    text = tables.text(grid.grid([run(1, **{"a\x1b[2J": "\x1b]0;x\x07"}), run(2)]), Look())
    assert "\x1b" not in text
