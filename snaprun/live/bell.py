"""Wake the dispatcher of the queue and the processes of searches, or start them. Standard library only."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from snaprun import filelock, programs
from snaprun.files import read_json_or_empty, write_json
from snaprun.git.locate import Place, make_private
from snaprun.live import daemon, searches

BELL = "bell"
"""In the queue's folder: a pipe that the dispatcher listens at."""

START_LOCK = "starting"
"""In the queue's folder: locked while a dispatcher starts, until it listens or goes."""

LOG_NAME = "dispatch.log"
"""In the queue's folder: the messages of dispatchers."""


def read_mark(place: Place) -> Mapping[str, Any] | None:
    """What :func:`mark` wrote, or None where nothing is queued."""
    return read_json_or_empty(place.busy_file) or None


def mark(place: Place, data: Mapping[str, Any]) -> None:
    """Say that there is something to do. Raises OSError where the state folder cannot be written."""
    make_private(place.queue)
    write_json(place.busy_file, data)


def wake(place: Place, env: Mapping[str, str]) -> bool:
    """Make sure that a dispatcher looks at the queue now; False where there is nothing to do.

    One look for a file where nothing is queued; starting a dispatcher takes no longer than starting a shell. The same
    for searches that go on.
    """
    if place.search_marks.exists():
        searches.wake(place, env)
    if not place.busy_file.exists():
        return False
    try:
        return ring(place) or _start(place, env)
    except OSError:  # the state folder cannot be written: whoever looks next tries again
        return False


def ring(place: Place) -> bool:
    """Ring the bell; False where no dispatcher listens."""
    try:
        bell = os.open(place.queue / BELL, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(bell, b"!")
    except OSError as error:
        return error.errno == errno.EAGAIN  # it is full: somebody has rung it often enough
    finally:
        os.close(bell)
    return True


def _start(place: Place, env: Mapping[str, str]) -> bool:
    """Start a dispatcher, unless one is about to listen."""
    descriptor = filelock.take(place.queue / START_LOCK)
    if descriptor is not None:
        command = [sys.executable, "-m", programs.DISPATCHER, json.dumps(place.to_json())]
        daemon.start(command, env, lock=descriptor, log=place.queue / LOG_NAME)
    return True
