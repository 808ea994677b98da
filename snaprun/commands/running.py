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
from snaprun.api.history import history
from snaprun.api.look import details
from snaprun.api.run import Pending, Wanted, abandon, freeze, freeze_again, launch
from snaprun.commands.placing import placed
from snaprun.commands.terminal import here, raw_stdout, require_reader, stderr
from snaprun.context import Door
from snaprun.errors import Busy, NothingFound, RunFault, UsageFault
from snaprun.git.gitrepo import GitRepo
from snaprun.index import queue, runlist
from snaprun.index.runlist import Filter
from snaprun.lifecycle import handover, logs, settle, watch
from snaprun.live import livefolder, searches
from snaprun.model import Run, Status
from snaprun.reader import find, index


def execute(**options: Any) -> int:
    """``snaprun exec``: freeze, start, and watch until the end."""
    detach, as_json, quiet, notify = (options.pop(key) for key in ("detach", "as_json", "quiet", "notify"))
    door = here()
    wanted = Wanted(**placed(door, options), notify=notify, argv=tuple(sys.argv[1:]))
    code = start(door, freeze(door, wanted), detach=detach, as_json=as_json, quiet=quiet or detach)
    if notify and not detach:
        ring(code)
    return code


def ring(code: int) -> None:
    """Ring the terminal, if there is one: the bell, and the notification of those that know OSC 9 (iTerm2, Windows
    Terminal, kitty, WezTerm)."""
    if sys.stderr.isatty():
        click.echo(f"\a\x1b]9;snaprun: the run has ended, exit {code}\x1b\\", nl=False, err=True)


def start(door: Door, pending: Pending, *, detach: bool, as_json: bool, quiet: bool) -> int:
    """Launch a frozen run, tell of it, and watch it unless it is detached."""
    made, how = pending.snapshot, stderr()
    try:
        told = show.notes(made) if quiet else show.snapshot(made, how)
        click.echo(told, nl=bool(told), err=True)
    except BaseException:  # Ctrl-C: nobody else knows of the snapshot
        abandon(door, pending)
        raise
    launch(door, pending)
    if detach:
        click.echo(show.started_json(made) if as_json else made.id)
        return 0
    if not quiet:
        click.echo(show.started(made, how), err=True)
    code = view(door, made.id, made.spec.notebook, stops=True, to_stderr=as_json)
    ended = find(door, made.id)
    if as_json:
        click.echo(show.as_json(details(door, made.id).to_json()))
    if not quiet:
        click.echo(show.ended(ended, how), err=True)
    return code


def view(door: Door, run_id: str, notebook: str, *, stops: bool, to_stderr: bool = False) -> int:
    """Show a run's output as it comes, with a progress line on a terminal, and return the run's exit code.

    ``stops``: Ctrl-C stops the run, the second one at once; else it only leaves the view.
    """
    repo = GitRepo(door.place)
    data = sys.stderr.buffer if to_stderr else raw_stdout()
    asked = Interrupts(door, run_id) if stops else None
    bar = None
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from snaprun.api.ongoing import earlier_seconds
        from snaprun.bar import Bar  # rich: a detached start has no use for it

        bar = Bar(data, sys.stderr, earlier_seconds(door, notebook))
    held = False
    try:
        for update in watch.follow(repo, run_id):
            if update.progress.state == "held" and not held:
                ways = " or ".join(f"snaprun {verb} {run_id[:8]}" for verb in ("console", "resume", "stop"))
                click.echo(f"held after an error: {ways}", err=True)
            held = update.progress.state == "held"
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
                settle.settle(door.place, door.env)
    finally:
        if asked is not None:
            asked.release()
        if bar is not None:
            bar.close()
    raise RunFault(f"run {run_id[:8]} went out of sight", hint=f"snaprun show {run_id[:8]}")


class Interrupts:
    """Ctrl-C while watching a run of one's own: the first stops it, the second kills it; the view stays."""

    def __init__(self, door: Door, run_id: str) -> None:
        self._here, self._id = door, run_id
        self._count = 0
        self._before = signal.signal(signal.SIGINT, self._stop)

    def release(self) -> None:
        """Give Ctrl-C its usual meaning back."""
        signal.signal(signal.SIGINT, self._before)

    def _stop(self, _number: int, _frame: object) -> None:
        self._count += 1
        folder = livefolder.find(self._here.place, self._id)
        if folder is None:
            return
        _say_at_once("stopping; once more kills it" if self._count == 1 else "killing")
        handover.stop(self._here, folder, signal.SIGINT, kill=self._count > 1)


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
    door = here()
    run = _started(find(door, selector))
    code = view(door, run.id, run.notebook, stops=False)
    click.echo(show.ended(find(door, run.id), stderr()), err=True)
    return code


def wait(selectors: tuple[str, ...], *, first: bool, timeout: float | None, as_json: bool, quiet: bool) -> int:
    """``snaprun wait``: block until the runs have ended; the first code that is not 0."""
    door = here()
    runs = [_started(find(door, selector)) for selector in selectors]
    over = _until_over(door, [run.id for run in runs], first=first, timeout=timeout)
    ended = [_started(run) for run in over]  # one may have been taken out of the queue
    if as_json:
        click.echo(show.history_json(ended))
    elif not quiet:
        _tell(ended)
    return next((code for run in ended if (code := run.exit_code or 0)), 0)


