"""Keep a live folder there while its run goes on, though somebody deletes it. Standard library only.

Every file of it that counts has a second name outside of the state folder, see :func:`snaprun.live.livefolder.kept`:
what is deleted gets its first name back within a second, and whoever has it open (the journal, the holders of the lock)
never notices.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from snaprun.git.locate import make_private
from snaprun.live import lock
from snaprun.live.livefolder import GROWING, Live, kept, lay_import_path
from snaprun.live.order import SUBMITTED, SUPERVISOR, TALK

SMALL = ("spec.json", "params.json", "order.json", "notebook.json", "environment.json", "inputs.json", "kernel.json",
         SUPERVISOR, SUBMITTED)  # fmt: skip
"""Files that are written as a whole, some of them more than once."""

OPEN = (lock.NAME, TALK, *GROWING)
"""Files that somebody has open all the time."""

INTERVAL = 1.0
"""Seconds between two looks, a dozen system calls each."""

RESERVE = "reserve"
"""In the live folder: room on the disk, given back for the last words when there is no other."""

ROOM = 256 * 1024
"""Its bytes: an index takes a few pages and their journal."""


class Memory:
    """Looks after a live folder from a thread of its own, until told to stop.

    Raises:
        OSError: the disk is full before the run has begun.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self._over = threading.Event()
        with (live.path / RESERVE).open("wb") as reserve:
            reserve.write(bytes(ROOM))
        _keep(live)
        self._thread = threading.Thread(target=self._work, name="snaprun-memory", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look a last time. From now on the folder may go."""
        self._over.set()
        self._thread.join()
        mend(self._live)

    def give_back(self) -> None:
        """Free the reserve: on a full disk the journal's end, and all that waits in memory, gets its room."""
        (self._live.path / RESERVE).unlink(missing_ok=True)

    def _work(self) -> None:
        while not self._over.wait(INTERVAL):
            mend(self._live)


def mend(live: Live) -> bool:
    """Give what was deleted its name back; whether the folder is there now."""
    with suppress(OSError):  # no file system for it, or no room: what was kept stays for the next time
        if not live.path.is_dir():
            return _again(live)
        _link(kept(live), live.path, OPEN)
        _keep(live)
    return live.path.is_dir()


def _keep(live: Live) -> None:
    """Give what is new in the folder its second name."""
    folder = kept(live)
    try:
        make_private(folder)
        for name in SMALL:
            new, old = live.path / name, folder / name
            if new.exists() and old.exists() and not new.samefile(old):
                old.unlink()
        _link(live.path, folder, (*SMALL, *OPEN))
    except OSError:  # a file system without links: then the folder must not be deleted
        return


def _again(live: Live) -> bool:
    """Make the folder anew; it appears whole."""
    if not kept(live).is_dir():
        return False
    half = live.path.with_name(f".{live.id}.again.{os.getpid()}")
    make_private(half.parent)
    half.mkdir(mode=0o700)
    _link(kept(live), half, (*SMALL, *OPEN))
    lay_import_path(half)
    half.rename(live.path)
    return True


def _link(source: Path, target: Path, names: Iterable[str]) -> None:
    """Link these files, and the large outputs, where they are not there yet."""
    blobs = Live(source).blobs
    if blobs.is_dir():
        Live(target).blobs.mkdir(mode=0o700, exist_ok=True)
        names = (*names, *(f"{blobs.name}/{path.name}" for path in blobs.iterdir() if not path.name.startswith(".")))
    for name in names:
        with suppress(FileExistsError, FileNotFoundError):
            os.link(source / name, target / name)
