"""Ask that a run in progress ends: the wish is written down, then its supervisor is told. Standard library only."""

from __future__ import annotations

import signal
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from snaprun.errors import Denied, Unavailable
from snaprun.files import read_json, write_json
from snaprun.live.livefolder import Live
from snaprun.live.order import STOP
from snaprun.live.supervision import host_of, supervised_by
from snaprun.machine import process


def request(
    folder: Live,
    number: int = signal.SIGTERM,
    *,
    grace: float | None = None,
    kill: bool = False,
    reason: str | None = None,
) -> bool:
    """Ask by signal ``number``; ``kill`` without waiting, ``grace`` in seconds. False where nobody is there any more.

    The record gives ``reason`` as the reason, unless somebody has asked before; a grace given before stands until
    another is given.

    Only a process that is provably this run's supervisor or worker (boot, pid and start time) gets the signal.

    Raises:
        Unavailable: the run is on another machine. Denied: it belongs to another user.
    """
    host = host_of(folder)
    if host is not None:
        raise Unavailable(f"run {folder.id[:8]} runs on {host}", hint=f"call snaprun stop {folder.id[:8]} there")
    about = supervised_by(folder)
    if about is None:
        return False
    try:
        ask_stop(folder.path, _joined(asked_stop(folder.path), Request(number, kill, grace, time.time(), reason)))
        return any(process.send(who, number) and process.send(who, signal.SIGCONT) for who in about)
    except PermissionError as error:
        raise Denied(f"run {folder.id[:8]} belongs to another user", hint=f"ls -ld {folder.path}") from error
    except FileNotFoundError:  # it has just ended
        return False


def _joined(earlier: Request | None, wish: Request) -> Request:
    """A wish that comes after an earlier one."""
    if earlier is None:
        return wish
    grace = earlier.grace if wish.grace is None else wish.grace
    return replace(wish, kill=wish.kill or earlier.kill, grace=grace, reason=earlier.reason)


@dataclass(frozen=True)
class Request:
    """Somebody's wish that the run ends: by which signal, without waiting (``kill``), with which grace in seconds.

    ``reason`` stands in the record then; without one, the record names the signal.
    """

    signal: int
    kill: bool = False
    grace: float | None = None
    time: float = 0.0
    reason: str | None = None


def ask_stop(live: Path, request: Request) -> None:
    """Write the wish down, so that whoever finalises the run knows of it.

    Raises:
        OSError: the live folder is gone, or cannot be written.
    """
    write_json(live / STOP, asdict(request))


def asked_stop(live: Path) -> Request | None:
    """The wish that lies in a live folder, if there is one."""
    try:
        data = read_json(live / STOP)
        return Request(**{key: value for key, value in data.items() if key in Request.__dataclass_fields__})
    except (OSError, ValueError, TypeError):
        return None


def note_stop(live: Path, number: int, now: float) -> Request:
    """The wish that a signal brings: the one written down, else this signal, which is written down if possible."""
    found = asked_stop(live)
    if found is not None:
        return found
    request = Request(signal=number, time=now)
    try:
        ask_stop(live, request)
    except OSError:
        return request  # the folder was deleted, or the disk is full: the signal counts all the same
    return request
