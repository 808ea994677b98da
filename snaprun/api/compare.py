"""What ``compare`` and ``plot`` do: many runs as a table, and a metric of them as a chart. No Jupyter package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snaprun import metrics, show
from snaprun.api.history import history, is_filtered
from snaprun.charts import grid, series
from snaprun.charts.grid import Grid
from snaprun.charts.series import Chart, Curve
from snaprun.context import Context
from snaprun.errors import NothingFound, UsageFault
from snaprun.git.gitrepo import GitRepo
from snaprun.index import selectors
from snaprun.model import Metric, Run, Status
from snaprun.reader import index

PICKS = ("last", "min", "max")
"""Which value of a metric a table can show."""

LABEL_PARAMS = 3
"""Parameters in the label of a curve."""


def runs_of(context: Context, names: Sequence[str], filters: Mapping[str, Any], *, now: float) -> list[Run]:
    """The runs that selectors name, or else those that the filters of ``history`` let through, the oldest first.

    Raises:
        DataFault: a selector names no run. NothingFound: no run at all.
    """
    if names and is_filtered(filters):
        raise UsageFault("runs and filters were given", hint="name the runs, or filter them, not both")
    if names:
        with index(context) as reader:
            candidates = [selectors.find(reader, name) for name in names]
    else:
        candidates = history(context, filters, now=now)[::-1]
    runs = [run for run in {run.id: run for run in candidates}.values() if names or run.status is not Status.SAVED]
    if not runs:
        raise NothingFound("no run matches", hint="snaprun history")
    return runs


@dataclass(frozen=True)
class GroupRule:
    """Whether runs that differ in nothing but their seed are one row or one curve, and by which parameters instead."""

    mean: bool = False
    by: tuple[str, ...] = ()

    @property
    def is_on(self) -> bool:
        """Whether there are groups at all."""
        return self.mean or bool(self.by)


def choose_rule(runs: Sequence[Run], *, mean: bool | None, by: Sequence[str], group: str | None) -> GroupRule:
    """How to group: as asked (``mean`` is None: it was not said); the runs of a sweep with seeds over their seeds."""
    return GroupRule(
        grid.differ_by_seed(runs) if mean is None and not by and group is not None else bool(mean), tuple(by)
    )


def table(
    context: Context,
    runs: Sequence[Run],
    group_rule: GroupRule,
    *,
    metrics: Sequence[str] = (),
    pick: str = "last",
    sort: str = "",
) -> Grid:
    """Many runs as a table. ``pick`` is which value of a metric counts; ``sort`` a column, ``-`` the largest first.

    Raises:
        UsageFault: a metric, a parameter to group by or the column to sort by is in none of the runs.
    """
    _require_known("metric", metrics, {name for run in runs for name in run.metrics})
    _require_known("parameter", group_rule.by, {name for run in runs for name in run.params})
    run_grid = grid.grid(
        runs, group=group_rule.is_on, by=group_rule.by or None, better=context.settings.better, pick=_picker(pick)
    )
    if metrics:
        run_grid = grid.select_metrics(run_grid, metrics)
    name = sort.removeprefix("-")
    if name:
        _require_known("column", [name], {*run_grid.params, *run_grid.metrics})
    return grid.sort_rows(run_grid, name, largest_first=sort.startswith("-")) if name else run_grid


def chart(
    context: Context,
    metric: str,
    runs: Sequence[Run],
    group_rule: GroupRule,
    *,
    by_time: bool,
    smooth: float,
    log: bool,
) -> Chart:
    """The curves of a metric over many runs.

    Raises:
        NothingFound: no run has logged it. UsageFault: the smoothing is out of range, or a parameter is in no run.
    """
    if not 0 <= smooth < 1:
        raise UsageFault(f"smoothing by {smooth:g} makes no sense", hint="--smooth takes from 0 to under 1: 0.6")
    _require_known("parameter", group_rule.by, {name for run in runs for name in run.params})
    repo = GitRepo(context.place)
    points = {run.id: metrics.of_run(repo, run.id, run.commit) for run in runs}
    metric_names = {name for run_points in points.values() for name in run_points}
    if metric not in metric_names:
        names = ", ".join(sorted(metric_names)[:10])
        raise NothingFound(
            f"none of these runs has logged {metric}", hint=f"they have {names}" if names else "snaprun.log"
        )
    run_grid = grid.grid(runs, group=group_rule.is_on, by=group_rule.by or None)
    curves = []
    for row in run_grid.rows:
        label = show.pairs({name: row.params[name] for name in list(row.params)[:LABEL_PARAMS]})
        run_curves: list[Curve] = [
            series.curve(_label(run, label), points[run.id][metric], by_time=by_time, smooth=smooth)
            for run in row.runs
            if metric in points[run.id]
        ]
        curves += [series.mean_curve(label or "all", run_curves)] if group_rule.is_on and run_curves else run_curves
    return series.chart(metric, curves, by_time=by_time, log=log)


def _picker(pick: str) -> Callable[[Metric], float]:
    def value(metric: Metric) -> float:
        return float(getattr(metric, pick))

    return value


def _require_known(kind: str, names: Sequence[str], choices: set[str]) -> None:
    for name in names:
        if name not in choices:
            choice_list = ", ".join(sorted(choices)[:10])
            raise UsageFault(
                f"no run has the {kind} {name}",
                hint=f"there are {choice_list}" if choice_list else f"there is no {kind}",
            )


def _label(run: Run, params: str) -> str:
    return " ".join(part for part in (run.name or show.short_id(run.id), params) if part)
