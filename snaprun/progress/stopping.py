"""Ask that a run in progress ends: the wish is written down, then its supervisor is told. Standard library only."""

from __future__ import annotations

import signal
import time
from dataclasses import replace

from snaprun.errors import Denied, Unavailable
from snaprun.progress import process
from snaprun.progress.live import Live
from snaprun.progress.order import Request, ask_stop, asked_stop
from snaprun.progress.supervision import host_of, supervised_by


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
