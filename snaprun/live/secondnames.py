"""Keep second names of the files of a live folder, so that one that is deleted comes back. Standard library only.

Every file of it that counts has a second name outside of the state folder
(:func:`snaprun.live.livefolder.backup_folder`): what is deleted gets its first name back within a second, and whoever
has it open (the journal, the holders of the lock) never notices.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from snaprun import files
from snaprun.git.locate import make_private
from snaprun.live.livefolder import Live, backup_folder, lay_import_path
from snaprun.live.names import OPEN_FILES, RESERVE_FILE, WHOLE_FILES

INTERVAL = 1.0
"""Seconds between two looks, a dozen system calls each."""

RESERVE_SIZE = 256 * 1024
"""Bytes of the reserve: an index takes a few pages and their journal."""


class LiveBackup:
    """Looks after a live folder from a thread of its own, until told to stop.

    Raises:
        OSError: the disk is full before the run has begun.
    """

    def __init__(self, folder: Live) -> None:
        self._folder = folder
        self._stop_event = threading.Event()
        files.write(folder.path / RESERVE_FILE, bytes(RESERVE_SIZE), durable=False)
        _back_up(folder)
        self._thread = threading.Thread(target=self._mend_until_stopped, name="snaprun-backup", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look a last time. From now on the folder may go."""
        self._stop_event.set()
        self._thread.join()
        mend(self._folder)

    def give_back(self) -> None:
        """Free the reserve: on a full disk the journal's end, and all that waits in memory, gets its room."""
        (self._folder.path / RESERVE_FILE).unlink(missing_ok=True)

    def _mend_until_stopped(self) -> None:
        while not self._stop_event.wait(INTERVAL):
            mend(self._folder)


def mend(folder: Live) -> bool:
    """Give what was deleted its name back; whether the folder is there now."""
    with suppress(OSError):  # no file system for it, or no room: what was kept stays for the next time
        if not folder.path.is_dir():
            return _restore(folder)
        _link(backup_folder(folder), folder.path, OPEN_FILES)
        _back_up(folder)
    return folder.path.is_dir()


def _back_up(folder: Live) -> None:
    """Give what is new in the folder its second name."""
    backup_path = backup_folder(folder)
    try:
        make_private(backup_path)
        for name in WHOLE_FILES:
            path, backup = folder.path / name, backup_path / name
            if path.exists() and backup.exists() and not path.samefile(backup):
                backup.unlink()
        _link(folder.path, backup_path, (*WHOLE_FILES, *OPEN_FILES))
    except OSError:  # a file system without links: then the folder must not be deleted
        return


def _restore(folder: Live) -> bool:
    """Make the folder anew; it appears whole."""
    if not backup_folder(folder).is_dir():
        return False
    temporary = folder.path.with_name(f".{folder.id}.again.{os.getpid()}")
    make_private(temporary.parent)
    temporary.mkdir(mode=0o700)
    _link(backup_folder(folder), temporary, (*WHOLE_FILES, *OPEN_FILES))
    lay_import_path(temporary)
    temporary.rename(folder.path)
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
