"""Ask that a run in progress ends: write the request down, then signal its supervisor. Standard library only."""

from __future__ import annotations

import signal
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from snaprun.errors import Denied, Unavailable
from snaprun.files import read_json, write_json
from snaprun.live.livefolder import Live
from snaprun.live.names import STOP_FILE
from snaprun.live.supervision import host_of, read_identities
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
    identities = read_identities(folder)
    if identities is None:
        return False
    try:
        write_stop_request(
            folder.path, _merge(read_stop_request(folder.path), StopRequest(number, kill, grace, time.time(), reason))
        )
        return any(process.send(identity, number) and process.send(identity, signal.SIGCONT) for identity in identities)
    except PermissionError as error:
        raise Denied(f"run {folder.id[:8]} belongs to another user", hint=f"ls -ld {folder.path}") from error
    except FileNotFoundError:  # it has just ended
        return False


def _merge(earlier: StopRequest | None, later: StopRequest) -> StopRequest:
    """The request that stands where one came before: what was asked for earlier is not taken back."""
    if earlier is None:
        return later
    grace = earlier.grace if later.grace is None else later.grace
    return replace(later, kill=later.kill or earlier.kill, grace=grace, reason=earlier.reason)


@dataclass(frozen=True)
class StopRequest:
    """What somebody asks: that the run ends, by which signal, without waiting (``kill``), with which grace in seconds.

    ``reason`` stands in the record then; without one, the record names the signal.
    """

    signal: int
    kill: bool = False
    grace: float | None = None
    time: float = 0.0
    reason: str | None = None


def write_stop_request(path: Path, request: StopRequest) -> None:
    """Write a request down, so that whoever finalises the run knows of it.

    Raises:
        OSError: the live folder is gone, or cannot be written.
    """
    write_json(path / STOP_FILE, asdict(request))


def read_stop_request(path: Path) -> StopRequest | None:
    """The request in a live folder; None where there is none, or it is damaged."""
    try:
        data = read_json(path / STOP_FILE)
        signal.Signals(data["signal"])
        return StopRequest(**{key: value for key, value in data.items() if key in StopRequest.__dataclass_fields__})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def ensure_stop_request(path: Path, number: int, now: float) -> StopRequest:
    """What a signal asks for: the request in the live folder, else one of this signal, which is written if possible."""
    earlier_request = read_stop_request(path)
    if earlier_request is not None:
        return earlier_request
    request = StopRequest(signal=number, time=now)
    try:
        write_stop_request(path, request)
    except OSError:
        return request  # the folder was deleted, or the disk is full: the signal counts all the same
    return request
