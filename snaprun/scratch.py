"""Private temporary folders below the state folder: locked while in use, swept by the next user after a crash."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from snaprun.errors import CannotCreate, Denied, SnaprunError, WriteFault
from snaprun.locate import Place


@contextmanager
def scratch(place: Place) -> Iterator[Path]:
    """A fresh empty folder on the file system of the repository, gone afterwards.

    Its own file descriptor holds a lock, so that the system knows whether its maker is alive; what dead makers left
    behind is removed on the way.

    Raises:
        CannotCreate: the repository is read-only.
        Denied: its state folder belongs to somebody else.
        WriteFault: the disk is full.
    """
    root = place.state / "tmp"
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(root)
        folder, lock = _locked(root)
    except OSError as error:
        raise _fault(error, place) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked(root: Path) -> tuple[Path, int]:
    """Make a folder and hold its lock; a sweeper may win the race for a folder that is not locked yet."""
    while True:
        folder = Path(tempfile.mkdtemp(dir=root))
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder, lock
        os.close(lock)


def _sweep(root: Path) -> None:
    """Remove the folders whose maker is gone."""
    for entry in os.scandir(root):
        try:
            lock = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(entry.path, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)


def _fault(error: OSError, place: Place) -> SnaprunError:
    """The error that fits what the system said about the state folder."""
    what = f"cannot write below {place.state}: {error.strerror}"
    if isinstance(error, PermissionError):
        return Denied(what, hint=f"ls -ld {place.common_dir}")
    if error.errno in (28, 122):  # ENOSPC, EDQUOT
        return WriteFault(what, hint="free some disk space, then try again")
    return CannotCreate(what, hint="the repository is read-only: clone it to where you can write")
