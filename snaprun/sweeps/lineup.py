"""What can be done with the queue, one function a verb.

:mod:`snaprun.index.claims` says how each is one transaction.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from snaprun import api, intake, reads
from snaprun.door import Door
from snaprun.errors import NothingFound, UsageFault
from snaprun.freeze import snapshot as freezing
from snaprun.git.gitrepo import GitRepo
from snaprun.index import claims, reindex
from snaprun.index import queue as waiting
from snaprun.index.claims import Entry
from snaprun.index.queue import Listing, Waiting
from snaprun.index.runlist import Filter, query
from snaprun.index.store import Store
from snaprun.intake import Wanted
from snaprun.model import RUN_REF, Run, Snapshot
from snaprun.running.launching import LOCAL


def listing(door: Door) -> tuple[Listing, dict[str, Run]]:
    """The queue of this machine, and its runs by id."""
    with reads.index(door) as reader:
        found = waiting.listing(reader, socket.gethostname())
        runs = {one.run: query(reader, Filter(id=one.run)) for one in found.runs}
    return found, {run: known[0] for run, known in runs.items() if known}


def add(door: Door, wanted: Wanted, *, after: str | None = None, retries: int = 0) -> Snapshot:
    """Freeze a notebook now, and run it when its turn comes.

    Raises:
        SnaprunError: as for ``exec``; nothing is left behind.
    """
    if (wanted.launcher or door.settings.launcher) != LOCAL:
        raise UsageFault("the queue starts runs on this machine only", hint="other launchers have a queue of their own")
    first = api.find(door, after).id if after else None
    ready = intake.run(door, wanted)
    repo = GitRepo(door.place)
    made = freezing.take(repo, ready.request)
    try:
        enqueue(door, [Entry(made, api.order_of(door, wanted, ready, made), after=first, retries=retries)])
    except BaseException:
        repo.delete_ref(RUN_REF + made.id, made.id)
        raise
    waiting.wake(door.place, door.env)
    return made


def enqueue(door: Door, entries: Sequence[Entry]) -> None:
    """Put frozen runs into the queue; :func:`snaprun.index.queue.wake` has them started.

    Raises:
        SnaprunError: the index or the state folder cannot be written; nothing is queued.
    """
    env = claims.keep_env(door.place.queue, door.env)
    claims.put(open_queue(door), socket.gethostname(), entries, env=env)
    mark_busy(door)


def drop(door: Door, runs: Sequence[str]) -> list[str]:
    """Take waiting runs out of the queue, by selectors; their ids. Their snapshots stay.

    Raises:
        NothingFound: none of them waits.
    """
    ids = [api.find(door, run).id for run in runs]
    dropped = drop_ids(door, ids)
    if not dropped:
        raise NothingFound(f"run {ids[0][:8]} does not wait in the queue", hint="snaprun queue")
    return dropped


def drop_ids(door: Door, ids: Sequence[str]) -> list[str]:
    """Take those of these runs that wait out of the queue; which they were."""
    dropped = claims.drop(open_queue(door), GitRepo(door.place), ids)
    waiting.ring(door.place)
    return dropped


def move(door: Door, runs: Sequence[str], *, before: str | None, last: bool) -> None:
    """Put waiting runs, in this order, first of all, before another one, or last."""
    ids = [api.find(door, run).id for run in runs]
    target = api.find(door, before).id if before else None
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
    waiting.ring(door.place)


def resume(door: Door) -> None:
    """Go on starting what waits."""
    claims.rest(open_queue(door), socket.gethostname(), paused=False)
    _go_on(door)


def shown_first(found: Listing) -> list[Waiting]:
    """What runs before what waits, each in its order."""
    return sorted(found.runs, key=lambda one: (not one.claimed, one.place))


def _go_on(door: Door) -> None:
    if listing(door)[0].runs:
        mark_busy(door)
        waiting.wake(door.place, door.env)


def mark_busy(door: Door) -> None:
    waiting.mark(door.place, {"index_url": door.settings.index_url})


def open_queue(door: Door) -> Store:
    index = reindex.open_index(door)
    if not index.built:
        reindex.rebuild(door)
    return index
