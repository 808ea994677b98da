"""Go on with a run: continue a held one after its failed cell, or start a further attempt at one without success."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from snaprun import engines, records
from snaprun.context import Context
from snaprun.errors import Busy, Unavailable, UsageFault
from snaprun.files import write_json
from snaprun.git.gitrepo import GitRepo
from snaprun.launchers import handover, local
from snaprun.launchers.handover import TakenRun
from snaprun.lifecycle import rundocument
from snaprun.live import livefolder, progress, replay
from snaprun.live.livefolder import Live
from snaprun.live.order import Order
from snaprun.model import Run, RunSpec, Snapshot
from snaprun.notebooks import kernels
from snaprun.notebooks.kernels import Kernel

RESUME_TIMEOUT = 10.0
"""Seconds that a held run may take to hear that it goes on; it looks five times a second."""

INTERVAL = 0.02
"""Seconds between two looks whether it has."""


def is_held(folder: Live) -> bool:
    """Whether a run in progress waits after an error for somebody to go on with it."""
    return progress.read_progress(folder).state == "held"


def continue_held(folder: Live, source: str | None) -> None:
    """Let a held run continue from its failed cell; ``source`` is that cell's new text, None the old one. On return it
    does.

    Raises:
        UsageFault: the run is not held, or not any more. Busy: its worker does not look.
    """
    short = folder.id[:8]
    view = progress.LiveView(folder)
    try:
        view.read_events()
        old_progress = view.progress
        if old_progress.state != "held":
            raise UsageFault(f"run {short} is running already", hint=f"snaprun attach {short}")
        write_json(folder.resume, {"source": source}, durable=False)
        deadline = time.monotonic() + RESUME_TIMEOUT
        while view.progress.state == "held" and view.progress.cell_started == old_progress.cell_started:
            if time.monotonic() > deadline:
                raise Busy(f"run {short} has not gone on yet", hint=f"snaprun attach {short}")
            time.sleep(INTERVAL)
            view.read_events()
        if view.progress.state in ("finishing", "ended") and view.progress.cell_started == old_progress.cell_started:
            raise UsageFault(f"run {short} is not held any more", hint=f"snaprun show {short}")
    except FileNotFoundError as error:  # its folder went away between the two
        raise UsageFault(f"run {short} is not held any more", hint=f"snaprun show {short}") from error
    finally:
        view.close()


def read_failed_source(context: Context, folder: Live) -> str:
    """The text of the cell that a held run failed in.

    Raises:
        UsageFault: the run is not held.
    """
    document = rundocument.load_document(GitRepo(context.place), folder, folder.spec())
    error = replay.replay_live(folder, document).error
    if error is None:
        raise UsageFault(f"run {folder.id[:8]} is not held", hint=f"snaprun attach {folder.id[:8]}")
    return error.source


def start_attempt(context: Context, run: Run, *, hold: float | None = None, notify: bool = False) -> Live:
    """Start a further attempt at a run that has ended without success: the same snapshot, from its first cell.

    What the notebook keeps in ``$SNAPRUN_CHECKPOINT_DIR`` is there again. ``hold`` is how many seconds its kernel is
    kept after an error; with ``notify`` the desktop is told of its end. Neither is remembered from the attempt before.

    Raises:
        UsageFault: it succeeded, it is a snapshot only, or it ran in the user's own tree, which has moved on; or it has
            no kernel to be held.
        Unavailable: its kernel or interpreter is not there any more.
    """
    handle = local.start(context.env, engine=run.engine)
    try:
        return handover.launch_new(
            handle,
            lambda: create_attempt(context, run, hold=hold, notify=notify),
            lambda folder: handle.launch(folder.path),
        )
    except TakenRun as taken:  # Ctrl-C just after the start: it is a run, so stop it
        handover.stop(context, taken.folder, signal.SIGINT)
        raise taken.cause from None


def create_attempt(context: Context, run: Run, *, hold: float | None = None, notify: bool = False) -> Live:
    """The live folder for a further attempt at a run that has ended without success, for somebody to launch.

    Raises:
        UsageFault, Unavailable: as :func:`start_attempt`.
    """
    short = run.id[:8]
    if run.status.good or not run.status.launched or not run.status.over:
        state = f"is {run.status}" if run.status.launched else "is only a snapshot"
        raise UsageFault(f"run {short} {state}: there is nothing to resume", hint=f"snaprun rerun {short}")
    repo = GitRepo(context.place)
    spec = records.read_spec(repo, run.id)
    if spec.in_place:
        raise UsageFault(f"run {short} ran in your own tree", hint=f"snaprun exec {spec.notebook} --in-place")
    if hold is not None:
        hint = f"snaprun exec {spec.notebook} --engine {engines.GENERAL} --hold-on-error"
        engines.require_hold(spec.engine, hint=hint)
    order = _order(context, run, spec, _kernel(context, spec), hold=hold, notify=notify)
    snapshot = Snapshot(run.id, "", spec, records.read_params(repo, run.id))
    return livefolder.create(context.place, snapshot, order.to_json(), notebook=rundocument.prepare(repo, run.id, spec))


def _kernel(context: Context, spec: RunSpec) -> Kernel | None:
    """The kernel of the earlier attempt."""
    if spec.python is not None and not os.access(spec.python, os.X_OK):
        raise Unavailable(f"the interpreter {spec.python} is not there any more", hint="snaprun rerun --python PATH")
    if not engines.kind(spec.engine).has_kernel:
        return None
    prefixes = [os.fspath(Path(spec.python).parent.parent)] if spec.python else []
    available = kernels.read_specs(context.env, prefixes)
    if spec.language == "python" and spec.python is not None:
        return kernels.of_python(spec.python)
    kernel, _ = kernels.choose(
        available, name=spec.kernel, notebook_kernel=None, language=spec.language, python=spec.python
    )
    return kernel


def _order(
    context: Context, run: Run, spec: RunSpec, kernel: Kernel | None, *, hold: float | None, notify: bool
) -> Order:
    settings = context.settings
    return Order(
        run=run.id,
        place=context.place,
        attempt=run.attempts + 1,
        after=None if run.commit == run.id else run.commit,
        grace=settings.grace,
        timeout=spec.timeout,
        hold=hold,
        max_file_size=settings.max_file_size,
        link=tuple(settings.link),
        outputs=tuple(settings.outputs),
        index_url=settings.index_url,
        notify_command=settings.notify_command,
        kernel=kernel.to_json() if kernel else None,
        python=spec.python,
        options={
            # a script that has some was refused, or allowed to
            "commented_magics": not engines.kind(spec.engine).runs_magics,
            "variables": list(settings.environment),
            "notify": notify,
        },
    )
