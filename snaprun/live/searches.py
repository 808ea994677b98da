"""Mark which searches go on, and start the process that serves one. Standard library only.

No daemon here either: each search has a process of its own (:mod:`snaprun.sweeps.serve`), exclusive by a lock, which
goes when the search is over. Whatever ends it earlier, the next one who wakes the queue starts it again.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from snaprun import filelock, programs
from snaprun.errors import Busy
from snaprun.files import read_json, write_json
from snaprun.git.locate import Place, make_private
from snaprun.live import daemon

LOCK = "lock"
"""In a search's folder: held by the process that serves it, or that begins it."""

GATE = "gate"
"""In a search's folder: held while a run is started, trials are added, or somebody says that no more may start."""

LOG_NAME = "search.log"
TROUBLE = "trouble"
"""In a search's folder: the messages of its process, and why the last one could not go on."""

RETRY_PAUSE = 30.0
"""Seconds after which a process that could not go on is tried again."""

PATIENCE = 60.0
"""Seconds that others may hold the gate: starting a run takes a fraction of one."""


def folder(place: Place, group: str) -> Path:
    """Where everything of a search lies."""
    return place.searches / group


def mark(place: Place, group: str) -> None:
    """Say that a search goes on. Raises OSError where the state folder cannot be written."""
    while True:
        make_private(place.search_marks)
        try:
            return write_json(place.search_marks / group, {"python": sys.executable})
        except FileNotFoundError:  # the last other one has just taken the folder away
            continue


def unmark(place: Place, group: str) -> None:
    """Say that a search is over."""
    (place.search_marks / group).unlink(missing_ok=True)
    with suppress(OSError):  # others go on
        place.search_marks.rmdir()


def is_active(place: Place, group: str) -> bool:
    """Whether a search goes on."""
    return (place.search_marks / group).exists()


def wake(place: Place, env: Mapping[str, str]) -> None:
    """Make sure that every search that goes on is served."""
    with suppress(OSError):  # the state folder cannot be written: whoever looks next tries again
        for marker in list(place.search_marks.iterdir()):
            if not marker.name.startswith(".") and not _is_resting(folder(place, marker.name)):
                _start(place, marker, env)


def take(path: Path) -> int | None:
    """Take the lock of a search's folder: its descriptor, or None where somebody has it."""
    return filelock.take(path / LOCK)


@contextmanager
def gate(path: Path) -> Iterator[None]:
    """Let nobody else start a run of a search, add trials to it, or end it meanwhile.

    Raises:
        Busy: somebody holds it for a minute.
    """
    with filelock.hold_within(path / GATE, PATIENCE) as is_held:
        if not is_held:
            raise Busy(f"search {path.name} does not answer", hint=f"cat {path / LOG_NAME}")
        yield


def read_trouble(path: Path) -> str | None:
    """Why the process that serves a search could not go on lately."""
    with suppress(OSError, UnicodeDecodeError):
        return (path / TROUBLE).read_text("utf-8").strip()
    return None


def _is_resting(path: Path) -> bool:
    """Whether it has failed just now, and would again."""
    try:
        return 0 <= time.time() - (path / TROUBLE).stat().st_mtime < RETRY_PAUSE
    except FileNotFoundError:
        return False


def _start(place: Place, marker: Path, env: Mapping[str, str]) -> None:
    """Start the process of a search unless there is one."""
    path = folder(place, marker.name)
    descriptor = take(path)
    if descriptor is None:
        return
    try:
        python = str(read_json(marker).get("python"))
    except (OSError, ValueError):  # it is over
        os.close(descriptor)
        return
    python = python if os.access(python, os.X_OK) else sys.executable
    command = [python, "-m", programs.SEARCH, json.dumps(place.to_json()), marker.name]
    daemon.start(command, env, lock=descriptor, log=path / LOG_NAME)
