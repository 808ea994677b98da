"""Let one process at a time do something: locks on files and folders. Standard library only.

An flock belongs to the open file, not to a process: the system frees it whatever way its holders end, it may be handed
on with its descriptor, and no child has it unless it is given it. Lock files are never removed, or one could be held
that others do not see; the lock of a live folder, which may be deleted, is :mod:`snaprun.live.lock`.
"""

from __future__ import annotations

import fcntl
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INTERVAL = 0.02
"""Seconds between two tries where a lock is waited for with a deadline."""


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock of this file inside the block, waiting for it; the file is made where there is none.

    Raises:
        OSError: it cannot be made.
    """
    with hold_within(path, math.inf):
        yield


@contextmanager
def hold_within(path: Path, patience: float) -> Iterator[bool]:
    """As :func:`hold`, waiting so many seconds at most (0: not at all); whether the lock is held inside the block."""
    handle = _open(path)
    try:
        yield _acquire_within(handle, patience)
    finally:
        os.close(handle)


def take(path: Path) -> int | None:
    """The descriptor that holds the lock of this file, for the caller to close or to hand on; None where somebody has
    it. The file is made where there is none.

    Raises:
        OSError: it cannot be made.
    """
    handle = _open(path)
    if try_acquire(handle):
        return handle
    os.close(handle)
    return None


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock of this file. Raises OSError where there is none."""
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return try_acquire(handle)
    finally:
        os.close(handle)


def acquire(handle: int) -> None:
    """Wait for the lock of an open file or folder; it is held until the descriptor is closed."""
    fcntl.flock(handle, fcntl.LOCK_EX)


def try_acquire(handle: int) -> bool:
    """Take the lock of an open file or folder if nobody has it; whether it is held now."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _acquire_within(handle: int, patience: float) -> bool:
    if patience == math.inf:
        acquire(handle)
        return True
    deadline = time.monotonic() + patience
    while not try_acquire(handle):
        if time.monotonic() >= deadline:
            return False
        time.sleep(INTERVAL)
    return True


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
