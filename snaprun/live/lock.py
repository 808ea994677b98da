"""The lock of a live folder: held by supervisor and worker together, so it is free exactly when both are gone.

An flock belongs to the open file, not to a process: handing the descriptor on hands the lock on, with no gap, and the
system frees it whatever way its holders end. Standard library only.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

NAME = "lock"


def make(live: Path) -> None:
    """Make a lock where none is. Raises OSError where it cannot be made."""
    os.close(os.open(live / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def take(live: Path) -> int | None:
    """Take the lock of a live folder: its descriptor, or None where somebody holds it or the folder is gone.

    A lock that is not there is not free: somebody deleted its file, and who held it holds it still.
    """
    path = live / NAME
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_current = os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:  # held; or removed between the opening and the locking
        is_current = False
    if is_current:
        return handle
    os.close(handle)
    return None
