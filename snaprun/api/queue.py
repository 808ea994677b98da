"""The queue of this machine, one function a verb; :mod:`snaprun.index.claims` says how each is one transaction."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from snaprun import launchers, runplan
from snaprun.context import Context
from snaprun.errors import NothingFound, UsageFault
from snaprun.freeze import capture
from snaprun.git.gitrepo import GitRepo
from snaprun.index import claims
from snaprun.index.claims import QueueEntry
from snaprun.live import bell
from snaprun.model import RUN_REF, Snapshot
from snaprun.queue.access import drop_ids, enqueue, listing, mark_busy, open_queue
from snaprun.reader import find
from snaprun.runplan import RunOptions

__all__ = ["RunOptions", "add", "drop", "limit", "listing", "move", "pause", "resume"]


def add(context: Context, options: RunOptions, *, after: str | None = None, retries: int = 0) -> Snapshot:
    """Freeze a notebook now, and run it when its turn comes.

    Its id is that of the snapshot. ``after`` selects a run that must have succeeded before, ``retries`` is how often it
    is tried again if it fails.

    Raises:
        UsageFault: it is for another launcher. DataFault: there is no such run to wait for.
        InputMissing, ParameterFault, Unavailable: as :func:`snaprun.api.run.start`. Nothing is left behind then.
    """
    options = runplan.resolve_launcher(context, options)
    if not launchers.kind(options.launcher or context.settings.launcher).has_queue:
        raise UsageFault("the queue starts runs on this machine only", hint="other launchers have a queue of their own")
    after_id = find(context, after).id if after else None
    run_plan = runplan.plan_run(context, options)
    repo = GitRepo(context.place)
    snapshot = capture.take(repo, run_plan.request)
    try:
        enqueue(
            context,
            [
                QueueEntry(
                    snapshot, runplan.make_order(context, options, run_plan, snapshot), after=after_id, retries=retries
                )
            ],
        )
    except BaseException:
        repo.delete_ref(RUN_REF + snapshot.id, snapshot.id)
        raise
    bell.wake(context.place, context.env)
    return snapshot


def drop(context: Context, runs: Sequence[str]) -> list[str]:
    """Take waiting runs out of the queue, by selectors; their ids. Their snapshots stay.

    Raises:
        UsageFault: no run is named. DataFault: there is no such run. NothingFound: none of them waits.
    """
    if not runs:
        raise UsageFault("no run is named", hint="snaprun queue drop RUN")
    ids = [find(context, run).id for run in runs]
    dropped_ids = drop_ids(context, ids)
    if not dropped_ids:
        raise NothingFound(f"run {ids[0][:8]} does not wait in the queue", hint="snaprun queue")
    return dropped_ids


def move(context: Context, runs: Sequence[str], *, before: str | None = None, last: bool = False) -> None:
    """Put waiting runs, by selectors and in this order, first of all, ``before`` another one, or ``last``.

    Raises:
        DataFault: there is no such run, or one of them does not wait in the queue.
    """
    ids = [find(context, run).id for run in runs]
    target = find(context, before).id if before else None
    if target is None and not last:
        waiting_ids = [entry.run for entry in listing(context)[0].runs if not entry.is_claimed and entry.run not in ids]
        target = waiting_ids[0] if waiting_ids else None
    claims.move(open_queue(context), socket.gethostname(), ids, before=target)


def limit(context: Context, jobs: int | None) -> None:
    """Let at most ``jobs`` runs of the queue work at a time; None leaves it to what each sweep asked for."""
    claims.limit(open_queue(context), socket.gethostname(), jobs=jobs)
    _wake(context)


def pause(context: Context) -> None:
    """Start nothing more; what runs, runs on."""
    claims.set_paused(open_queue(context), socket.gethostname(), value=True)
    bell.ring(context.place)


def resume(context: Context) -> None:
    """Go on starting what waits."""
    claims.set_paused(open_queue(context), socket.gethostname(), value=False)
    _wake(context)


def _wake(context: Context) -> None:
    if listing(context)[0].runs:
        mark_busy(context)
        bell.wake(context.place, context.env)
