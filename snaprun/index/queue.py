"""What waits for its turn: look at the queue, and wake who starts it. Standard library only.

The queue lives in the index. No daemon serves it: whoever queues a run, ends one or looks at runs wakes a dispatcher,
which goes away when there is nothing left. :mod:`snaprun.index.claims` changes the queue,
:mod:`snaprun.running.dispatch` serves it.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snaprun.git.locate import Place, make_private
from snaprun.index import searches
from snaprun.index.runlist import Reader
from snaprun.progress import detached
from snaprun.progress.order import read_json, write_json

BELL = "bell"
"""In the queue's folder: a pipe that the dispatcher listens at."""

STARTING = "starting"
"""In the queue's folder: locked while a dispatcher starts, until it listens or goes."""

TALK = "dispatch.log"
"""In the queue's folder: what a dispatcher has to say."""


@dataclass(frozen=True)
class Waiting:
    """A run in the queue. ``place`` counts from 1 in the order of starting; a ``claimed`` one is started already."""

    run: str
    place: int
    claimed: bool
    group: str | None
    jobs: int | None
    after: str | None
    retries: int
    attempt: int
    queued: str
    note: str | None


@dataclass(frozen=True)
class Listing:
    """The queue of a machine: its runs in order, how many may work at a time (None: as each asks), whether it rests."""

    runs: tuple[Waiting, ...]
    jobs: int | None = None
    paused: bool = False


def listing(reader: Reader, host: str) -> Listing:
    """The queue of this repository on the machine ``host``."""
    values = {"repo": reader.repo, "host": host}
    with reader.steady():
        found = reader.rows(
            'SELECT q.run, q.state, q."group", q.jobs, q.after, q.retries, q.attempt, q.queued, q.note FROM queue q '
            "WHERE q.repo = :repo AND q.host = :host ORDER BY q.position",
            values,
        )
        limits = reader.rows("SELECT jobs, paused FROM queues WHERE repo = :repo AND host = :host", values)
    runs = (
        Waiting(run, number, state == "claimed", group, jobs, after, retries, attempt, queued, note)
        for number, (run, state, group, jobs, after, retries, attempt, queued, note) in enumerate(found, start=1)
    )
    jobs, paused = limits[0] if limits else (None, False)
    return Listing(tuple(runs), jobs, bool(paused))


def reasons(found: Listing, *, there: str = "") -> dict[str, str]:
    """Why each run waits that has not been started, in the order of starting. ``there`` is said where the queue is
    another machine's."""
    made: dict[str, str] = {}
    for one in found.runs:
        if not one.claimed:
            place = f"{len(made)} before it{there}" if made else f"next{there}"
            after = f"after {one.after[:8]}" if one.after else place
            made[one.run] = one.note or (f"the queue{there} is paused" if found.paused else after)
    return made


def busy(place: Place) -> Mapping[str, Any] | None:
    """What :func:`mark` wrote, or None where nothing is queued."""
    try:
        return read_json(place.busy)
    except (OSError, ValueError):
        return None


def mark(place: Place, about: Mapping[str, Any]) -> None:
    """Say that there is something to do. Raises OSError where the state folder cannot be written."""
    make_private(place.queue)
    write_json(place.busy, about)


def wake(place: Place, env: Mapping[str, str]) -> bool:
    """Make sure that a dispatcher looks at the queue now; False where there is nothing to do.

    One look for a file where nothing is queued; starting a dispatcher takes no longer than starting a shell. The same
    for searches that go on.
    """
    if place.searching.exists():
        searches.wake(place, env)
    if not place.busy.exists():
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
    held = detached.take(place.queue / STARTING)
    if held is not None:
        where = json.dumps({name: os.fspath(path) for name, path in vars(place).items()})
        command = [sys.executable, "-m", "snaprun.running.dispatch", where]
        detached.start(command, env, held=held, talk=place.queue / TALK)
    return True
