"""Show the queue as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping

from snaprun import show
from snaprun.index.queue import QueuedRun, QueueListing
from snaprun.model import SCHEMA, Run, short_id
from snaprun.show import Look


def queue_table(listing: QueueListing, runs: Mapping[str, Run], look: Look) -> str:
    """The queue as a table, what runs first."""
    rows = []
    for entry in sorted(listing.runs, key=lambda entry: (not entry.is_claimed, entry.position)):
        run = runs.get(entry.run)
        state = look.style("started", "cyan") if entry.is_claimed else "waits"
        rows.append(
            [
                look.style(short_id(entry.run), bold=True),
                state,
                run.notebook if run else "",
                entry.group or "",
                _entry_note(entry),
                show.pairs(run.params) if run else "",
            ]
        )
    limits = [f"at most {listing.jobs} at a time"] if listing.jobs else []
    limits += ["paused: snaprun queue resume"] if listing.is_paused else []
    table = show.fit(rows, ["run", "state", "notebook", "sweep", "", "params"], look, shrink_column=5)
    return "\n".join([table, *(look.style(line, "yellow") for line in limits)])


def queue_json(listing: QueueListing, runs: Mapping[str, Run]) -> str:
    """The queue as a document: its limits, and its runs in the order of starting."""
    entries = [
        {
            "id": entry.run,
            "state": "started" if entry.is_claimed else "waiting",
            "notebook": runs[entry.run].notebook if entry.run in runs else None,
            "params": runs[entry.run].params if entry.run in runs else None,
            "group": entry.group,
            "jobs": entry.jobs,
            "after": entry.after,
            "retries": entry.retries,
            "attempt": entry.attempt,
            "queued": entry.queued_at,
            "note": entry.note,
        }
        for entry in listing.runs
    ]
    return show.as_json({"schema": SCHEMA, "jobs": listing.jobs, "paused": listing.is_paused, "runs": entries})


def _entry_note(entry: QueuedRun) -> str:
    """What is worth telling of a place in the queue."""
    words = [f"after {short_id(entry.after)}"] if entry.after and not entry.is_claimed else []
    words += [f"attempt {entry.attempt} of {entry.retries + 1}"] if entry.attempt > 1 else []
    return ", ".join([*words, *([entry.note] if entry.note else [])])
