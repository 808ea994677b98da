"""Hold a run to an amount of memory: measure what its processes use, a few times a second, and end them above it.

Measured, not enforced by the system: that takes a control group, which an ordinary user often may not make, and an
address-space limit counts what is only mapped. Memory that processes share is counted once: on Linux by proportional
set sizes (PSS, ``Documentation/filesystems/proc.rst``), on macOS by unique ones (USS), which leave it out.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from snaprun.errors import Unavailable
from snaprun.machine import process
from snaprun.machine.process import Identity
from snaprun.quantities import round_size

INTERVAL = 0.25
"""Seconds between two measurements."""

LONGEST_PAUSE = 2.0
PAUSE_FACTOR = 20
"""Where a measurement takes long (many processes, much memory), the pause is so many times as long, and no longer than
that many seconds."""

PATIENCE = 10.0
"""Seconds during which what is too large is killed again and again, should it go on starting processes."""

PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Excess:
    """What the guard found; in bytes."""

    usage: int
    limit: int

    @property
    def reason(self) -> str:
        """Why the run ended."""
        return f"used {round_size(self.usage)}, more than the {round_size(self.limit)} of --max-memory"


class Guard:
    """A thread that watches everything below this process while it is entered as a context."""

    def __init__(self, limit: int) -> None:
        self.excess: Excess | None = None
        self._limit = limit
        self._stop_event = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="snaprun-memory", daemon=True)

    def __enter__(self) -> Guard:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_event.set()
        self._thread.join()

    def _watch(self) -> None:
        pause = INTERVAL
        while not self._stop_event.wait(pause):
            start = time.thread_time()
            usage = self._measure()
            if usage > self._limit:
                self.excess = Excess(usage, self._limit)
                self._kill()
                return
            pause = min(max(INTERVAL, PAUSE_FACTOR * (time.thread_time() - start)), LONGEST_PAUSE)

    def _measure(self) -> int:
        """What the run uses; resident sizes, which are quick to read, where even they are below the limit."""
        pids = _family(os.getpid())
        estimate = sum(resident(pid) for pid in pids)
        return estimate if estimate <= self._limit else sum(proportional(pid) for pid in pids)

    def _kill(self) -> None:
        """Kill the run's processes; they are reaped by whoever waits for them."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            survivors = process.descendants(os.getpid(), is_exempt=process.is_supervisor)
            if not survivors:
                return
            for identity in survivors:
                _kill(identity)
            time.sleep(0.02)


def check() -> None:
    """Make sure that memory can be measured here. Raises Unavailable."""
    if proportional(os.getpid()) > 0:
        return
    raise Unavailable("this system does not say how much memory a process uses", hint="leave --max-memory out")


def resident(pid: int) -> int:
    """Bytes of a process that are in memory, what it shares with others included; 0 where it is gone."""
    if not process.LINUX:
        return _unique(pid)
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def proportional(pid: int) -> int:
    """Bytes of a process in memory, of what it shares its part; 0 where it is gone.

    Of another user's process only what it shares with nobody is known.
    """
    if not process.LINUX:
        return _unique(pid)
    for name in ("smaps_rollup", "smaps"):  # the first since Linux 4.14
        try:
            lines = Path(f"/proc/{pid}/{name}").read_bytes().splitlines()
        except PermissionError:
            return _private(pid)
        except OSError:
            continue
        return sum(int(line.split()[1]) for line in lines if line.startswith(b"Pss:")) * 1024
    return 0


def _family(root: int) -> list[int]:
    """Everything below a process, without the runs that a run has started: those have limits of their own."""
    if not os.path.exists(f"/proc/{root}/task/{root}/children"):  # macOS; Linux without CONFIG_PROC_CHILDREN
        return [identity.pid for identity in process.descendants(root, is_exempt=process.is_supervisor)]
    pids: list[int] = []
    queue = _children(root)
    while queue:
        pid = queue.pop()
        if not process.is_supervisor(pid):
            pids.append(pid)
            queue += _children(pid)
    return pids


def _children(pid: int) -> list[int]:
    """The processes that ``pid`` has started, or that were left to it; far quicker than the whole process table."""
    pids: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:  # it has ended
        return pids
    for thread in threads:  # each is the child of the thread that started it
        with suppress(OSError):
            pids += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split())
    return pids


def _private(pid: int) -> int:
    try:
        _, total, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_bytes().split())
    except (OSError, ValueError):
        return 0
    return max(0, total - shared) * PAGE


def _unique(pid: int) -> int:
    """What a process shares with nobody. psutil is imported only where there is no /proc: every start would pay."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_full_info().uss)
    except psutil.Error:
        return 0


def _kill(identity: Identity) -> None:
    with suppress(PermissionError):
        process.send(identity, signal.SIGKILL)
