"""Put many runs into one table: the parameters that differ, every metric, groups over seeds, the best marked. Pure."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from snaprun.diffs.direction import direction
from snaprun.model import Run
from snaprun.notebooks import exact
from snaprun.quantities import is_number

SCHEMA = "snaprun.compare/1"

SEEDS = frozenset(("seed", "random_seed", "random_state", "rng_seed", "np_seed", "torch_seed"))
"""Parameters that make repetitions of one setting, so that runs are grouped over them."""


@dataclass(frozen=True)
class Summary:
    """The values of a metric in a row: one of a run, or those of a group. ``sd`` is of a sample, None for one value."""

    mean: float
    sd: float | None
    n: int
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One run, or the runs of a group. ``best`` names the metrics in which no row is better."""

    runs: tuple[Run, ...]
    params: Mapping[str, Any]
    metrics: Mapping[str, Summary]
    best: frozenset[str] = frozenset()

    @property
    def n(self) -> int:
        """How many of the runs succeeded: in a group only those count."""
        return sum(run.status.good for run in self.runs)

    @property
    def statuses(self) -> dict[str, int]:
        """How many of the runs ended how."""
        counts: dict[str, int] = {}
        for run in self.runs:
            counts[run.status.value] = counts.get(run.status.value, 0) + 1
        return counts


@dataclass(frozen=True)
class Grid:
    """The table: ``params`` differ between runs, ``constant`` do not; ``grouped_by`` is None where a row is a run.

    Parameters are as JSON has them, as in :class:`snaprun.model.Run`.
    """

    params: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    constant: Mapping[str, Any]
    grouped_by: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """The document of ``compare --json``."""
        return {
            "schema": SCHEMA,
            "params": list(self.params),
            "metrics": list(self.metrics),
            "constant": dict(self.constant),
            "grouped_by": None if self.grouped_by is None else list(self.grouped_by),
            "rows": [
                {
                    "runs": [run.id for run in row.runs],
                    "names": [run.name for run in row.runs],
                    "n": row.n,
                    "statuses": row.statuses,
                    "params": dict(row.params),
                    "metrics": {name: _summary_json(summary) for name, summary in row.metrics.items()},
                    "best": sorted(row.best),
                }
                for row in self.rows
            ],
        }


def grid(
    runs: Sequence[Run],
    *,
    group: bool = False,
    by: Sequence[str] | None = None,
    better: Sequence[tuple[str, str]] = (),
    pick: Callable[[Any], float] = lambda metric: float(metric.last),
) -> Grid:
    """The table of ``runs``, in their order; with ``group`` one row a setting, by the parameters ``by``.

    ``by`` is by default every parameter that differs, seeds aside. ``pick`` takes the value of a metric, its last one
    by default. A group's row stands where its first run stood; runs that did not succeed are in it and do not count:
    what they logged last is not what the setting leads to.
    """
    names = _in_order(run.params for run in runs)
    varying_names = tuple(name for name in names if not _all_equal([_exact_text(run.params, name) for run in runs]))
    keys = tuple(by) if by is not None else tuple(name for name in varying_names if name not in SEEDS)
    groups: dict[str, list[Run]] = {}
    for run in runs:
        key = json.dumps([_exact_text(run.params, name) for name in keys]) if group else run.id
        groups.setdefault(key, []).append(run)
    metrics = _in_order(run.metrics for run in runs)
    rows = []
    for members in groups.values():
        samples = [run for run in members if run.status.good] if group else members
        rows.append(_row(members, samples, keys if group else varying_names, metrics, pick))
    return Grid(
        params=keys if group else varying_names,
        metrics=metrics,
        rows=tuple(_mark_best(rows, metrics, better)),
        constant={name: runs[0].params[name] for name in names if name not in varying_names} if runs else {},
        grouped_by=keys if group else None,
    )


def select_metrics(grid: Grid, metrics: Sequence[str]) -> Grid:
    """The table with these metrics alone, in this order."""
    rows = tuple(
        replace(row, metrics={name: row.metrics[name] for name in metrics if name in row.metrics}) for row in grid.rows
    )
    return replace(grid, metrics=tuple(metrics), rows=rows)


def sort_rows(grid: Grid, name: str, *, largest_first: bool = False) -> Grid:
    """The rows in the order of a metric or a parameter; those without it stand last."""

    def value(row: Row) -> Any:
        return row.metrics[name].mean if name in row.metrics else row.params.get(name)

    rows = list(grid.rows)
    numbers = [row for row in rows if is_number(value(row))]
    texts = [row for row in rows if not is_number(value(row)) and value(row) is not None]
    numbers.sort(key=value, reverse=largest_first)
    texts.sort(key=lambda row: str(value(row)), reverse=largest_first)
    return replace(grid, rows=(*numbers, *texts, *(row for row in rows if value(row) is None)))


def differ_by_seed(runs: Sequence[Run]) -> bool:
    """Whether some of the runs differ in nothing but their seed."""
    settings = {json.dumps([(name, run.params[name]) for name in run.params if name not in SEEDS]) for run in runs}
    return len(settings) < len(runs) and any(name in SEEDS for run in runs for name in run.params)


def _row(
    runs: Sequence[Run],
    samples: Sequence[Run],
    params: Sequence[str],
    metrics: Sequence[str],
    pick: Callable[[Any], float],
) -> Row:
    summaries = {}
    for name in metrics:
        values = [pick(run.metrics[name]) for run in samples if name in run.metrics]
        if values:
            summaries[name] = summary(values)
    return Row(tuple(runs), {name: runs[0].params[name] for name in params if name in runs[0].params}, summaries)


def summary(values: Sequence[float]) -> Summary:
    """Mean, standard deviation of a sample, number, smallest and largest of at least one value; NaN makes NaN."""
    if not all(map(math.isfinite, values)):
        mean = values[0] if len(values) == 1 else math.nan
        return Summary(mean, None, len(values), min(values), max(values))
    sd = statistics.stdev(values) if len(values) > 1 else None
    return Summary(statistics.fmean(values), sd, len(values), min(values), max(values))


def _mark_best(rows: Sequence[Row], metrics: Sequence[str], better: Sequence[tuple[str, str]]) -> list[Row]:
    """The rows with the best of each metric marked, where it is known which way is better and rows differ.

    What did not succeed is not the best, whatever it had logged.
    """
    best: dict[int, set[str]] = {}
    for name in metrics:
        way = direction(name, better)
        values = {
            number: row.metrics[name].mean
            for number, row in enumerate(rows)
            if row.n and name in row.metrics and math.isfinite(row.metrics[name].mean)
        }
        if way is None or len(values) < 2 or len(set(values.values())) == 1:
            continue
        top = min(values.values()) if way == "lower" else max(values.values())
        for number, value in values.items():
            if value == top:
                best.setdefault(number, set()).add(name)
    return [Row(row.runs, row.params, row.metrics, frozenset(best.get(number, ()))) for number, row in enumerate(rows)]


def _in_order(mappings: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Every name in the order of first appearance."""
    return tuple(dict.fromkeys(name for mapping in mappings for name in mapping))


def _exact_text(params: Mapping[str, Any], name: str) -> str | None:
    """A value as exact text; None where there is none."""
    return json.dumps(params[name], sort_keys=True) if name in params else None


def _all_equal(values: Sequence[str | None]) -> bool:
    return len(set(values)) <= 1


def _summary_json(summary: Summary) -> dict[str, Any]:
    return {
        "mean": exact.to_json(summary.mean),
        "sd": summary.sd,
        "n": summary.n,
        "min": exact.to_json(summary.low),
        "max": exact.to_json(summary.high),
    }
