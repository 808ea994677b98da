"""Identify processes for certain, and end exactly those that are ours. Standard library only.

A process is (boot id, pid, start time): a pid alone is given to another process sooner or later. Linux answers from
/proc; elsewhere ``ps`` does, which is slower and knows start times to the second.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

MARK = "SNAPRUN_RUN_ID"
"""The variable in the environment of every process of a run that finds what escaped its tree."""

SUPERVISOR = "SNAPRUN_SUPERVISOR"
"""The variable that marks a supervisor: a run started by a run is not the outer run's to end."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask whoever looks after a run to end it, and are passed on."""

LINUX = sys.platform.startswith("linux")
_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@dataclass(frozen=True)
class Identity:
    """One process of one boot. ``start`` is the system's own text: clock ticks since boot, or ``ps``'s lstart."""

    boot: str
    pid: int
    start: str


@dataclass(frozen=True)
class ProcessEntry:
    """One line of the process table."""

    pid: int
    parent: int
    state: str
    start: str

    @property
    def dead(self) -> bool:
        """Whether it has ended and only waits to be reaped."""
        return self.state in ("Z", "X")


def boot_id() -> str:
    """What tells one boot of this machine from the next."""
    if LINUX:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return _output("sysctl", "-n", "kern.boottime")


def read_entry(pid: int) -> ProcessEntry | None:
    """The process table's line of ``pid``, or None where there is no such process."""
    if not LINUX:
        return next((line for line in _call_ps("-p", str(pid)) if line.pid == pid), None)
    data = _read_proc(pid, "stat")
    return _parse_stat(data) if data else None


