"""Read the queue: which runs wait for their turn, and why. Standard library only.

The queue lives in the index. No daemon serves it: whoever queues a run, ends one or looks at runs wakes a dispatcher,
which goes away when there is nothing left. :mod:`snaprun.index.claims` changes the queue,
:mod:`snaprun.queue.dispatcher` serves it.
"""

from __future__ import annotations

from dataclasses import dataclass

from snaprun.index.runlist import Reader
from snaprun.model import short_id


@dataclass(frozen=True)
class QueuedRun:
    """A run in the queue. ``position`` counts from 1 in the order of starting; a claimed one is started already."""

    run: str
    position: int
    is_claimed: bool
    group: str | None
    jobs: int | None
    after: str | None
    retries: int
    attempt: int
    queued_at: str
    note: str | None


@dataclass(frozen=True)
class QueueListing:
    """The queue of a machine: its runs in order, how many may work at a time (None: as each asks), whether it rests."""

    runs: tuple[QueuedRun, ...]
    jobs: int | None = None
    is_paused: bool = False


def listing(reader: Reader, host: str) -> QueueListing:
    """The queue of this repository on the machine ``host``."""
    values = {"repo": reader.repo, "host": host}
    with reader.steady():
        rows = reader.rows(
            'SELECT q.run, q.state, q."group", q.jobs, q.after, q.retries, q.attempt, q.queued, q.note FROM queue q '
            "WHERE q.repo = :repo AND q.host = :host ORDER BY q.position",
            values,
        )
        limits = reader.rows("SELECT jobs, paused FROM queues WHERE repo = :repo AND host = :host", values)
    runs = (
        QueuedRun(run, number, state == "claimed", group, jobs, after, retries, attempt, queued_at, note)
        for number, (run, state, group, jobs, after, retries, attempt, queued_at, note) in enumerate(rows, start=1)
    )
    jobs, is_paused = limits[0] if limits else (None, False)
    return QueueListing(tuple(runs), jobs, bool(is_paused))


def reasons(queue_listing: QueueListing, *, suffix: str = "") -> dict[str, str]:
    """Why each run waits that has not been started, in the order of starting. ``suffix`` (" there") says whose queue it
    is."""
    texts: dict[str, str] = {}
    for entry in queue_listing.runs:
        if not entry.is_claimed:
            position = f"{len(texts)} before it{suffix}" if texts else f"next{suffix}"
            after = f"after {short_id(entry.after)}" if entry.after else position
            texts[entry.run] = entry.note or (f"the queue{suffix} is paused" if queue_listing.is_paused else after)
    return texts
