"""Start runs, follow them, wait for them, go on with them and end them."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from snaprun import launchers, records, runplan
from snaprun.api.history import HistoryOptions, history
from snaprun.context import Context
from snaprun.engines import AUTO, LIGHT
from snaprun.errors import Busy, NothingFound, SnaprunError, UsageFault
from snaprun.freeze import capture
from snaprun.git.gitrepo import GitRepo
from snaprun.index import queue, reindex, runlist
from snaprun.index.runlist import Filter
from snaprun.launchers import handover, limits
from snaprun.launchers.handover import TakenRun
from snaprun.launchers.local import Handle
from snaprun.lifecycle import settle, watch
from snaprun.lifecycle.watch import Update
from snaprun.live import livefolder, searches
from snaprun.live.order import Order
from snaprun.model import ONGOING, RUN_REF, Run, Snapshot, Status
from snaprun.reader import find, glance, index, require_launched
from snaprun.runplan import RunOptions, RunPlan, make_order

__all__ = [
    "Endings",
    "RunOptions",
    "Update",
    "find_launched",
    "follow",
    "interrupt",
    "read_start",
    "rerun",
    "resume",
    "snapshot",
    "start",
    "stop",
    "wait",
]


@dataclass(frozen=True)
class Endings:
    """What :func:`stop` did: the runs that have ended, the ids of those taken out of the queue, and whether a search
    that went on starts no more runs."""

    runs: tuple[Run, ...]
    dropped_ids: tuple[str, ...] = ()
    has_ended_search: bool = False


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
