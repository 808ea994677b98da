"""Watch a sweep or a search: a few lines on a terminal that are drawn anew until it is over."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

State = TypeVar("State")


def watch(
    states: Iterator[State], render: Callable[[State], str], *, kind: str, group: str, quiet: bool
) -> State | None:
    """Show how it goes until it is over: how it was then; None where Ctrl-C left it to go on."""
    last: State | None = None
    try:
        with _board(quiet) as draw:
            for last in states:
                draw(render(last))
    except KeyboardInterrupt:
        click.echo(f"the {kind} goes on; snaprun stop --group {group} ends it, snaprun queue shows it", err=True)
        return None
    return last


@contextmanager
def _board(quiet: bool) -> Iterator[Callable[[str], None]]:
    """What draws a text in place of the one before, on a terminal; nothing elsewhere."""
    if quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda _: None
        return
    with Live(console=Console(file=sys.stderr), auto_refresh=False, transient=True) as live:
        yield lambda text: live.update(Text.from_ansi(text), refresh=True)