def read_table() -> dict[int, ProcessEntry]:
    """Every process of this machine (on Linux: of this pid namespace)."""
    if not LINUX:
        return {line.pid: line for line in _call_ps("-A")}
    entries = (read_entry(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {line.pid: line for line in entries if line is not None}


def identify(pid: int | None = None) -> Identity | None:
    """Who ``pid`` (this process, if None) is; None where it is gone."""
    line = read_entry(os.getpid() if pid is None else pid)
    return None if line is None else Identity(boot_id(), line.pid, line.start)


def alive(identity: Identity) -> bool:
    """Whether exactly this process still exists. A suspended one does; a zombie does not."""
    line = read_entry(identity.pid)
    return line is not None and not line.dead and line.start == identity.start and boot_id() == identity.boot


def send(identity: Identity, number: int) -> bool:
    """Send a signal to exactly this process; False where it is gone.

    Raises:
        PermissionError: it belongs to another user.
    """
    if not hasattr(os, "pidfd_open") or not LINUX:
        if not alive(identity):
            return False
        return _kill(lambda: os.kill(identity.pid, number))
    try:
        handle = os.pidfd_open(identity.pid)
    except OSError:
        return alive(identity) and _kill(lambda: os.kill(identity.pid, number))
    try:  # the handle names one process for good: checked after it was opened, it cannot turn into another
        return alive(identity) and _kill(lambda: signal.pidfd_send_signal(handle, number))
    finally:
        os.close(handle)


def descendants(root: int, *, is_exempt: Callable[[int], bool] = lambda _pid: False) -> list[Identity]:
    """Everything below ``root``, parents first, without the subtrees of processes that ``is_exempt`` names."""
    return _find_below(root, read_table(), is_exempt)


def find_marked(run_id: str) -> list[Identity]:
    """Every process of this user whose environment says that it belongs to the run, except this one."""
    return _find_marked(run_id, read_table())


def find_by_run(run_id: str, root: int) -> list[Identity]:
    """Every process of a run, from one look at the process table: those below ``root`` without the runs that it has
    started, and those that escaped with its mark."""
    lines = read_table()
    return [*_find_below(root, lines, is_supervisor), *_find_marked(run_id, lines)]


def count_processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_environment(pid: int) -> list[bytes]:
    """The environment that a process was started with, as ``NAME=value``; empty where it may not be seen."""
    if not LINUX:
        return _output("ps", "-E", "-ww", "-o", "command=", "-p", str(pid)).encode().split(b" ")
    data = _read_proc(pid, "environ")
    return data.split(b"\0") if data else []


def is_supervisor(pid: int) -> bool:
    """Whether ``pid`` is the supervisor of a run."""
    return any(word.startswith(f"{SUPERVISOR}=".encode()) for word in read_environment(pid))


def become_subreaper() -> bool:
    """Let what loses its parent below this process become its child, to be ended with the run. Linux only."""
    if not LINUX:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) == 0


def reap() -> dict[int, int]:
    """Take the wait status of every child that has ended, by pid."""
    statuses: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return statuses
        if pid == 0:
            return statuses
        statuses[pid] = status


def end_all(
    find: Callable[[], Iterable[Identity]], *, grace: float = 1.0, patience: float = 10.0
) -> tuple[dict[int, int], list[Identity]]:
    """End everything that ``find`` finds, again and again until it finds nothing: TERM, ``grace`` seconds, KILL.

    Returns the wait status of the children that it reaped on the way, and what could not be ended in ``patience``
    seconds (a process in an uninterruptible system call; one of another user).
    """
    statuses: dict[int, int] = {}
    recipients: set[Identity] = set()
    start = time.monotonic()
    while True:
        statuses.update(reap())
        survivors = list(find())
        duration = time.monotonic() - start
        if not survivors or duration > patience:
            return statuses, survivors
        for identity in survivors:
            if duration >= grace:
                _try_send(identity, signal.SIGKILL)
            elif identity not in recipients:
                recipients.add(identity)
                _try_send(identity, signal.SIGTERM)
                _try_send(identity, signal.SIGCONT)  # a suspended process gets TERM only when it goes on
        time.sleep(0.005 if duration < 0.05 else 0.02)


def _find_below(root: int, lines: Mapping[int, ProcessEntry], is_exempt: Callable[[int], bool]) -> list[Identity]:
    children: dict[int, list[int]] = {}
    for line in lines.values():
        children.setdefault(line.parent, []).append(line.pid)
    boot = boot_id()
    identities: list[Identity] = []
    queue = sorted(children.get(root, []))
    while queue:
        pid = queue.pop(0)
        if is_exempt(pid):
            continue
        if not lines[pid].dead:
            identities.append(Identity(boot, pid, lines[pid].start))
        queue.extend(sorted(children.get(pid, [])))
    return identities


def _find_marked(run_id: str, lines: Mapping[int, ProcessEntry]) -> list[Identity]:
    mark = f"{MARK}={run_id}".encode()
    boot = boot_id()
    identities = []
    for line in lines.values():
        if line.pid == os.getpid() or line.dead:
            continue
        words = read_environment(line.pid)
        if mark in words and not any(word.startswith(f"{SUPERVISOR}=".encode()) for word in words):
            identities.append(Identity(boot, line.pid, line.start))
    return identities


def _read_proc(pid: int, name: str) -> bytes:
    """A file of /proc about a process; empty where it is gone or may not be seen. There may be thousands to read."""
    try:
        file = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        parts = []
        while part := os.read(file, 65536):
            parts.append(part)
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(file)


def _parse_stat(data: bytes) -> ProcessEntry:
    """Fields of /proc/<pid>/stat: the second holds the name in brackets, which may hold anything, brackets too."""
    pid = int(data[: data.index(b" ")])
    fields = data[data.rindex(b")") + 2 :].split()
    return ProcessEntry(pid=pid, parent=int(fields[1]), state=fields[0].decode(), start=fields[19].decode())


def _call_ps(*selection: str) -> list[ProcessEntry]:
    lines = _output("ps", *selection, "-o", "pid=,ppid=,stat=,lstart=").splitlines()
    entries = []
    for line in lines:
        pid, parent, state, start = line.split(None, 3)
        entries.append(ProcessEntry(int(pid), int(parent), state[:1], " ".join(start.split())))
    return entries


def _output(*command: str) -> str:
    env = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env).stdout.strip()


def _kill(call: Callable[[], None]) -> bool:
    try:
        call()
    except ProcessLookupError:
        return False
    return True


def _try_send(identity: Identity, number: int) -> bool:
    try:
        return send(identity, number)
    except PermissionError:
        return False
