"""What a command takes from the process it runs in: the current folder, the environment, the terminal."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path
from typing import BinaryIO

import click

from snaprun.context import Context, open_context
from snaprun.errors import Unavailable
from snaprun.show import Look, choose_look


def load_context() -> Context:
    """The repository around the current folder."""
    try:
        folder = Path.cwd()
    except FileNotFoundError as error:
        raise Unavailable("the current folder is gone", hint="cd into a folder that exists") from error
    return open_context(folder, os.environ, lambda text: click.echo(f"warning: {text}", err=True))


def command_line() -> tuple[str, ...]:
    """What the user has typed, for the run's record."""
    return tuple(sys.argv[1:])


def stdout() -> Look:
    """How to show on standard output."""
    return choose_look(terminal=sys.stdout.isatty(), env=os.environ)


def stderr() -> Look:
    """How to show on standard error."""
    return choose_look(terminal=sys.stderr.isatty(), env=os.environ)


def raw_stdout() -> BinaryIO:
    """Standard output for bytes."""
    return sys.stdout.buffer


def require_reader() -> None:
    """Notice that nobody reads standard output any more, as in ``snaprun logs -f | head``, while there is no output.

    Raises:
        BrokenPipeError: nobody does; a write would say the same.
    """
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)  # errors are told of unasked
    except (OSError, ValueError):  # no file, as in tests
        return
    if any(events & select.POLLERR for _, events in poll.poll(0)):
        raise BrokenPipeError
