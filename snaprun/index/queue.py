"""What waits for its turn: look at the queue, and wake who starts it. Standard library only.

The queue lives in the index. No daemon serves it: whoever queues a run, ends one or looks at runs wakes a dispatcher,
which goes away when there is nothing left. :mod:`snaprun.index.claims` changes the queue,
:mod:`snaprun.queue.dispatcher` serves it.
"""

from __future__ import annotations

from dataclasses import dataclass

from snaprun.index.runlist import Reader


@dataclass(frozen=True)
class Waiting:
    """A run in the queue. ``place`` counts from 1 in the order of starting; a ``claimed`` one is started already."""

    run: str
    place: int
    claimed: bool
    group: str | None
    jobs: int | None
    after: str | None
    retries: int
    attempt: int
    queued: str
    note: str | None


@dataclass(frozen=True)
class Listing:
    """The queue of a machine: its runs in order, how many may work at a time (None: as each asks), whether it rests."""

    runs: tuple[Waiting, ...]
    jobs: int | None = None
    paused: bool = False


def listing(reader: Reader, host: str) -> Listing:
    """The queue of this repository on the machine ``host``."""
    values = {"repo": reader.repo, "host": host}
    with reader.steady():
        found = reader.rows(
            'SELECT q.run, q.state, q."group", q.jobs, q.after, q.retries, q.attempt, q.queued, q.note FROM queue q '
            "WHERE q.repo = :repo AND q.host = :host ORDER BY q.position",
            values,
        )
        limits = reader.rows("SELECT jobs, paused FROM queues WHERE repo = :repo AND host = :host", values)
    runs = (
        Waiting(run, number, state == "claimed", group, jobs, after, retries, attempt, queued, note)
        for number, (run, state, group, jobs, after, retries, attempt, queued, note) in enumerate(found, start=1)
    )
    jobs, paused = limits[0] if limits else (None, False)
    return Listing(tuple(runs), jobs, bool(paused))


def reasons(found: Listing, *, there: str = "") -> dict[str, str]:
    """Why each run waits that has not been started, in the order of starting. ``there`` is said where the queue is
    another machine's."""
    made: dict[str, str] = {}
    for one in found.runs:
        if not one.claimed:
            place = f"{len(made)} before it{there}" if made else f"next{there}"
            after = f"after {one.after[:8]}" if one.after else place
            made[one.run] = one.note or (f"the queue{there} is paused" if found.paused else after)
    return made
