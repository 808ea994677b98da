"""List the queue of this machine, put runs into it, and take them out.

:mod:`snaprun.index.claims` says how each is one transaction.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from snaprun.context import Context
from snaprun.git.gitrepo import GitRepo
from snaprun.index import claims, queue, reindex
from snaprun.index.claims import QueueEntry
from snaprun.index.queue import QueueListing
from snaprun.index.runlist import Filter, query
from snaprun.index.store import IndexStore
from snaprun.live import bell, envfile
from snaprun.model import Run
from snaprun.reader import index


def listing(context: Context) -> tuple[QueueListing, dict[str, Run]]:
    """The queue of this machine, and its runs by id."""
    with index(context) as reader:
        queue_listing = queue.listing(reader, socket.gethostname())
        runs = {entry.run: query(reader, Filter(id=entry.run)) for entry in queue_listing.runs}
    return queue_listing, {run: matches[0] for run, matches in runs.items() if matches}


def enqueue(context: Context, entries: Sequence[QueueEntry]) -> None:
    """Put frozen runs into the queue; :func:`snaprun.live.bell.wake` has them started.

    Raises:
        SnaprunError: the index or the state folder cannot be written; nothing is queued.
    """
    env = envfile.keep(context.place.queue, context.env)
    claims.put(open_queue(context), socket.gethostname(), entries, env=env)
    mark_busy(context)


def drop_ids(context: Context, ids: Sequence[str]) -> list[str]:
    """Take those of these runs that wait out of the queue; which they were."""
    dropped_ids = claims.drop(open_queue(context), GitRepo(context.place), ids)
    bell.ring(context.place)
    return dropped_ids


def mark_busy(context: Context) -> None:
    """Say that something waits, for the next :func:`snaprun.live.bell.wake`. Raises OSError."""
    bell.mark(context.place, {"index_url": context.settings.index_url})


def open_queue(context: Context) -> IndexStore:
    """The index that holds the queue, built where it is not yet."""
    index = reindex.open_index(context)
    if not index.is_built:
        reindex.rebuild(context)
    return index
