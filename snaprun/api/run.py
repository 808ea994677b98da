"""Start runs, and go on with them."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, replace

from snaprun import launchers, records, runplan
from snaprun.context import Context
from snaprun.engines import AUTO, LIGHT
from snaprun.errors import SnaprunError, UsageFault
from snaprun.freeze import capture
from snaprun.git.gitrepo import GitRepo
from snaprun.index import reindex, runlist
from snaprun.index.runlist import Filter
from snaprun.launchers import handover, limits
from snaprun.launchers.handover import TakenRun
from snaprun.launchers.local import Handle
from snaprun.live import livefolder
from snaprun.live.order import Order
from snaprun.model import RUN_REF, Run, Snapshot
from snaprun.reader import find, glance
from snaprun.runplan import RunOptions, RunPlan, make_order
from snaprun.statuses import Status

__all__ = [
    "RunOptions",
    "read_start",
    "rerun",
    "resume",
    "snapshot",
    "start",
]


@dataclass(frozen=True)
class _PendingRun:
    """A run whose snapshot is durable, and which nobody has been told to run yet."""

    snapshot: Snapshot
    plan: RunPlan
    order: Order
    handle: Handle | None


def start(context: Context, options: RunOptions, *, on_snapshot: Callable[[Snapshot], None] | None = None) -> Snapshot:
    """Freeze a notebook and start its run, which on return goes on whatever happens to this process.

    The run's id is that of the snapshot. ``on_snapshot`` is called with it when it is durable, before the start; what
    it raises ends the start. The supervisor is started first of all, so that its imports cost no time while the
    snapshot is taken.

    Raises:
        UsageFault: the options do not fit together. InputMissing: no such notebook, or it is outside the repository.
        ParameterFault: a parameter is wrong. Unavailable: no kernel, interpreter or launcher for it.
        Busy: GPUs are asked for, and taken. Nothing is left behind then.
    """
    return _launch(context, _freeze(context, options), on_snapshot)


def rerun(
    context: Context, selector: str, options: RunOptions, *, on_snapshot: Callable[[Snapshot], None] | None = None
) -> Snapshot:
    """Start the snapshot of an earlier run as a new run, with its parameters and the given ones on top.

    What the options leave open is as it was, but for where it runs. Else as :func:`start`.

    Raises:
        DataFault: there is no such run, or it froze no notebook. Else as :func:`start`.
    """
    return _launch(context, _freeze_again(context, selector, options), on_snapshot)


def snapshot(context: Context, options: RunOptions) -> Snapshot:
    """Freeze without running, the work tree alone or with a notebook: a run of status ``saved``.

    Raises:
        InputMissing, ParameterFault, UsageFault: as :func:`start`. Nothing is left behind then.
    """
    repo = GitRepo(context.place)
    snapshot_ = capture.take(repo, runplan.plan_snapshot(context, options))
    try:
        run = Run.from_commits(snapshot_.id, snapshot_.spec, snapshot_.params, commit=snapshot_.id, status=Status.SAVED)
        reindex.record(repo, context.settings.index_url, run)
    except SnaprunError:
        _discard(context, snapshot_.id)
        raise
    return snapshot_


def resume(
    context: Context,
    selector: str,
    *,
    source: str | None = None,
    edit: Callable[[str], str | None] | None = None,
    hold_on_error: float | None = None,
    notify: bool = False,
) -> Run:
    """Go on with a run that is held after an error, or try one again that did not succeed; the run as it was.

    A held run goes on from its failed cell, with ``source`` for that cell's text, or with what ``edit`` makes of it
    (None: nothing, the run is held as before). Any other is started again from its first cell; ``hold_on_error`` is how
    many seconds its kernel is kept after an error, and with ``notify`` the desktop is told of its end.

    Raises:
        DataFault: there is no such run. Busy: a held run does not answer. Unavailable: no kernel or interpreter for it.
        UsageFault: there is nothing to go on with, it is on another machine, or the options are for the other kind.
    """
    from snaprun.lifecycle.resume import continue_held, read_failed_source, start_attempt  # a start has no use for it

    run = find(context, selector)
    short = run.id[:8]
    folder = livefolder.find(context.place, run.id)
    if folder is None:
        if edit is not None or source is not None:
            raise UsageFault(f"run {short} is not held", hint="--hold-on-error keeps a kernel after an error")
        start_attempt(context, run, hold=hold_on_error, notify=notify)
        return run
    if hold_on_error is not None or notify:
        text = f"run {short} is in progress, and goes on as it was started"
        raise UsageFault(text, hint="--hold-on-error and --notify are for a further attempt")
    handover.require_here(folder, "resume")
    if source is None and edit is not None:
        source = edit(read_failed_source(context, folder))
        if source is None:
            text = f"nothing was saved: run {short} is held as before"
            raise UsageFault(text, hint=f"snaprun resume {short} tries the cell as it is")
    continue_held(folder, source)
    return run


def read_start(context: Context, snapshot: Snapshot) -> Run:
    """A run that was just started, as it stands: queued where its launcher lets it wait.

    One that starts at once is running, whether its worker has recorded that yet or not.
    """
    run = Run.from_commits(snapshot.id, snapshot.spec, snapshot.params, commit=snapshot.id, status=Status.RUNNING)
    if launchers.kind(snapshot.spec.launcher).at_once:
        return run
    with glance(context) as reader:
        return next(iter(runlist.query(reader, Filter(id=snapshot.id))), run)


def _freeze(context: Context, options: RunOptions) -> _PendingRun:
    """Freeze a notebook for a run."""
    handle, options = _begin(context, runplan.resolve_launcher(context, options))
    try:
        plan = runplan.plan_run(context, options)
        _check_now(context, plan)
        snapshot = capture.take(GitRepo(context.place), plan.request)
    except BaseException:
        handover.abandon(handle)
        raise
    return _PendingRun(snapshot, plan, make_order(context, options, plan, snapshot), handle)


def _freeze_again(context: Context, selector: str, options: RunOptions) -> _PendingRun:
    """Make a new run of the snapshot of an earlier one."""
    options = runplan.resolve_launcher(context, options)
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
    return _PendingRun(snapshot, plan, make_order(context, options, plan, snapshot), handle)


def _launch(
    context: Context, pending_run: _PendingRun, on_snapshot: Callable[[Snapshot], None] | None = None
) -> Snapshot:
    """Hand a frozen run to its supervisor. Where it cannot be started, its snapshot is gone again."""
    snapshot, handle = pending_run.snapshot, pending_run.handle
    order = pending_run.order.to_json()
    try:
        if on_snapshot is not None:
            on_snapshot(snapshot)
        handover.launch_new(
            handle,
            lambda: livefolder.create(context.place, snapshot, order, notebook=pending_run.plan.document),
            lambda folder: handover.hand_over(context, snapshot.spec.launcher, handle, folder),
        )
    except TakenRun as taken:  # Ctrl-C just after the start: it is a run, so stop it
        handover.stop(context, taken.folder, signal.SIGINT)
        raise taken.cause from None
    except BaseException:  # Ctrl-C among them: nobody else knows of the snapshot
        handover.abandon(handle)
        _discard(context, snapshot.id)
        raise
    return snapshot


def _begin(context: Context, options: RunOptions) -> tuple[Handle | None, RunOptions]:
    """Prepare the launch; what there is to know of it goes into the run's warnings."""
    name = options.launcher or context.settings.launcher
    engine_name = options.engine or context.settings.engine
    engine = LIGHT if engine_name == AUTO else engine_name  # imported meanwhile; the notebook is not read yet
    launcher_options = launchers.limit_options(
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
