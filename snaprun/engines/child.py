"""An interpreter as a child process: its streams journalled as they come, its messages heard in their right place.

Shared by the engines without a Jupyter kernel. Order is exact: the child flushes its streams, sends a message, and
waits until we have heard it; so what is in the pipes when a message arrives was written before it.
"""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from snaprun.engines import TIMED_OUT, Job, Outcome, Stop, died, environment, runs
from snaprun.live.journal import Journal, plain
from snaprun.machine.oom import oom_kills
from snaprun.model import Status

BOOT = Path(__file__).resolve().parent.parent / "boot"
READ = 256 * 1024
TAIL = 4000
"""Bytes of output that are kept to explain a start that failed."""

BUSY = 0.005
"""Seconds that a stream of small writes is left to fill, so that not every line wakes us."""

FAREWELL = 5.0
"""Seconds that the interpreter has to end in its own way, as Jupyter gives a kernel."""

TERM_PATIENCE = 3.0
"""Seconds between TERM and KILL."""


class Ended(Exception):
    """The run is over before its last cell."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class Child:
    """The process. ``talk`` is called with every message; ``number`` is the cell that streams belong to."""

    def __init__(self, job: Job, journal: Journal, stop: Stop, talk: Callable[[dict[str, Any]], None]) -> None:
        self.job = job
        self.journal = journal
        self.stop = stop
        self.number: int | None = None
        self.began = time.monotonic()
        self.cell_began = self.began
        self.tail = b""
        self._started = self.began
        self._talk = talk
        self._partial: list[bytes] = []
        self._ooms = oom_kills()
        self._selector = selectors.DefaultSelector()
        self._names: dict[int, str] = {}
        self._decoders: dict[str, Any] = {}
        self._small = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._orders = self._heard = -1

    def start(self, argv: Sequence[str]) -> None:
        """Start it in a session of its own. Raises Ended when it cannot be executed."""
        pipes = {name: os.pipe() for name in ("stdout", "stderr", "talk")}
        orders, self._orders = os.pipe()
        heard, self._heard = os.pipe()
        with tempfile.TemporaryFile(dir=self.job.live.path) as file:
            turn = os.dup(file.fileno())  # for a lock: the code may fork, and its children speak too
        inherited = (pipes["talk"][1], orders, heard, turn)
        talk = {"SNAPRUN_TALK": ",".join(map(str, inherited)), "SNAPRUN_PATH": str(self.job.live.import_path)}
        try:
            self._process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=pipes["stdout"][1],
                stderr=pipes["stderr"][1],
                pass_fds=inherited,
                cwd=self.job.folder,
                env={**environment(self.job), **talk},
                start_new_session=True,
            )
        except OSError as error:
            reason = f"the interpreter cannot be started: {error}"
            raise Ended(Outcome(Status.FAILED, 69, reason)) from error
        finally:
            for number in inherited[1:]:
                os.close(number)
            for name, (out, in_) in pipes.items():
                os.close(in_)
                os.set_blocking(out, False)
                _widen(out)
                self._names[out] = name
                self._decoders[name] = codecs.getincrementaldecoder("utf-8")("replace")
                self._selector.register(out, selectors.EVENT_READ)
        self._selector.register(self.stop, selectors.EVENT_READ)

    @property
    def pid(self) -> int:
        """The process's id, and its group's."""
        return self._process.pid if self._process else 0

    def order(self, content: Mapping[str, Any]) -> None:
        """Send the child something to do. A child that is gone is noticed by :meth:`pump`."""
        self._write(self._orders, json.dumps(content).encode("ascii") + b"\n")

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None and runs(self.pid)

    def wait(self, done: Callable[[], bool], *, limit: float | None = None) -> None:
        """Pump until ``done()``. Raises Ended when the process dies, someone stops the run, or time is up."""
        while not done():
            end, late = self._limit(limit)
            self._pump(min(0.2, max(0.0, end - time.monotonic())) if end is not None else 0.2)
            if done():
                return
            if self.stop.count:
                self._break_off(done)
                raise Ended(self.stop.outcome())
            if not self.alive():
                self._pump(0.0)
                if not done():
                    raise Ended(self.post_mortem())
                return
            if end is not None and time.monotonic() >= end:
                self._break_off(done)
                raise Ended(late)

    def post_mortem(self) -> Outcome:
        """What the end of the process means for a run that was not over."""
        code = self.reap()
        kills = oom_kills()
        return died("interpreter", code, oom=kills is not None and self._ooms is not None and kills > self._ooms)

    def reap(self) -> int | None:
        """Kill what is left of the group, read what is left in the pipes, and learn how the process ended."""
        if self._process is None:
            return None
        self._signal(signal.SIGKILL)
        try:
            while self.alive():
                self._pump(0.05)
            self._pump(0.0)
        finally:  # the journal may refuse, but nothing of the process may stay
            code = self._process.wait()
        return code

    def close(self) -> None:
        """End everything."""
        try:
            self.reap()
        finally:
            for out in self._names:
                os.close(out)
            for number in (self._orders, self._heard):
                if number >= 0:
                    os.close(number)
            self._selector.close()

    def farewell(self, seconds: float) -> None:
        """Let it end in its own way (its exit hooks run and are heard), for so long at most."""
        if self._orders >= 0:
            os.close(self._orders)  # end of file: no more orders
            self._orders = -1
        end = time.monotonic() + seconds
        asked = self.stop.count
        while self.alive() and time.monotonic() < end and self.stop.count == asked:
            self._pump(0.05)
        if self.alive():
            if self.stop.count == asked:
                self.journal.note(f"the interpreter did not end by itself within {seconds:g} s and was killed")
            self._kill()
        self._pump(0.0)

    def _write(self, pipe: int, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(pipe, rest) :]
        except OSError:  # it is gone, which :meth:`wait` notices
            return

    def _limit(self, limit: float | None) -> tuple[float | None, Outcome]:
        """When to give up, and what has happened then: the run's or the cell's time is up, or ``limit`` came."""
        ends: list[tuple[float, str]] = []
        if self.job.timeout is not None:
            ends.append((self.began + self.job.timeout, f"the run took longer than {self.job.timeout:g} s"))
        if self.job.cell_timeout is not None and self.number is not None:
            reason = f"cell {self.number} took longer than {self.job.cell_timeout:g} s"
            ends.append((self.cell_began + self.job.cell_timeout, reason))
        if limit is not None:
            ends.append((limit, "the interpreter did not start in time"))
        if not ends:
            return None, Outcome(Status.TIMED_OUT, TIMED_OUT)
        end, reason = min(ends)
        return end, Outcome(Status.TIMED_OUT, TIMED_OUT, reason)

    def _break_off(self, done: Callable[[], bool]) -> None:
        """Interrupt, give it the grace period, then kill. A second request to stop kills at once."""
        asked, began = self.stop.count, time.monotonic()
        if self.stop.patience(self.job):
            self._signal(signal.SIGINT)
        while not done() and self.alive() and self.stop.count <= asked:
            if time.monotonic() >= began + self.stop.patience(self.job):
                break
            self._pump(0.05)
        if not done():
            self._kill()

    def _kill(self) -> None:
        self._signal(signal.SIGTERM)
        end = time.monotonic() + TERM_PATIENCE
        while self.alive() and time.monotonic() < end:
            self._pump(0.05)
        self._signal(signal.SIGKILL)
        self._pump(0.0)

    def _signal(self, signum: int) -> None:
        """To the whole group; the leader is not reaped before, so the number is ours."""
        if self._process is not None and self._process.returncode is None:
            try:
                os.killpg(self.pid, signum)
            except (ProcessLookupError, PermissionError):  # macOS refuses for a group of zombies
                return

    def _pump(self, seconds: float) -> None:
        """Wait so long for anything, and take all there is: streams first, then the messages that came after them."""
        ready = {key.fd for key, _ in self._selector.select(seconds)}
        if self.stop.fileno() in ready:
            self.stop.heard()
        talks = [fd for fd in ready if self._names.get(fd) == "talk"]
        if not talks and self._small > 5 and ready:
            time.sleep(BUSY)  # many small writes: let them gather
        messages = [self._read(fd) for fd in talks]
        streams = [fd for fd, name in self._names.items() if name != "talk"]
        taken = sum(self._take(fd, everything=bool(talks)) for fd in streams)
        self._small = 0 if talks or taken > READ // 8 else self._small + bool(taken)
        for data in messages:
            self._hear(data)

    def _take(self, fd: int, *, everything: bool) -> int:
        """What a stream has: one portion, or all."""
        total = 0
        while data := self._read(fd):
            total += len(data)
            self.tail = (self.tail + data[-TAIL:])[-TAIL:]
            self.journal.raw(data)
            text = self._decoders[self._names[fd]].decode(data)
            if text and self.number is not None:
                self.journal.stream(self.number, self._names[fd], text, log=False)
            if not everything:
                break
        return total

    def _read(self, fd: int) -> bytes:
        try:
            data = os.read(fd, READ)
        except BlockingIOError:
            return b""
        if not data and fd in self._selector.get_map():
            self._selector.unregister(fd)
        return data

    def _hear(self, data: bytes) -> None:
        """Messages, a line each; of a line cut by the end of what was read the rest comes later."""
        if b"\n" not in data:
            self._partial.append(data)
            return
        parts, self._partial = [*self._partial, data], []
        data = b"".join(parts)
        parts.clear()  # a message may be hundreds of megabytes: no more of it is kept than has to be
        lines = data.split(b"\n")
        del data
        self._partial.append(lines.pop())
        lines.reverse()
        while lines:
            text = lines.pop().decode("utf-8", "replace")
            if text:
                self._obey(text)

    def _obey(self, text: str) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            self.journal.note("a message of the interpreter was cut off: an output may be missing")
            return
        del text
        self._talk(message)
        if message.get("ack"):
            self._write(self._heard, b"\n")


def no_start(outcome: Outcome, child: Child) -> Outcome:
    """What an interpreter that never got ready said last."""
    if outcome.status is not Status.FAILED and outcome.status is not Status.TIMED_OUT:
        return outcome
    said = plain(child.tail.decode("utf-8", "replace")).strip()
    reason = outcome.reason if outcome.exit_code == 69 else "the interpreter did not start"
    return Outcome(Status.FAILED, 69, f"{reason}: {said.splitlines()[-1][:500]}" if said else reason)


def _widen(pipe: int) -> None:
    """Let a pipe hold a megabyte, so that the child waits less; where that is not possible 64 KB do."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        try:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1024 * 1024)
        except OSError:  # the user's allowance of pipe memory is used up
            return
