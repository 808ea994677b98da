"""What the commands share that start, watch and end runs: the viewer, and waiting."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

from snaprun import show
from snaprun.api.history import HistoryOptions, history
from snaprun.api.look import details
from snaprun.api.run import PendingRun, RunOptions, abandon, freeze, freeze_again, launch
from snaprun.commands.placing import resolve_launcher
from snaprun.commands.terminal import load_context, raw_stdout, require_reader, stderr
from snaprun.context import Context
from snaprun.errors import Busy, NothingFound, RunFault, UsageFault
from snaprun.git.gitrepo import GitRepo
from snaprun.index import queue, runlist
from snaprun.index.runlist import Filter
from snaprun.launchers import handover
from snaprun.lifecycle import logs, settle, watch
from snaprun.live import livefolder, searches
from snaprun.model import ONGOING, Run, Status
from snaprun.reader import find, index, require_launched


def execute(**options: Any) -> int:
    """``snaprun exec``: freeze, start, and watch until the end."""
    detach, as_json, quiet, notify = (options.pop(key) for key in ("detach", "as_json", "quiet", "notify"))
    context = load_context()
    run_options = RunOptions(**resolve_launcher(context, options), notify=notify, argv=tuple(sys.argv[1:]))
    code = start(context, freeze(context, run_options), detach=detach, as_json=as_json, quiet=quiet or detach)
    if notify and not detach:
        ring(code)
    return code


def ring(code: int) -> None:
    """Ring the terminal, if there is one: the bell, and the notification of those that know OSC 9 (iTerm2, Windows
    Terminal, kitty, WezTerm)."""
    if sys.stderr.isatty():
        click.echo(f"\a\x1b]9;snaprun: the run has ended, exit {code}\x1b\\", nl=False, err=True)


def start(context: Context, prepared_run: PendingRun, *, detach: bool, as_json: bool, quiet: bool) -> int:
    """Launch a frozen run, tell of it, and watch it unless it is detached."""
    snapshot, look = prepared_run.snapshot, stderr()
    try:
        text = show.notes(snapshot) if quiet else show.snapshot_line(snapshot, look)
        click.echo(text, nl=bool(text), err=True)
    except BaseException:  # Ctrl-C: nobody else knows of the snapshot
        abandon(context, prepared_run)
        raise
    launch(context, prepared_run)
    if detach:
        click.echo(show.start_json(snapshot) if as_json else snapshot.id)
        return 0
    if not quiet:
        click.echo(show.start_line(snapshot, look), err=True)
    code = view(context, snapshot.id, snapshot.spec.notebook, stops=True, to_stderr=as_json)
    run = find(context, snapshot.id)
    if as_json:
        click.echo(show.as_json(details(context, snapshot.id).to_json()))
    if not quiet:
        click.echo(show.end_line(run, look), err=True)
    return code


def view(context: Context, run_id: str, notebook: str, *, stops: bool, to_stderr: bool = False) -> int:
    """Show a run's output as it comes, with a progress line on a terminal, and return the run's exit code.

    ``stops``: Ctrl-C stops the run, the second one at once; else it only leaves the view.
    """
    repo = GitRepo(context.place)
    data = sys.stderr.buffer if to_stderr else raw_stdout()
    interrupts = Interrupts(context, run_id) if stops else None
    bar = None
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from snaprun.api.ps import earlier_seconds
        from snaprun.bar import Bar  # rich: a detached start has no use for it

        bar = Bar(data, sys.stderr, earlier_seconds(context, notebook))
    is_held = False
    try:
        for update in watch.follow(repo, run_id):
            if update.progress.state == "held" and not is_held:
                ways = " or ".join(f"snaprun {verb} {run_id[:8]}" for verb in ("console", "resume", "stop"))
                click.echo(f"held after an error: {ways}", err=True)
            is_held = update.progress.state == "held"
            if bar is not None:
                bar.write(update.log)
                bar.update(update.progress)
            elif update.log:
                data.write(update.log)
                data.flush()
            if update.end is not None:
                return update.end.exit_code
            if not update.log:
                require_reader()
                settle.settle(context.place, context.env)
    finally:
        if interrupts is not None:
            interrupts.release()
        if bar is not None:
            bar.close()
    raise RunFault(f"run {run_id[:8]} went out of sight", hint=f"snaprun show {run_id[:8]}")


class Interrupts:
    """Ctrl-C while watching a run of one's own: the first stops it, the second kills it; the view stays."""

    def __init__(self, context: Context, run_id: str) -> None:
        self._context, self._id = context, run_id
        self._count = 0
        self._old_handler = signal.signal(signal.SIGINT, self._stop)

    def release(self) -> None:
        """Give Ctrl-C its usual meaning back."""
        signal.signal(signal.SIGINT, self._old_handler)

    def _stop(self, _number: int, _frame: object) -> None:
        self._count += 1
        folder = livefolder.find(self._context.place, self._id)
        if folder is None:
            return
        _say_at_once("stopping; once more kills it" if self._count == 1 else "killing")
        handover.stop(self._context, folder, signal.SIGINT, kill=self._count > 1)


def _say_at_once(text: str) -> None:
    """Say something from a signal handler: past the buffer, which may be in the middle of a write, and not at all
    where a terminal that stands still would keep us waiting."""
    poll = select.poll()
    poll.register(2, select.POLLOUT)
    if poll.poll(0):
        with suppress(OSError):
            os.write(2, f"{text}\n".encode())


def attach(selector: str) -> int:
    """``snaprun attach``: the view of a foreground exec."""
    context = load_context()
    run = require_launched(find(context, selector))
    code = view(context, run.id, run.notebook, stops=False)
    click.echo(show.end_line(find(context, run.id), stderr()), err=True)
    return code


