"""What can be done with the queue, one function a verb.

:mod:`snaprun.index.claims` says how each is one transaction.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from snaprun.context import Door
from snaprun.git.gitrepo import GitRepo
from snaprun.index import claims, queue, reindex
from snaprun.index.claims import Entry
from snaprun.index.queue import Listing, Waiting
from snaprun.index.runlist import Filter, query
from snaprun.index.store import Store
from snaprun.live import bell
from snaprun.model import Run
from snaprun.reader import index


def listing(door: Door) -> tuple[Listing, dict[str, Run]]:
    """The queue of this machine, and its runs by id."""
    with index(door) as reader:
        found = queue.listing(reader, socket.gethostname())
        runs = {one.run: query(reader, Filter(id=one.run)) for one in found.runs}
    return found, {run: known[0] for run, known in runs.items() if known}


def enqueue(door: Door, entries: Sequence[Entry]) -> None:
    """Put frozen runs into the queue; :func:`snaprun.live.bell.wake` has them started.

    Raises:
        SnaprunError: the index or the state folder cannot be written; nothing is queued.
    """
    env = claims.keep_env(door.place.queue, door.env)
    claims.put(open_queue(door), socket.gethostname(), entries, env=env)
    mark_busy(door)


def drop_ids(door: Door, ids: Sequence[str]) -> list[str]:
    """Take those of these runs that wait out of the queue; which they were."""
    dropped = claims.drop(open_queue(door), GitRepo(door.place), ids)
    bell.ring(door.place)
    return dropped


def shown_first(found: Listing) -> list[Waiting]:
    """What runs before what waits, each in its order."""
    return sorted(found.runs, key=lambda one: (not one.claimed, one.place))


def mark_busy(door: Door) -> None:
    bell.mark(door.place, {"index_url": door.settings.index_url})


def open_queue(door: Door) -> Store:
    index = reindex.open_index(door)
    if not index.built:
        reindex.rebuild(door)
    return index
