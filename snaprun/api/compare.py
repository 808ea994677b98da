"""What ``compare`` and ``plot`` do: many runs as a table, and a metric of them as a chart. No Jupyter package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snaprun import metrics, show
from snaprun.api.history import history, narrow
from snaprun.charts import grid, series
from snaprun.charts.grid import Grid
from snaprun.charts.series import Chart, Curve
from snaprun.context import Door
from snaprun.errors import NothingFound, UsageFault
from snaprun.git.gitrepo import GitRepo
from snaprun.index import selectors
from snaprun.model import Metric, Run, Status
from snaprun.reader import index

PICKS = ("last", "min", "max")
"""Which value of a metric a table can show."""

LABEL_PARAMS = 3
"""Parameters in the label of a curve."""


def runs_of(door: Door, wanted: Sequence[str], filters: Mapping[str, Any], *, now: float) -> list[Run]:
    """The runs that selectors name, or else those that the filters of ``history`` let through, the oldest first.

    Raises:
        DataFault: a selector names no run. NothingFound: no run at all.
    """
    if wanted and narrow(filters):
        raise UsageFault("runs and filters were given", hint="name the runs, or filter them, not both")
    if wanted:
        with index(door) as reader:
            found = [selectors.find(reader, said) for said in wanted]
    else:
        found = history(door, filters, now=now)[::-1]
    kept = [run for run in {run.id: run for run in found}.values() if wanted or run.status is not Status.SAVED]
    if not kept:
        raise NothingFound("no run matches", hint="snaprun history")
    return kept


@dataclass(frozen=True)
class Grouping:
    """Whether runs that differ in nothing but their seed are one row or one curve, and by which parameters instead."""

    mean: bool = False
    by: tuple[str, ...] = ()

    @property
    def on(self) -> bool:
        """Whether there are groups at all."""
        return self.mean or bool(self.by)


def grouping(runs: Sequence[Run], *, mean: bool | None, by: Sequence[str], group: str | None) -> Grouping:
    """How to group: as asked (``mean`` is None: it was not said); the runs of a sweep with seeds over their seeds."""
    return Grouping(grid.seeded(runs) if mean is None and not by and group is not None else bool(mean), tuple(by))


def table(
    door: Door,
    runs: Sequence[Run],
    grouping: Grouping,
    *,
    metrics: Sequence[str] = (),
    pick: str = "last",
    sort: str = "",
) -> Grid:
    """Many runs as a table. ``pick`` is which value of a metric counts; ``sort`` a column, ``-`` the largest first.

    Raises:
        UsageFault: a metric, a parameter to group by or the column to sort by is in none of the runs.
    """
    _known("metric", metrics, {name for run in runs for name in run.metrics})
    _known("parameter", grouping.by, {name for run in runs for name in run.params})
    found = grid.grid(runs, group=grouping.on, by=grouping.by or None, better=door.settings.better, pick=_picker(pick))
    if metrics:
        found = grid.only(found, metrics)
    name = sort.removeprefix("-")
    if name:
        _known("column", [name], {*found.params, *found.metrics})
    return grid.ordered(found, name, largest_first=sort.startswith("-")) if name else found


def chart(
    door: Door, metric: str, runs: Sequence[Run], grouping: Grouping, *, by_time: bool, smooth: float, log: bool
) -> Chart:
    """The curves of a metric over many runs.

    Raises:
        NothingFound: no run has logged it. UsageFault: the smoothing is out of range, or a parameter is in no run.
    """
    if not 0 <= smooth < 1:
        raise UsageFault(f"smoothing by {smooth:g} makes no sense", hint="--smooth takes from 0 to under 1: 0.6")
    _known("parameter", grouping.by, {name for run in runs for name in run.params})
    repo = GitRepo(door.place)
    points = {run.id: metrics.of_run(repo, run.id, run.commit) for run in runs}
    logged = {name for found in points.values() for name in found}
    if metric not in logged:
        names = ", ".join(sorted(logged)[:10])
        raise NothingFound(
            f"none of these runs has logged {metric}", hint=f"they have {names}" if names else "snaprun.log"
        )
    laid_out = grid.grid(runs, group=grouping.on, by=grouping.by or None)
    curves = []
    for row in laid_out.rows:
        said = show.pairs({name: row.params[name] for name in list(row.params)[:LABEL_PARAMS]})
        drawn: list[Curve] = [
            series.curve(_label(run, said), points[run.id][metric], by_time=by_time, smooth=smooth)
            for run in row.runs
            if metric in points[run.id]
        ]
        curves += [series.together(said or "all", drawn)] if grouping.on and drawn else drawn
    return series.chart(metric, curves, by_time=by_time, log=log)


def _picker(pick: str) -> Callable[[Metric], float]:
    def value(metric: Metric) -> float:
        return float(getattr(metric, pick))

    return value


def _known(kind: str, names: Sequence[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            listed = ", ".join(sorted(known)[:10])
            raise UsageFault(
                f"no run has the {kind} {name}", hint=f"there are {listed}" if listed else f"there is no {kind}"
            )


def _label(run: Run, params: str) -> str:
    return " ".join(part for part in (run.name or show.short(run.id), params) if part)
