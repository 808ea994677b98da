"""Remember what a live folder holds, so that a run survives somebody deleting it. Standard library only."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from snaprun.progress import lock
from snaprun.progress.live import GROWING, Live
from snaprun.progress.order import SUPERVISOR

SMALL = ("spec.json", "params.json", "order.json", "notebook.json", SUPERVISOR)

RESERVE = "reserve"
"""In the live folder: room on the disk, given back for the last words when there is no other."""

ROOM = 256 * 1024
"""Its bytes: an index takes a few pages and their journal."""


@dataclass(frozen=True)
class Memory:
    """The small files by content; the growing ones by descriptors, which outlive their names."""

    contents: Mapping[str, bytes]
    handles: Mapping[str, int]

    def give_back(self, live: Live) -> None:
        """Free the reserve: on a full disk the journal's end, and all that waits in memory, gets its room."""
        (live.path / RESERVE).unlink(missing_ok=True)

    def restore(self, live: Live) -> None:
        """Make the folder again if it is gone; its new lock is held until this process ends.

        Raises:
            OSError: it cannot be written.
        """
        if live.path.is_dir():
            return
        half = live.path.with_name(f".{live.id}.again.{os.getpid()}")
        half.mkdir(mode=0o700, parents=True)
        for name, content in self.contents.items():
            with _create(half / name) as target:
                target.write(content)
        for name, handle in self.handles.items():
            with os.fdopen(os.dup(handle), "rb") as source, _create(half / name) as target:
                source.seek(0)
                shutil.copyfileobj(source, target)
        lock.take(half)
        half.rename(live.path)


def remember(live: Live) -> Memory:
    """What is in the folder now, a hold on what will be, and a reserve of room.

    Raises:
        OSError: the disk is full before the run has begun.
    """
    contents = {name: content for name in SMALL if (content := _read(live.path / name)) is not None}
    handles = {name: os.open(live.path / name, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600) for name in GROWING}
    with (live.path / RESERVE).open("wb") as reserve:
        reserve.write(bytes(ROOM))
    return Memory(contents, handles)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
