"""Make private temporary folders below the state folder, locked while in use, swept by the next user after a crash."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from snaprun import filelock
from snaprun.errors import CannotCreate, os_fault
from snaprun.git.locate import Place, make_private

_REF = "ref"
_SHARED = "shared-ref"

PATIENCE = 2.0
"""Seconds; git holds a ref's lock for milliseconds."""


@contextmanager
def scratch(place: Place) -> Iterator[Path]:
    """A fresh empty folder on the file system of the repository, gone afterwards.

    Its own file descriptor holds a lock, so that the system knows whether its maker is alive; what dead makers left
    behind is removed on the way. What the system refuses inside the block is raised as below.

    Raises:
        CannotCreate: the repository is read-only.
        Denied: its state folder belongs to somebody else.
        WriteFault: the disk is full.
    """
    root = place.state / "tmp"
    lock = -1
    try:
        make_private(root)
        _sweep(root, place)
        folder, lock = _make_folder(root)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        text = f"cannot write below {place.state}"
        raise os_fault(error, text, place.common_dir, otherwise=CannotCreate) from error
    finally:
        if lock >= 0:
            os.close(lock)


def announce(folder: Path, ref: str, *, shared: bool = False) -> None:
    """Note that ``ref`` is about to be made or moved: a git killed inside ``update-ref`` leaves ``<ref>.lock`` behind.

    Whoever sweeps the folder removes that lock as well; ``shared`` says that others may move the ref too.
    """
    (folder / (_SHARED if shared else _REF)).write_text(ref)


def unlock(place: Place, ref: str, *, shared: bool = False) -> None:
    """Remove the lock that a killed git left on a ref; on a shared one, only when it is too old to be in use."""
    lock = place.common_dir / f"{ref}.lock"
    with suppress(OSError):
        if not shared or time.time() - lock.stat().st_mtime > PATIENCE:
            lock.unlink()


def _make_folder(root: Path) -> tuple[Path, int]:
    """Make a folder and hold its lock; a sweeper may win the race for a folder that is not locked yet."""
    while True:
        folder = Path(tempfile.mkdtemp(dir=root))
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        filelock.acquire(lock)
        if folder.exists():
            return folder, lock
        os.close(lock)


def _sweep(root: Path, place: Place) -> None:
    """Remove the folders whose maker is gone, and the lock of the ref that it was making."""
    for entry in os.scandir(root):
        try:
            lock = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if not filelock.try_acquire(lock):
                continue
            for name in (_REF, _SHARED):
                with suppress(OSError):
                    unlock(place, Path(entry.path, name).read_text(), shared=name == _SHARED)
            shutil.rmtree(entry.path, ignore_errors=True)
        finally:
            os.close(lock)