def wait(selectors: tuple[str, ...], *, first: bool, timeout: float | None, as_json: bool, quiet: bool) -> int:
    """``snaprun wait``: block until the runs have ended; the first code that is not 0."""
    context = load_context()
    runs = [require_launched(find(context, selector)) for selector in selectors]
    over = _wait_until_over(context, [run.id for run in runs], first=first, timeout=timeout)
    ended_runs = [require_launched(run) for run in over]  # one may have been taken out of the queue
    if as_json:
        click.echo(show.history_json(ended_runs))
    elif not quiet:
        _print_ends(ended_runs)
    return next((code for run in ended_runs if (code := run.exit_code or 0)), 0)


def _wait_until_over(
    context: Context, ids: Sequence[str], *, first: bool = False, timeout: float | None = None
) -> list[Run]:
    """Block until all these runs, or the ``first`` of them, are over; those that are.

    Raises:
        Busy: ``timeout`` seconds have passed.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        settle.settle(context.place, context.env)
        over = {run_id for run_id in ids if livefolder.find(context.place, run_id) is None} - find_unended(context)
        if over == set(ids) or (first and over):
            return [find(context, run_id) for run_id in ids if run_id in over]
        if deadline is not None and time.monotonic() >= deadline:
            open_count = len(set(ids) - over)
            raise Busy(f"{open_count} run{'s have' if open_count > 1 else ' has'} not ended", hint="snaprun ps")
        time.sleep(watch.INTERVAL)


def _print_ends(runs: Sequence[Run]) -> None:
    for run in runs:
        click.echo(show.end_line(run, stderr()), err=True)


def find_unended(context: Context) -> set[str]:
    """The runs that are not over, or not over for the queue of this machine, whatever their live folders say."""
    with index(context) as reader:
        active_runs = runlist.query(reader, Filter(status=ONGOING))
        return {run.id for run in active_runs} | {
            entry.run for entry in queue.listing(reader, socket.gethostname()).runs
        }


def stop(selectors: tuple[str, ...], *, group: str | None, grace: float | None, kill: bool, quiet: bool) -> int:
    """``snaprun stop``: end the runs, and wait until they have ended; those in the queue leave it."""
    context = load_context()
    if not selectors and group is None:
        raise UsageFault("no run is named", hint="snaprun stop RUN, or snaprun stop @running")
    is_search_over = group is not None and _end_search(context, group)
    runs = [find(context, selector) for selector in selectors]
    if group is not None:
        runs += history(context, HistoryOptions(group=group), now=time.time())
    if not runs:
        raise NothingFound(f"there is no sweep {group}", hint="snaprun history")
    queue_ids = {run.id for run in runs if run.status is Status.QUEUED}
    if queue_ids:
        from snaprun.queue import access

        queue_ids = set(access.drop_ids(context, sorted(queue_ids)))
    active_runs = [run for run in runs if not run.status.over and run.id not in queue_ids]
    if not active_runs and (queue_ids or is_search_over):
        if not quiet:
            click.echo(f"{len(queue_ids)} taken out of the queue" if queue_ids else "the search has ended", err=True)
        return 0
    if not active_runs:
        run = runs[0]
        past = run.status if run.status.launched else "is a snapshot only"
        raise NothingFound(f"run {run.id[:8]} is not running: it {past}", hint="snaprun ps")
    run_folders = [folder for run in active_runs if (folder := watch.find_folder(context.place, run.id)) is not None]
    if len(handover.stop_all(context, run_folders, signal.SIGTERM, grace=grace, kill=kill)) < len(active_runs):
        settle.settle(context.place, context.env)
    over = _wait_until_over(context, [run.id for run in active_runs])
    if not quiet:
        _print_ends(over)
    return 0


def _end_search(context: Context, group: str) -> bool:
    """Let the search of this sweep, where it goes on, start no more runs."""
    if not searches.is_active(context.place, group):
        return False
    from snaprun.sweeps import search

    return search.end(context, group)


def print_log(selector: str, *, follow: bool, tail: int | None, cell: int | None, timestamps: bool) -> int:
    """``snaprun logs``: the bytes that a run printed."""
    context = load_context()
    run = find(context, selector)
    out = raw_stdout()
    repo = GitRepo(context.place)
    if cell is not None:
        if follow or timestamps:
            raise UsageFault("--cell goes with neither -f nor --timestamps", hint=f"snaprun logs --cell {cell}")
        text = logs.read_cell(repo, run, cell)
        out.write(text if tail is None else logs.last_lines(iter([text]), tail))
        return 0
    log = logs.Log(repo, run, with_times=timestamps)
    for piece in log.pieces() if tail is None else [logs.last_lines(log.pieces(), tail)]:
        out.write(piece)
    out.flush()
    if follow and not run.status.over:
        for update in watch.follow(repo, run.id, offset=log.offset):
            out.write(log.render(update.log))
            out.flush()
            if not update.log and update.end is None:
                require_reader()
                settle.settle(context.place, context.env)
    return 0


def rerun(run: str, **options: Any) -> int:
    """``snaprun rerun``: an earlier snapshot as a new run."""
    detach, as_json, quiet = (options.pop(key) for key in ("detach", "as_json", "quiet"))
    context = load_context()
    run_options = RunOptions(**resolve_launcher(context, options), argv=tuple(sys.argv[1:]))
    return start(
        context, freeze_again(context, run, run_options), detach=detach, as_json=as_json, quiet=quiet or detach
    )
