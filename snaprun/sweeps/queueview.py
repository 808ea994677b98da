"""How a queue and a sweep look to a person, and as JSON: tables by :mod:`snaprun.show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from snaprun import show
from snaprun.index.queue import Listing, Waiting
from snaprun.model import SCHEMA, Run
from snaprun.notebooks import parameters
from snaprun.show import Look
from snaprun.sweeps.sweep import Point
from snaprun.sweeps.sweeping import Standing

LOGGED = 12
"""Metrics that are named, where the one asked for is not among them."""


def queue(found: Listing, runs: Mapping[str, Run], order: Sequence[Waiting], how: Look) -> str:
    """The queue as a table, what runs first."""
    rows = []
    for one in order:
        run = runs.get(one.run)
        state = how.style("started", "cyan") if one.claimed else "waits"
        rows.append(
            [
                how.style(show.short(one.run), bold=True),
                state,
                run.notebook if run else "",
                one.group or "",
                _why(one),
                show.pairs(run.params) if run else "",
            ]
        )
    limits = [f"at most {found.jobs} at a time"] if found.jobs else []
    limits += ["paused: snaprun queue resume"] if found.paused else []
    table = show.fit(rows, ["run", "state", "notebook", "sweep", "", "params"], how, give=5)
    return "\n".join([table, *(how.style(line, "yellow") for line in limits)])


def queue_json(found: Listing, runs: Mapping[str, Run]) -> str:
    """The queue as a document: its limits, and its runs in the order of starting."""
    listed = [
        {
            "id": one.run,
            "state": "started" if one.claimed else "waiting",
            "notebook": runs[one.run].notebook if one.run in runs else None,
            "params": runs[one.run].params if one.run in runs else None,
            "group": one.group,
            "jobs": one.jobs,
            "after": one.after,
            "retries": one.retries,
            "attempt": one.attempt,
            "queued": one.queued,
            "note": one.note,
        }
        for one in found.runs
    ]
    return show.as_json({"schema": SCHEMA, "jobs": found.jobs, "paused": found.paused, "runs": listed})


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


def _why(one: Waiting) -> str:
    """What is worth telling of a place in the queue."""
    words = [f"after {show.short(one.after)}"] if one.after and not one.claimed else []
    words += [f"attempt {one.attempt} of {one.retries + 1}"] if one.attempt > 1 else []
    return ", ".join([*words, *([one.note] if one.note else [])])
