"""Compare many runs: as a table, and a metric of them as a chart. No Jupyter package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from snaprun import metrics
from snaprun.api.history import HistoryOptions, history
from snaprun.charts import grid, series
from snaprun.charts.grid import Grid
from snaprun.charts.series import Chart, Curve
from snaprun.context import Context
from snaprun.errors import NothingFound, UsageFault
from snaprun.git.gitrepo import GitRepo
from snaprun.index.selectors import find
from snaprun.model import Metric, Run
from snaprun.reader import index


@dataclass(frozen=True)
class CompareOptions:
    """Which runs to compare, and as which table.

    ``runs`` are selectors, where there are any in place of a filter. ``mean`` puts runs together that differ in nothing
    but their seed (None: where the filter is for a sweep with seeds), ``by`` those that agree in these parameters.
    ``metrics`` are the ones to show, all of them by default; ``pick`` is which value of a metric counts; ``sort`` is a
    parameter or a metric, ``-`` before it for the largest first.
    """

    runs: Sequence[str] = ()
    mean: bool | None = None
    by: Sequence[str] = ()
    metrics: Sequence[str] = ()
    pick: Literal["last", "min", "max"] = "last"
    sort: str | None = None


@dataclass(frozen=True)
class PlotOptions:
    """Of which runs to draw a metric, and how; ``runs``, ``mean`` and ``by`` are as for :class:`CompareOptions`.

    ``x`` is what lies on the x axis: the step, or the seconds since a run's first value. ``smooth`` is the weight of
    the values before, from 0 (not smooth at all) to under 1; ``log`` makes the y axis logarithmic.
    """

    runs: Sequence[str] = ()
    mean: bool | None = None
    by: Sequence[str] = ()
    x: Literal["step", "time"] = "step"
    smooth: float = 0.0
    log: bool = False


def compare(
    context: Context,
    options: CompareOptions = CompareOptions(),
    filters: HistoryOptions = HistoryOptions(),
    *,
    now: float,
) -> Grid:
    """Many runs as a table, the oldest first; ``now`` is in seconds since 1970, as for :func:`history`.

    Raises:
        UsageFault: runs are both named and filtered; or a metric, a parameter to group by or the column to sort by is
            in none of them. DataFault: a selector names no run. NothingFound: no run at all.
    """
    runs = _find_runs(context, options.runs, filters, now)
    is_grouped = _is_grouped(runs, options.mean, options.by, filters)
    _require_known("metric", options.metrics, {name for run in runs for name in run.metrics})
    _require_known("parameter", options.by, {name for run in runs for name in run.params})
    run_grid = grid.grid(
        runs, group=is_grouped, by=options.by or None, better=context.settings.better, pick=_picker(options.pick)
    )
    if options.metrics:
        run_grid = grid.select_metrics(run_grid, options.metrics)
    name = (options.sort or "").removeprefix("-")
    if not name:
        return run_grid
    _require_known("column", [name], {*run_grid.params, *run_grid.metrics})
    return grid.sort_rows(run_grid, name, largest_first=name != options.sort)


def plot(
    context: Context,
    metric: str,
    options: PlotOptions = PlotOptions(),
    filters: HistoryOptions = HistoryOptions(),
    *,
    now: float,
) -> Chart:
    """The curves of a metric over many runs; of a run in progress, as far as it is.

    Raises:
        NothingFound: no run at all, or none has logged it. DataFault: a selector names no run.
        UsageFault: runs are both named and filtered, the smoothing is out of range, or a parameter is in no run.
    """
    runs = _find_runs(context, options.runs, filters, now)
    is_grouped = _is_grouped(runs, options.mean, options.by, filters)
    if not 0 <= options.smooth < 1:
        text = f"smoothing by {options.smooth:g} makes no sense"
        raise UsageFault(text, hint="--smooth takes from 0 to under 1: 0.6")
    _require_known("parameter", options.by, {name for run in runs for name in run.params})
    repo = GitRepo(context.place)
    points = {run.id: metrics.points_of_run(repo, run.id, run.commit) for run in runs}
    metric_names = {name for run_points in points.values() for name in run_points}
    if metric not in metric_names:
        names = ", ".join(sorted(metric_names)[:10])
        raise NothingFound(
            f"none of these runs has logged {metric}", hint=f"they have {names}" if names else "snaprun.log"
        )
    by_time = options.x == "time"
    run_grid = grid.grid(runs, group=is_grouped, by=options.by or None)
    curves = []
    for row in run_grid.rows:
        label = series.setting_label(row.params)
        run_curves: list[Curve] = [
            series.curve(series.run_label(run, label), points[run.id][metric], by_time=by_time, smooth=options.smooth)
            for run in row.runs
            if metric in points[run.id]
        ]
        curves += [series.mean_curve(label or "all", run_curves)] if is_grouped and run_curves else run_curves
    return series.chart(metric, curves, by_time=by_time, log=options.log)


def _find_runs(context: Context, selectors: Sequence[str], filters: HistoryOptions, now: float) -> list[Run]:
    """The runs that selectors name, or else those that a filter lets through, the oldest first."""
    if selectors and filters.is_filtered:
        raise UsageFault("runs and filters were given", hint="name the runs, or filter them, not both")
    if selectors:
        with index(context) as reader:
            candidates = [find(reader, selector) for selector in selectors]
    else:
        candidates = history(context, filters, now=now)[::-1]
    runs = [run for run in {run.id: run for run in candidates}.values() if selectors or run.status.launched]
    if not runs:
        raise NothingFound("no run matches", hint="snaprun history")
    return runs


def _is_grouped(runs: Sequence[Run], mean: bool | None, by: Sequence[str], filters: HistoryOptions) -> bool:
    """Whether a row or a curve stands for several runs: where that is asked for, or for a sweep with seeds."""
    if by:
        return True
    return grid.differ_by_seed(runs) if mean is None and filters.group is not None else bool(mean)


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
