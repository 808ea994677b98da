"""Follow runs, wait for them and end them."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from snaprun.api.history import HistoryOptions, history
from snaprun.context import Context
from snaprun.errors import Busy, NothingFound, UsageFault
from snaprun.git.gitrepo import GitRepo
from snaprun.index import queue, runlist
from snaprun.index.runlist import Filter
from snaprun.launchers import handover
from snaprun.lifecycle import settle, watch
from snaprun.lifecycle.watch import Update
from snaprun.live import livefolder, searches
from snaprun.model import Run
from snaprun.reader import find, index, require_launched
from snaprun.statuses import ONGOING, Status

__all__ = ["Endings", "Update", "find_launched", "follow", "interrupt", "stop", "wait"]


@dataclass(frozen=True)
class Endings:
    """What :func:`stop` did: the runs that have ended, the ids of those taken out of the queue, and whether a search
    that went on starts no more runs."""

    runs: tuple[Run, ...]
    dropped_ids: tuple[str, ...] = ()
    has_ended_search: bool = False


def find_launched(context: Context, selector: str) -> Run:
    """The run that a selector names, if it was ever to run.

    Raises:
        DataFault: there is no such run. UsageFault: it is a snapshot only.
    """
    return require_launched(find(context, selector))


def follow(context: Context, run_id: str, *, offset: int = 0) -> Iterator[Update]:
    """Follow a run, by its full id, until its end: every piece of its log from byte ``offset`` on, and where it stands.

    An update comes at least every second, its log empty where there is nothing new. The last one has the end. Leaving
    the loop changes nothing for the run.

    Raises:
        DataFault: there is no such run.
    """
    for update in watch.follow(GitRepo(context.place), run_id, offset=offset):
        yield update
        if not update.log and update.end is None:  # its supervisor may be gone
            settle.settle(context.place, context.env)


def wait(context: Context, selectors: Sequence[str], *, first: bool = False, timeout: float | None = None) -> list[Run]:
    """Wait until all these runs, or the ``first`` of them, have ended; those that have, in the order given.

    Raises:
        DataFault: there is no such run. UsageFault: one is a snapshot only, or was taken out of the queue.
        Busy: ``timeout`` seconds have passed.
    """
    runs = [find_launched(context, selector) for selector in selectors]
    over = _wait_until_over(context, [run.id for run in runs], first=first, timeout=timeout)
    return [require_launched(run) for run in over]


def stop(
    context: Context,
    selectors: Sequence[str],
    *,
    group: str | None = None,
    grace: float | None = None,
    kill: bool = False,
) -> Endings:
    """End runs, those of the sweep ``group`` among them, and wait until they have; those in the queue leave it.

    A cell is interrupted, ``grace`` seconds later its processes are terminated, then killed; with ``kill`` at once.

    Raises:
        UsageFault: no run is named. DataFault: there is no such run. NothingFound: none of them is running.
        Unavailable: the machine of one cannot be reached. Denied: one belongs to another user.
    """
    if not selectors and group is None:
        raise UsageFault("no run is named", hint="snaprun stop RUN, or snaprun stop @running")
    has_ended_search = group is not None and _end_search(context, group)
    runs = [find(context, selector) for selector in selectors]
    if group is not None:
        runs += history(context, HistoryOptions(group=group), now=time.time())
    runs = list({run.id: run for run in runs}.values())  # one may be named twice, or be of the group as well
    if not runs:
        raise NothingFound(f"there is no sweep {group}", hint="snaprun history")
    dropped_ids = _drop_queued(context, {run.id for run in runs if run.status is Status.QUEUED})
    active_runs = [run for run in runs if not run.status.over and run.id not in dropped_ids]
    if not active_runs:
        if not dropped_ids and not has_ended_search:
            past = runs[0].status if runs[0].status.launched else "is a snapshot only"
            raise NothingFound(f"run {runs[0].id[:8]} is not running: it {past}", hint="snaprun ps")
        return Endings((), dropped_ids, has_ended_search)
    folders = [folder for run in active_runs if (folder := watch.find_folder(context.place, run.id)) is not None]
    if len(handover.stop_all(context, folders, signal.SIGTERM, grace=grace, kill=kill)) < len(active_runs):
        settle.settle(context.place, context.env)
    over = _wait_until_over(context, [run.id for run in active_runs])
    return Endings(tuple(over), dropped_ids, has_ended_search)


def interrupt(
    context: Context, run_id: str, *, kill: bool = False, on_request: Callable[[], None] | None = None
) -> None:
    """Ask that a run ends as by Ctrl-C, by its full id, and do not wait for it; nothing where it has ended.

    ``on_request`` is called before, which on another machine may take its time.

    Raises:
        Unavailable: its machine cannot be reached. Denied: it belongs to another user.
    """
    folder = livefolder.find(context.place, run_id)
    if folder is None:
        return
    if on_request is not None:
        on_request()
    handover.stop(context, folder, signal.SIGINT, kill=kill)


def _wait_until_over(
    context: Context, ids: Sequence[str], *, first: bool = False, timeout: float | None = None
) -> list[Run]:
    """Block until all these runs, or the first of them, are over; those that are. Raises Busy after ``timeout``."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        settle.settle(context.place, context.env)
        over = {run_id for run_id in ids if livefolder.find(context.place, run_id) is None} - _unended_ids(context)
        if over == set(ids) or (first and over):
            return [find(context, run_id) for run_id in ids if run_id in over]
        if deadline is not None and time.monotonic() >= deadline:
            open_count = len(set(ids) - over)
            raise Busy(f"{open_count} run{'s have' if open_count > 1 else ' has'} not ended", hint="snaprun ps")
        time.sleep(watch.INTERVAL)


def _unended_ids(context: Context) -> set[str]:
    """The runs that are not over, or not over for the queue of this machine, whatever their live folders say."""
    with index(context) as reader:
        active_runs = runlist.query(reader, Filter(status=ONGOING))
        queued_runs = queue.listing(reader, socket.gethostname()).runs
    return {run.id for run in active_runs} | {entry.run for entry in queued_runs}


def _drop_queued(context: Context, ids: set[str]) -> tuple[str, ...]:
    """Take runs out of the queue; which they were."""
    if not ids:
        return ()
    from snaprun.queue import access  # SQLAlchemy: only where something waits

    return tuple(access.drop_ids(context, sorted(ids)))


def _end_search(context: Context, group: str) -> bool:
    """Let the search of this sweep, where it goes on, start no more runs."""
    if not searches.is_active(context.place, group):
        return False
    from snaprun.api import search  # only where a search goes on

    return search.end(context, group)
