"""A few lines on a terminal that are drawn anew while something goes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

INTERVAL = 0.5
"""Seconds between two looks at what goes on."""


@contextmanager
def board(quiet: bool) -> Iterator[Callable[[str], None]]:
    """What draws a text in place of the one before, on a terminal; nothing elsewhere."""
    if quiet or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda _: None
        return
    with Live(console=Console(file=sys.stderr), auto_refresh=False, transient=True) as live:
        yield lambda text: live.update(Text.from_ansi(text), refresh=True)
