"""Point the standard streams of this process elsewhere. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path

IN, OUT, ERR = range(3)


def detach(stream: int) -> None:
    """Point a standard stream at nothing, letting go of what it was."""
    _point(stream, os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))


def append(stream: int, path: Path) -> None:
    """Point a standard stream at the end of a file, made where there is none. Raises OSError where that cannot be."""
    _point(stream, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))


def _point(stream: int, handle: int) -> None:
    if handle == stream:  # it was closed, so that the system has given its number away
        os.set_inheritable(stream, True)
    else:
        os.dup2(handle, stream)
        os.close(handle)
