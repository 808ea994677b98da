"""How a queue and a sweep look to a person, and as JSON: tables by :mod:`snaprun.show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from snaprun import show
from snaprun.index.queue import Listing, Waiting
from snaprun.model import SCHEMA, Run
from snaprun.show import Look


def queue_table(found: Listing, runs: Mapping[str, Run], order: Sequence[Waiting], how: Look) -> str:
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


def _why(one: Waiting) -> str:
    """What is worth telling of a place in the queue."""
    words = [f"after {show.short(one.after)}"] if one.after and not one.claimed else []
    words += [f"attempt {one.attempt} of {one.retries + 1}"] if one.attempt > 1 else []
    return ", ".join([*words, *([one.note] if one.note else [])])
