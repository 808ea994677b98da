"""Freeze notebooks and start runs."""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace

from snaprun import records, runplan
from snaprun.context import Context
from snaprun.engines import AUTO
from snaprun.errors import SnaprunError
from snaprun.freeze import capture
from snaprun.git.gitrepo import GitRepo
from snaprun.index import reindex
from snaprun.launchers import handover
from snaprun.launchers.local import Handle
from snaprun.lifecycle import limits
from snaprun.live import livefolder
from snaprun.live.order import Order
from snaprun.model import RUN_REF, Run, Snapshot, Status
from snaprun.reader import find
from snaprun.runplan import RunOptions, RunPlan, order_of

__all__ = ["Context", "RunOptions"]


@dataclass(frozen=True)
class PendingRun:
    """A run whose snapshot is durable, and which nobody has been told to run yet."""

    snapshot: Snapshot
    runplan: RunPlan
    order: Order
    handle: Handle | None


def freeze(context: Context, options: RunOptions) -> PendingRun:
    """Freeze a notebook for a run; :func:`launch` starts it, :func:`abandon` forgets it.

    The supervisor is started first of all, so that its imports cost no time while the snapshot is taken.

    Raises:
        SnaprunError: anything that stands against it; nothing is left behind.
    """
    handle, options = _begin(context, options)
    try:
        plan = runplan.plan_run(context, options)
        _check_now(context, plan)
        snapshot = capture.take(GitRepo(context.place), plan.request)
    except BaseException:
        handover.abandon(handle)
        raise
    return PendingRun(snapshot, plan, order_of(context, options, plan, snapshot), handle)


def freeze_again(context: Context, selector: str, options: RunOptions) -> PendingRun:
    """The snapshot of an earlier run as a new run, with its parameters and the given ones on top; then as
    :func:`freeze`."""
    base = find(context, selector)
    repo = GitRepo(context.place)
    options = runplan.inherit(options, records.read_spec(repo, base.id))
    handle, options = _begin(context, options)
    try:
        plan, work_tree = runplan.plan_rerun(context, options, repo, base.id)
        _check_now(context, plan)
        snapshot = capture.commit_run(repo, work_tree, plan.request)
    except BaseException:
        handover.abandon(handle)
        raise
    return PendingRun(snapshot, plan, order_of(context, options, plan, snapshot), handle)


def launch(context: Context, pending_run: PendingRun) -> None:
    """Hand a frozen run to its supervisor; on return it goes on whatever happens to this process.

    Raises:
        SnaprunError: it could not be started; its snapshot is gone again.
    """
    snapshot = pending_run.snapshot
    folder = None
    try:
        folder = livefolder.create(
            context.place, snapshot, pending_run.order.to_json(), notebook=pending_run.runplan.document
        )
        handover.hand_over(context, snapshot.spec.launcher, pending_run.handle, folder)
    except BaseException:
        handover.abandon(pending_run.handle)
        if folder is not None and handover.is_taken(folder):  # Ctrl-C just after the start: it is a run, so stop it
            handover.stop(context, folder, signal.SIGINT)
            raise
        if folder is not None:
            livefolder.remove(folder)
        _discard(context, snapshot.id)
        raise


def abandon(context: Context, pending_run: PendingRun) -> None:
    """Forget a frozen run that is not to be launched after all: its snapshot goes, and the supervisor that waits."""
    handover.abandon(pending_run.handle)
    _discard(context, pending_run.snapshot.id)


def snapshot(context: Context, options: RunOptions) -> Snapshot:
    """Freeze without running: a run of status ``saved``."""
    repo = GitRepo(context.place)
    snapshot_ = capture.take(repo, runplan.plan_snapshot(context, options))
    try:
        run = Run.from_commits(snapshot_.id, snapshot_.spec, snapshot_.params, commit=snapshot_.id, status=Status.SAVED)
        reindex.index(repo, context.settings.index_url, run)
    except SnaprunError:
        _discard(context, snapshot_.id)
        raise
    return snapshot_


def _begin(context: Context, options: RunOptions) -> tuple[Handle | None, RunOptions]:
    """Prepare the launch; what there is to know of it goes into the run's warnings."""
    name = options.launcher or context.settings.launcher
    engine_name = options.engine or context.settings.engine
    engine = "inline" if engine_name == AUTO else engine_name  # imported meanwhile; the notebook is not read yet
    launcher_options = limits.add_limits(
        name, options.launcher_options, gpu_count=options.gpus, max_memory=options.max_memory
    )
    handle, notes = handover.begin(context, name, engine=engine, options=launcher_options)
    return handle, replace(options, launcher_options=launcher_options, notes=(*options.notes, *notes))


def _check_now(context: Context, plan: RunPlan) -> None:
    """Make sure that a run can start at once. Raises Busy where it cannot."""
    spec = plan.request.spec
    limits.check_now(context.env, spec.launcher, spec.gpus)


def _discard(context: Context, run_id: str) -> None:
    """Take back a snapshot whose run never started."""
    GitRepo(context.place).delete_ref(RUN_REF + run_id, run_id)
