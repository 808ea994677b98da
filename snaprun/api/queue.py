"""The queue of this machine, one function a verb; :mod:`snaprun.index.claims` says how each is one transaction."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from snaprun import runplan
from snaprun.context import Door
from snaprun.errors import NothingFound, UsageFault
from snaprun.freeze import capture
from snaprun.git.gitrepo import GitRepo
from snaprun.index import claims
from snaprun.index.claims import Entry
from snaprun.lifecycle.handover import LOCAL
from snaprun.live import bell
from snaprun.model import RUN_REF, Snapshot
from snaprun.queue.access import drop_ids, enqueue, listing, mark_busy, open_queue
from snaprun.reader import find
from snaprun.runplan import Wanted


def add(door: Door, wanted: Wanted, *, after: str | None = None, retries: int = 0) -> Snapshot:
    """Freeze a notebook now, and run it when its turn comes.

    Raises:
        SnaprunError: as for ``exec``; nothing is left behind.
    """
    if (wanted.launcher or door.settings.launcher) != LOCAL:
        raise UsageFault("the queue starts runs on this machine only", hint="other launchers have a queue of their own")
    first = find(door, after).id if after else None
    ready = runplan.run(door, wanted)
    repo = GitRepo(door.place)
    made = capture.take(repo, ready.request)
    try:
        enqueue(door, [Entry(made, runplan.order_of(door, wanted, ready, made), after=first, retries=retries)])
    except BaseException:
        repo.delete_ref(RUN_REF + made.id, made.id)
        raise
    bell.wake(door.place, door.env)
    return made


def drop(door: Door, runs: Sequence[str]) -> list[str]:
    """Take waiting runs out of the queue, by selectors; their ids. Their snapshots stay.

    Raises:
        NothingFound: none of them waits.
    """
    ids = [find(door, run).id for run in runs]
    dropped = drop_ids(door, ids)
    if not dropped:
        raise NothingFound(f"run {ids[0][:8]} does not wait in the queue", hint="snaprun queue")
    return dropped


def move(door: Door, runs: Sequence[str], *, before: str | None, last: bool) -> None:
    """Put waiting runs, in this order, first of all, before another one, or last."""
    ids = [find(door, run).id for run in runs]
    target = find(door, before).id if before else None
    if target is None and not last:
        others = [one.run for one in listing(door)[0].runs if not one.claimed and one.run not in ids]
        target = others[0] if others else None
    claims.move(open_queue(door), socket.gethostname(), ids, before=target)


def limit(door: Door, jobs: int | None) -> None:
    """Let at most ``jobs`` runs of the queue work at a time; None leaves it to what each sweep asked for."""
    claims.limit(open_queue(door), socket.gethostname(), jobs=jobs)
    _go_on(door)


def pause(door: Door) -> None:
    """Start nothing more; what runs, runs on."""
    claims.rest(open_queue(door), socket.gethostname(), paused=True)
    bell.ring(door.place)


def resume(door: Door) -> None:
    """Go on starting what waits."""
    claims.rest(open_queue(door), socket.gethostname(), paused=False)
    _go_on(door)


def _go_on(door: Door) -> None:
    if listing(door)[0].runs:
        mark_busy(door)
        bell.wake(door.place, door.env)
