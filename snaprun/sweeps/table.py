"""How a search looks to a person, and as JSON: tables by :mod:`snaprun.show`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from snaprun import show
from snaprun.model import SCHEMA
from snaprun.notebooks import parameters
from snaprun.show import Look
from snaprun.sweeps import searchfile
from snaprun.sweeps.points import Point
from snaprun.sweeps.search import Course, Plan
from snaprun.sweeps.space import Dimension
from snaprun.sweeps.sweepplan import Standing

SHOWN = 12
"""Values of an axis that are written out; of more, the first and the last."""


def space(planned: Plan, how: Look) -> str:
    """What a search that has not begun draws from."""
    rows = [[one.name, _values(one), _kind(one)] for one in planned.dimensions]
    rows += [[name, show.value(value), "the same for all"] for name, value in planned.fixed.items()]
    aim = "highest" if planned.goal.highest else "lowest"
    points = "no end of points" if planned.size is None else f"{planned.size:,} points"
    line = f"{planned.goal.trials} trials of {points}, for the {aim} {planned.goal.metric}"
    return f"{show.fit(rows, ['parameter', 'values', ''], how, give=1)}\n{line}"


def space_json(planned: Plan) -> str:
    """What a search that has not begun draws from, as a document; spans have bounds, the others values."""
    axes: list[dict[str, Any]] = [
        {"name": one.name, **parameters.to_json({"values": list(one.values)})}
        if one.values
        else {"name": one.name, "low": one.low, "high": one.high, "whole": one.whole, "log": one.log}
        for one in planned.dimensions
    ]
    goal = planned.goal
    about = {"search": goal.name, "metric": goal.metric, "direction": "maximize" if goal.highest else "minimize"}
    more = {"trials": goal.trials, "points": planned.size, "axes": axes, "params": parameters.to_json(planned.fixed)}
    return show.as_json({"schema": SCHEMA, **about, **more})


def search(now: Course, how: Look) -> str:
    """How a search goes, in a few lines."""
    standing, pruned = now.standing, now.pruned
    counts = [
        (standing.count("running"), "running", "cyan"),
        (standing.count("queued"), "waiting", None),
        (standing.count("succeeded"), "succeeded", "green"),
        (pruned, "pruned", "yellow"),
        (standing.count("failed", "timed-out", "lost"), "failed", "red"),
        (standing.count("stopped", "saved") - pruned, "stopped", "yellow"),
    ]
    done = len(now.runs) - standing.count("running", "queued")
    words = ", ".join(how.style(f"{count} {word}", colour) for count, word, colour in counts if count)
    line = f"{done} of {now.search.trials} trials done: {words}" if words else f"0 of {now.search.trials} trials done"
    if standing.left is not None and not now.over:
        line += f"; about {show.duration(standing.left)} left"
    best_line = best(standing, now.search.metric, [one.name for one in now.search.dimensions], over=now.over)
    return "\n".join(filter(None, [line, _end(now, how), best_line]))


def _end(now: Course, how: Look) -> str:
    """Why it ended before its time, or does not go on."""
    if now.trouble:
        return how.style(f"the search waits, as it cannot go on: {now.trouble}", "yellow")
    if not now.over:
        return ""
    return {
        searchfile.EXHAUSTED: "every point has been tried",
        searchfile.STOPPED: "the search was stopped",
        searchfile.FAILED: how.style(f"the search ended early: {now.search.why}", "red"),
    }.get(now.search.state, "")


def _values(one: Dimension) -> str:
    if not one.values:
        return f"{one.low:g} .. {one.high:g}"
    if len(one.values) <= SHOWN:
        return ", ".join(show.value(value) for value in one.values)
    return f"{show.value(one.values[0])}, {show.value(one.values[1])} .. {show.value(one.values[-1])}"


def _kind(one: Dimension) -> str:
    if one.labels:
        return "one of them"
    if one.values:
        return "in order"
    return ", ".join(filter(None, ["whole" if one.whole else "", "by order of magnitude" if one.log else ""]))


LOGGED = 12
"""Metrics that are named, where the one asked for is not among them."""


def points(made: Sequence[Point], axes: Sequence[str], how: Look) -> str:
    """The runs of a sweep that has not begun."""
    rows = [
        [str(point.number + 1), *(show.value(point.params[name]) if name in point.params else "" for name in axes)]
        for point in made
    ]
    return show.fit(rows, ["", *axes], how)


def points_json(made: Sequence[Point]) -> str:
    """The runs of a sweep that has not begun, as a document."""
    listed: list[dict[str, Any]] = [
        {"number": point.number, "set": point.set, "seed": point.seed, "params": parameters.to_json(point.params)}
        for point in made
    ]
    return show.as_json({"schema": SCHEMA, "runs": listed})


def sweep(now: Standing, axes: Sequence[str], metric: str | None, how: Look) -> str:
    """How a sweep goes, in a few lines."""
    counts = [
        (now.count("running"), "running", "cyan"),
        (now.count("queued"), "waiting", None),
        (now.count("succeeded"), "succeeded", "green"),
        (now.count("failed", "timed-out", "lost"), "failed", "red"),
        (now.count("stopped", "saved"), "stopped", "yellow"),
    ]
    done = len(now.runs) - now.count("running", "queued")
    words = ", ".join(how.style(f"{count} {word}", colour) for count, word, colour in counts if count)
    line = f"{done} of {len(now.runs)} done: {words}"
    if now.left is not None and not now.over:
        line += f"; about {show.duration(now.left)} left"
    return "\n".join(filter(None, [line, best(now, metric, axes, over=now.over) if metric else ""]))


def best(now: Standing, metric: str, axes: Sequence[str], *, over: bool) -> str:
    """The best run with what was chosen for it; what the runs log instead, where none logs the metric."""
    if now.best is not None:
        given = {name: now.best.params[name] for name in axes if name in now.best.params}
        return f"best {metric} {now.best.metrics[metric].last:.6g}: {show.short(now.best.id)}  {show.pairs(given)}"
    if not over:
        return ""
    logged = list(dict.fromkeys(name for run in now.runs for name in run.metrics))
    others = f"; they log {', '.join(logged[:LOGGED])}" if logged and metric not in logged else ""
    return f"no run that succeeded has logged {metric}{others}"
