"""Freeze notebooks and start runs."""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace

from snaprun import records, runplan
from snaprun.context import Door
from snaprun.engines import AUTO
from snaprun.errors import SnaprunError
from snaprun.freeze import capture
from snaprun.git.gitrepo import GitRepo
from snaprun.index import reindex
from snaprun.launchers.local import Handle
from snaprun.lifecycle import handover, limits
from snaprun.live import livefolder
from snaprun.live.order import Order
from snaprun.model import RUN_REF, Run, Snapshot, Status
from snaprun.reader import find
from snaprun.runplan import Intake, Wanted, order_of

__all__ = ["Door", "Wanted"]


@dataclass(frozen=True)
class Pending:
    """A run whose snapshot is durable, and which nobody has been told to run yet."""

    snapshot: Snapshot
    runplan: Intake
    order: Order
    handle: Handle | None


def freeze(door: Door, wanted: Wanted) -> Pending:
    """Freeze a notebook for a run; :func:`launch` starts it, :func:`abandon` forgets it.

    The supervisor is started first of all, so that its imports cost no time while the snapshot is taken.

    Raises:
        SnaprunError: anything that stands against it; nothing is left behind.
    """
    handle, wanted = _begin(door, wanted)
    try:
        ready = runplan.run(door, wanted)
        _check_now(door, ready)
        made = capture.take(GitRepo(door.place), ready.request)
    except BaseException:
        handover.abandon(handle)
        raise
    return Pending(made, ready, order_of(door, wanted, ready, made), handle)


def freeze_again(door: Door, selector: str, wanted: Wanted) -> Pending:
    """The snapshot of an earlier run as a new run, with its parameters and the given ones on top; then as
    :func:`freeze`."""
    base = find(door, selector)
    repo = GitRepo(door.place)
    wanted = runplan.inherited(wanted, records.read_spec(repo, base.id))
    handle, wanted = _begin(door, wanted)
    try:
        ready, frozen = runplan.again(door, wanted, repo, base.id)
        _check_now(door, ready)
        made = capture.commit_run(repo, frozen, ready.request)
    except BaseException:
        handover.abandon(handle)
        raise
    return Pending(made, ready, order_of(door, wanted, ready, made), handle)


def launch(door: Door, pending: Pending) -> None:
    """Hand a frozen run to its supervisor; on return it goes on whatever happens to this process.

    Raises:
        SnaprunError: it could not be started; its snapshot is gone again.
    """
    made = pending.snapshot
    folder = None
    try:
        folder = livefolder.create(door.place, made, pending.order.to_json(), notebook=pending.runplan.document)
        handover.hand_over(door, made.spec.launcher, pending.handle, folder)
    except BaseException:
        handover.abandon(pending.handle)
        if folder is not None and handover.taken(folder):  # Ctrl-C just after the start: it is a run, so stop it
            handover.stop(door, folder, signal.SIGINT)
            raise
        if folder is not None:
            livefolder.remove(folder)
        _discard(door, made.id)
        raise


def abandon(door: Door, pending: Pending) -> None:
    """Forget a frozen run that is not to be launched after all: its snapshot goes, and the supervisor that waits."""
    handover.abandon(pending.handle)
    _discard(door, pending.snapshot.id)


def snapshot(door: Door, wanted: Wanted) -> Snapshot:
    """Freeze without running: a run of status ``saved``."""
    repo = GitRepo(door.place)
    made = capture.take(repo, runplan.save(door, wanted))
    try:
        run = Run.of(made.id, made.spec, made.params, commit=made.id, status=Status.SAVED)
        reindex.index(repo, door.settings.index_url, run)
    except SnaprunError:
        _discard(door, made.id)
        raise
    return made


def _begin(door: Door, wanted: Wanted) -> tuple[Handle | None, Wanted]:
    """Prepare the launch; what there is to know of it goes into the run's warnings."""
    name = wanted.launcher or door.settings.launcher
    asked = wanted.engine or door.settings.engine
    engine = "inline" if asked == AUTO else asked  # imported meanwhile; the notebook is not read yet
    wishes = limits.wishes(name, wanted.wishes, gpu_count=wanted.gpus, max_memory=wanted.max_memory)
    handle, notes = handover.begin(door, name, engine=engine, wishes=wishes)
    return handle, replace(wanted, wishes=wishes, notes=(*wanted.notes, *notes))


def _check_now(door: Door, ready: Intake) -> None:
    """Make sure that a run can start at once. Raises Busy where it cannot."""
    spec = ready.request.spec
    limits.check_now(door.env, spec.launcher, spec.gpus)


def _discard(door: Door, run_id: str) -> None:
    """Take back a snapshot whose run never started."""
    GitRepo(door.place).delete_ref(RUN_REF + run_id, run_id)