def _until_over(door: Door, ids: Sequence[str], *, first: bool = False, timeout: float | None = None) -> list[Run]:
    """Block until all these runs, or the ``first`` of them, are over; those that are.

    Raises:
        Busy: ``timeout`` seconds have passed.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        settle.settle(door.place, door.env)
        over = {run_id for run_id in ids if livefolder.find(door.place, run_id) is None} - unended(door)
        if over == set(ids) or (first and over):
            return [find(door, run_id) for run_id in ids if run_id in over]
        if deadline is not None and time.monotonic() >= deadline:
            left = len(set(ids) - over)
            raise Busy(f"{left} run{'s have' if left > 1 else ' has'} not ended", hint="snaprun ps")
        time.sleep(watch.INTERVAL)


def _tell(ended: Sequence[Run]) -> None:
    for run in ended:
        click.echo(show.ended(run, stderr()), err=True)


def _started(run: Run) -> Run:
    """This run. Raises UsageFault where it never will run."""
    if run.status is Status.SAVED:
        raise UsageFault(f"run {run.id[:8]} is only a snapshot: nothing runs", hint=f"snaprun rerun {run.id[:8]}")
    return run


def unended(door: Door) -> set[str]:
    """The runs that are not over, or not over for the queue of this machine, whatever their live folders say."""
    with index(door) as reader:
        going = runlist.query(reader, Filter(status=frozenset({Status.RUNNING, Status.QUEUED})))
        return {run.id for run in going} | {one.run for one in queue.listing(reader, socket.gethostname()).runs}


def stop(selectors: tuple[str, ...], *, group: str | None, grace: float | None, kill: bool, quiet: bool) -> int:
    """``snaprun stop``: end the runs, and wait until they have ended; those in the queue leave it."""
    door = here()
    if not selectors and group is None:
        raise UsageFault("no run is named", hint="snaprun stop RUN, or snaprun stop @running")
    ended = group is not None and _end_search(door, group)
    runs = [find(door, selector) for selector in selectors]
    if group is not None:
        runs += history(door, {"group": group}, now=time.time())
    if not runs:
        raise NothingFound(f"there is no sweep {group}", hint="snaprun history")
    waiting = {run.id for run in runs if run.status is Status.QUEUED}
    if waiting:
        from snaprun.queue import access

        waiting = set(access.drop_ids(door, sorted(waiting)))
    going = [run for run in runs if not run.status.over and run.id not in waiting]
    if not going and (waiting or ended):
        if not quiet:
            click.echo(f"{len(waiting)} taken out of the queue" if waiting else "the search has ended", err=True)
        return 0
    if not going:
        run = runs[0]
        raise NothingFound(f"run {run.id[:8]} is not running: it {_past(run)}", hint="snaprun ps")
    found = [folder for run in going if (folder := watch.folder_of(door.place, run.id)) is not None]
    if len(handover.stop_all(door, found, signal.SIGTERM, grace=grace, kill=kill)) < len(going):
        settle.settle(door.place, door.env)
    over = _until_over(door, [run.id for run in going])
    if not quiet:
        _tell(over)
    return 0


def _end_search(door: Door, group: str) -> bool:
    """Let the search of this sweep, where it goes on, start no more runs."""
    if not searches.going(door.place, group):
        return False
    from snaprun.sweeps import search

    return search.end(door, group)


def _past(run: Run) -> str:
    return {Status.SAVED: "is a snapshot only"}.get(run.status, run.status.value)


def print_log(selector: str, *, follow: bool, tail: int | None, cell: int | None, timestamps: bool) -> int:
    """``snaprun logs``: the bytes that a run printed."""
    door = here()
    run = find(door, selector)
    out = raw_stdout()
    repo = GitRepo(door.place)
    if cell is not None:
        if follow or timestamps:
            raise UsageFault("--cell goes with neither -f nor --timestamps", hint=f"snaprun logs --cell {cell}")
        text = logs.of_cell(repo, run, cell)
        out.write(text if tail is None else logs.last_lines(iter([text]), tail))
        return 0
    log = logs.Log(repo, run, stamped=timestamps)
    for piece in log.pieces() if tail is None else [logs.last_lines(log.pieces(), tail)]:
        out.write(piece)
    out.flush()
    if follow and not run.status.over:
        for update in watch.follow(repo, run.id, offset=log.offset):
            out.write(log.shown(update.log))
            out.flush()
            if not update.log and update.end is None:
                require_reader()
                settle.settle(door.place, door.env)
    return 0


def rerun(run: str, **options: Any) -> int:
    """``snaprun rerun``: an earlier snapshot as a new run."""
    detach, as_json, quiet = (options.pop(key) for key in ("detach", "as_json", "quiet"))
    door = here()
    wanted = Wanted(**placed(door, options), argv=tuple(sys.argv[1:]))
    return start(door, freeze_again(door, run, wanted), detach=detach, as_json=as_json, quiet=quiet or detach)
