"""Show a run as it goes: its output byte for byte, the cell that it is at, and how it ended."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import click

from snaprun import show
from snaprun.api.attend import follow, interrupt
from snaprun.api.look import details, find
from snaprun.api.run import read_start
from snaprun.commands.terminal import raw_stdout, require_reader, stderr
from snaprun.context import Context
from snaprun.errors import RunFault
from snaprun.model import Run, Snapshot


@dataclass(frozen=True)
class ViewOptions:
    """How the caller wants to hear of what was started."""

    detach: bool = False
    as_json: bool = False
    quiet: bool = False


def print_snapshot(snapshot: Snapshot, options: ViewOptions) -> None:
    """Tell of a snapshot that is about to run; of what it could not take in any case."""
    text = show.notes(snapshot) if options.quiet or options.detach else show.snapshot_line(snapshot, stderr())
    click.echo(text, nl=bool(text), err=True)


def view_start(context: Context, snapshot: Snapshot, options: ViewOptions) -> int:
    """Tell of a run that was started, and show it until its end unless it is detached; its exit code."""
    if options.detach:
        click.echo(show.start_json(read_start(context, snapshot)) if options.as_json else snapshot.id)
        return 0
    if not options.quiet:
        click.echo(show.start_line(snapshot, stderr()), err=True)
    return view_to_end(context, snapshot.id, snapshot.spec.notebook, options)


def view_to_end(context: Context, run_id: str, notebook: str, options: ViewOptions) -> int:
    """Show a run of the caller's until its end, and how it ended; its exit code. Ctrl-C stops it."""
    code = view(context, run_id, notebook, stops=True, to_stderr=options.as_json)
    if options.as_json:
        click.echo(show.as_json(details(context, run_id).to_json()))
    if not options.quiet:
        print_ends([find(context, run_id)])
    return code


def print_ends(runs: Sequence[Run]) -> None:
    """Say how runs ended, a line each."""
    for run in runs:
        click.echo(show.end_line(run, stderr()), err=True)


def ring(code: int) -> None:
    """Ring the terminal, if there is one: the bell, and the notification of those that know OSC 9 (iTerm2, Windows
    Terminal, kitty, WezTerm)."""
    if sys.stderr.isatty():
        click.echo(f"\a\x1b]9;snaprun: the run has ended, exit {code}\x1b\\", nl=False, err=True)


def view(context: Context, run_id: str, notebook: str, *, stops: bool, to_stderr: bool = False) -> int:
    """Show a run's output as it comes, with a progress line on a terminal, and return the run's exit code.

    ``stops``: Ctrl-C stops the run, the second one at once; else it only leaves the view.
    """
    data = sys.stderr.buffer if to_stderr else raw_stdout()
    interrupts = Interrupts(context, run_id) if stops else None
    bar = None
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from snaprun.api.ps import earlier_seconds
        from snaprun.bar import Bar  # rich: a detached start has no use for it

        bar = Bar(data, sys.stderr, earlier_seconds(context, notebook))
    is_held = False
    try:
        for update in follow(context, run_id):
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
        text = "stopping; once more kills it" if self._count == 1 else "killing"
        interrupt(self._context, self._id, kill=self._count > 1, on_request=lambda: _say_at_once(text))


def _say_at_once(text: str) -> None:
    """Say something from a signal handler: past the buffer, which may be in the middle of a write, and not at all
    where a terminal that stands still would keep us waiting."""
    poll = select.poll()
    poll.register(2, select.POLLOUT)
    if poll.poll(0):
        with suppress(OSError):
            os.write(2, f"{text}\n".encode())
