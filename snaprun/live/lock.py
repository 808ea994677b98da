"""Take the lock of a live folder: supervisor and worker hold it together, so it is free exactly when both are gone.

An flock belongs to the open file, not to a process: handing the descriptor on hands the lock on, with no gap, and the
system frees it whatever way its holders end. Standard library only.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from snaprun import filelock
from snaprun.live.names import LOCK_FILE


def make(path: Path) -> None:
    """Make a lock where none is. Raises OSError where it cannot be made."""
    os.close(os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def take(path: Path) -> int | None:
    """Take the lock of a live folder: its descriptor, or None where somebody holds it or the folder is gone.

    A lock that is not there is not free: somebody deleted its file, and who held it holds it still.
    """
    lock_path = path / LOCK_FILE
    try:
        handle = os.open(lock_path, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        is_current = filelock.try_acquire(handle) and os.path.samestat(os.fstat(handle), os.stat(lock_path))
    except OSError:  # removed between the opening and the locking
        is_current = False
    if is_current:
        return handle
    os.close(handle)
    return None


def wait_until_free(path: Path) -> None:
    """Wait until nobody holds the lock of a live folder, or the folder is gone: the system tells, nothing is polled."""
    with suppress(FileNotFoundError, NotADirectoryError):
        handle = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
        try:
            filelock.acquire(handle)
        finally:
            os.close(handle)
