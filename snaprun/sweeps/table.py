"""Show sweeps and searches, before they begin and while they go, to a person and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from snaprun import show
from snaprun.model import SCHEMA, short_id
from snaprun.notebooks import parameters
from snaprun.quantities import format_duration
from snaprun.show import Look
from snaprun.sweeps import searchfile
from snaprun.sweeps.points import Point
from snaprun.sweeps.searchplan import SearchPlan, SearchProgress
from snaprun.sweeps.space import Dimension
from snaprun.sweeps.sweepplan import SweepProgress

TALLIES = {
    "running": "cyan",
    "waiting": None,
    "succeeded": "green",
    "pruned": "yellow",
    "failed": "red",
    "stopped": "yellow",
}
"""The words under which runs are counted, and their colours: :attr:`snaprun.statuses.Status.tally`, and the pruned."""

VALUES_MOST = 12
"""Values of an axis that are written out; of more, the first and the last."""


def space(plan: SearchPlan, look: Look) -> str:
    """What a search that has not begun draws from."""
    rows = [[dimension.name, _values(dimension), _kind(dimension)] for dimension in plan.dimensions]
    rows += [[name, show.value(value), "the same for all"] for name, value in plan.constants.items()]
    aim = "highest" if plan.goal.highest else "lowest"
    points = "no end of points" if plan.size is None else f"{plan.size:,} points"
    line = f"{plan.goal.trials} trials of {points}, for the {aim} {plan.goal.metric}"
    return f"{show.fit(rows, ['parameter', 'values', ''], look, shrink_column=1)}\n{line}"


def space_json(plan: SearchPlan) -> str:
    """What a search that has not begun draws from, as a document; spans have bounds, the others values."""
    axes: list[dict[str, Any]] = [
        {"name": dimension.name, **parameters.to_json({"values": list(dimension.values)})}
        if dimension.values
        else {
            "name": dimension.name,
            "low": dimension.low,
            "high": dimension.high,
            "whole": dimension.whole,
            "log": dimension.log,
        }
        for dimension in plan.dimensions
    ]
    goal = plan.goal
    goal_data = {"search": goal.name, "metric": goal.metric, "direction": "maximize" if goal.highest else "minimize"}
    space_data = {
        "trials": goal.trials,
        "points": plan.size,
        "axes": axes,
        "params": parameters.to_json(plan.constants),
    }
    return show.as_json({"schema": SCHEMA, **goal_data, **space_data})


def search(progress: SearchProgress, look: Look) -> str:
    """How a search goes, in a few lines."""
    sweep = progress.sweep
    words = _tally(sweep, look, prune_count=progress.prune_count)
    complete_count = sum(run.status.over for run in progress.runs)
    line = (
        f"{complete_count} of {progress.search.trials} trials done: {words}"
        if words
        else f"0 of {progress.search.trials} trials done"
    )
    if sweep.seconds_left is not None and not progress.over:
        line += f"; about {format_duration(sweep.seconds_left)} left"
    best_line = best(
        sweep, progress.search.metric, [dimension.name for dimension in progress.search.dimensions], over=progress.over
    )
    return "\n".join(filter(None, [line, _end(progress, look), best_line]))


def _end(progress: SearchProgress, look: Look) -> str:
    """Why it ended before its time, or does not go on."""
    if progress.trouble:
        return look.style(f"the search waits, as it cannot go on: {progress.trouble}", "yellow")
    if not progress.over:
        return ""
    return {
        searchfile.STATE_EXHAUSTED: "every point has been tried",
        searchfile.STATE_STOPPED: "the search was stopped",
        searchfile.STATE_FAILED: look.style(f"the search ended early: {progress.search.why}", "red"),
    }.get(progress.search.state, "")


def _values(dimension: Dimension) -> str:
    if not dimension.values:
        return f"{dimension.low:g} .. {dimension.high:g}"
    if len(dimension.values) <= VALUES_MOST:
        return ", ".join(show.value(value) for value in dimension.values)
    return f"{show.value(dimension.values[0])}, {show.value(dimension.values[1])} .. {show.value(dimension.values[-1])}"


def _kind(dimension: Dimension) -> str:
    if dimension.labels:
        return "one of them"
    if dimension.values:
        return "in order"
    return ", ".join(
        filter(None, ["whole" if dimension.whole else "", "by order of magnitude" if dimension.log else ""])
    )


METRICS_MOST = 12
"""Metrics that are named, where the one asked for is not among them."""


def points(sweep_points: Sequence[Point], axes: Sequence[str], look: Look) -> str:
    """The runs of a sweep that has not begun."""
    rows = [
        [str(point.number + 1), *(show.value(point.params[name]) if name in point.params else "" for name in axes)]
        for point in sweep_points
    ]
    return show.fit(rows, ["", *axes], look)


def points_json(sweep_points: Sequence[Point]) -> str:
    """The runs of a sweep that has not begun, as a document."""
    entries: list[dict[str, Any]] = [
        {"number": point.number, "set": point.set, "seed": point.seed, "params": parameters.to_json(point.params)}
        for point in sweep_points
    ]
    return show.as_json({"schema": SCHEMA, "runs": entries})


def sweep(progress: SweepProgress, axes: Sequence[str], metric: str | None, look: Look) -> str:
    """How a sweep goes, in a few lines."""
    complete_count = sum(run.status.over for run in progress.runs)
    line = f"{complete_count} of {len(progress.runs)} done: {_tally(progress, look)}"
    if progress.seconds_left is not None and not progress.over:
        line += f"; about {format_duration(progress.seconds_left)} left"
    return "\n".join(filter(None, [line, best(progress, metric, axes, over=progress.over) if metric else ""]))


def _tally(progress: SweepProgress, look: Look, *, prune_count: int = 0) -> str:
    """How many runs there are of each kind, in words; pruned ones were stopped, and are counted apart."""
    counts = Counter(run.status.tally for run in progress.runs)
    counts.update(pruned=prune_count, stopped=-prune_count)
    return ", ".join(look.style(f"{counts[word]} {word}", TALLIES[word]) for word in TALLIES if counts[word])


def best(progress: SweepProgress, metric: str, axes: Sequence[str], *, over: bool) -> str:
    """The best run with what was chosen for it; what the runs log instead, where none logs the metric."""
    if progress.best is not None:
        params = {name: progress.best.params[name] for name in axes if name in progress.best.params}
        value = progress.best.metrics[metric].last
        return f"best {metric} {value:.6g}: {short_id(progress.best.id)}  {show.pairs(params)}"
    if not over:
        return ""
    metric_names = list(dict.fromkeys(name for run in progress.runs for name in run.metrics))
    suffix = (
        f"; they log {', '.join(metric_names[:METRICS_MOST])}" if metric_names and metric not in metric_names else ""
    )
    return f"no run that succeeded has logged {metric}{suffix}"
