"""Run an interpreter as a child process: journal its streams as they come, take its messages in their right place.

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
from typing import Any

from snaprun.engines import SHUTDOWN_PATIENCE, TAIL, TERM_PATIENCE, environment, is_running
from snaprun.engines.job import Job, Stop
from snaprun.engines.outcomes import EarlyEnd, outcome_of_death, start_failure
from snaprun.live.journal import Journal
from snaprun.machine.oom import oom_kills
from snaprun.model import START_FAILURE_CODE, TIMEOUT_CODE, Outcome
from snaprun.statuses import Status

READ = 256 * 1024
GATHER_SECONDS = 0.005
"""Seconds that a stream of small writes is left to fill, so that not every line wakes us."""


class Child:
    """The process. ``handler`` is called with every message; ``number`` is the cell that streams belong to."""

    def __init__(self, job: Job, journal: Journal, stop: Stop, handler: Callable[[dict[str, Any]], None]) -> None:
        self.job = job
        self.journal = journal
        self.stop = stop
        self.number: int | None = None
        self.start_time = time.monotonic()
        self.cell_start_time = self.start_time
        self.tail = b""
        self._handler = handler
        self._fragments: list[bytes] = []
        self._oom_count = oom_kills()
        self._selector = selectors.DefaultSelector()
        self._names: dict[int, str] = {}
        self._decoders: dict[str, Any] = {}
        self._small_reads = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._order_pipe = self._ack_pipe = -1

    def start(self, argv: Sequence[str]) -> None:
        """Start it in a session of its own. Raises EarlyEnd when it cannot be executed."""
        pipes = {name: os.pipe() for name in ("stdout", "stderr", "talk")}
        order_end, self._order_pipe = os.pipe()
        ack_end, self._ack_pipe = os.pipe()
        with tempfile.TemporaryFile(dir=self.job.live.path) as file:
            lock_descriptor = os.dup(file.fileno())  # for a lock: the code may fork, and its children speak too
        descriptors = (pipes["talk"][1], order_end, ack_end, lock_descriptor)
        variables = {"SNAPRUN_TALK": ",".join(map(str, descriptors)), "SNAPRUN_PATH": str(self.job.live.import_path)}
        try:
            self._process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=pipes["stdout"][1],
                stderr=pipes["stderr"][1],
                pass_fds=descriptors,
                cwd=self.job.folder,
                env={**environment(self.job), **variables},
                start_new_session=True,
            )
        except OSError as error:
            reason = f"the interpreter cannot be started: {error}"
            raise EarlyEnd(Outcome(Status.FAILED, START_FAILURE_CODE, reason)) from error
        finally:
            for descriptor in descriptors[1:]:
                os.close(descriptor)
            for name, (reader, writer) in pipes.items():
                os.close(writer)
                os.set_blocking(reader, False)
                _widen(reader)
                self._names[reader] = name
                self._decoders[name] = codecs.getincrementaldecoder("utf-8")("replace")
                self._selector.register(reader, selectors.EVENT_READ)
        self._selector.register(self.stop, selectors.EVENT_READ)

    @property
    def pid(self) -> int:
        """The process's id, and its group's."""
        return self._process.pid if self._process else 0

    def order(self, content: Mapping[str, Any]) -> None:
        """Send the child something to do. A child that is gone is noticed by :meth:`wait`."""
        self._write(self._order_pipe, json.dumps(content).encode("ascii") + b"\n")

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None and is_running(self.pid)

    def wait_until_ready(self, condition: Callable[[], bool]) -> None:
        """Wait until it says that it is ready. Raises EarlyEnd where it does not start, with what it said last."""
        try:
            self.wait(condition, limit=time.monotonic() + self.job.start_timeout)
        except EarlyEnd as end:
            if end.outcome.status is Status.STOPPED:
                raise
            reason = end.outcome.reason if end.outcome.exit_code == START_FAILURE_CODE else None
            raise EarlyEnd(start_failure(reason or "the interpreter did not start", self.tail)) from None

    def wait(self, condition: Callable[[], bool], *, limit: float | None = None) -> None:
        """Pump until ``condition()``. Raises EarlyEnd when the process dies, someone stops the run, or time is up."""
        while not condition():
            deadline, timeout_outcome = self._find_deadline(limit)
            self._pump(min(0.2, max(0.0, deadline - time.monotonic())) if deadline is not None else 0.2)
            if condition():
                return
            if self.stop.count:
                self._break_off(condition)
                raise EarlyEnd(self.stop.outcome())
            if not self.alive():
                self._pump(0.0)
                if not condition():
                    raise EarlyEnd(self.post_mortem())
                return
            if deadline is not None and time.monotonic() >= deadline:
                self._break_off(condition)
                raise EarlyEnd(timeout_outcome)

    def post_mortem(self) -> Outcome:
        """What the end of the process means for a run that was not over."""
        code = self.reap()
        kills = oom_kills()
        return outcome_of_death(
            "interpreter", code, oom=kills is not None and self._oom_count is not None and kills > self._oom_count
        )

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
            for reader in self._names:
                os.close(reader)
            for descriptor in (self._order_pipe, self._ack_pipe):
                if descriptor >= 0:
                    os.close(descriptor)
            self._selector.close()

    def shut_down(self) -> None:
        """Let it end in its own way: its exit hooks run and are heard."""
        if self._order_pipe >= 0:
            os.close(self._order_pipe)  # end of file: no more orders
            self._order_pipe = -1
        deadline = time.monotonic() + SHUTDOWN_PATIENCE
        request_count = self.stop.count
        while self.alive() and time.monotonic() < deadline and self.stop.count == request_count:
            self._pump(0.05)
        if self.alive():
            if self.stop.count == request_count:
                self.journal.note(
                    f"the interpreter did not end by itself within {SHUTDOWN_PATIENCE:g} s and was killed"
                )
            self._kill()
        self._pump(0.0)

    def _write(self, pipe: int, data: bytes) -> None:
        remainder = memoryview(data)
        try:
            while remainder:
                remainder = remainder[os.write(pipe, remainder) :]
        except OSError:  # it is gone, which :meth:`wait` notices
            return

    def _find_deadline(self, limit: float | None) -> tuple[float | None, Outcome]:
        """When to give up, and what has happened then: the run's or the cell's time is up, or ``limit`` came."""
        deadlines: list[tuple[float, str]] = []
        if self.job.timeout is not None:
            deadlines.append((self.start_time + self.job.timeout, f"the run took longer than {self.job.timeout:g} s"))
        if self.job.cell_timeout is not None and self.number is not None:
            reason = f"cell {self.number} took longer than {self.job.cell_timeout:g} s"
            deadlines.append((self.cell_start_time + self.job.cell_timeout, reason))
        if limit is not None:
            deadlines.append((limit, "the interpreter did not start in time"))
        if not deadlines:
            return None, Outcome(Status.TIMED_OUT, TIMEOUT_CODE)
        deadline, reason = min(deadlines)
        return deadline, Outcome(Status.TIMED_OUT, TIMEOUT_CODE, reason)

    def _break_off(self, condition: Callable[[], bool]) -> None:
        """Interrupt, give it the grace period, then kill. A second request to stop kills at once."""
        request_count, start_time = self.stop.count, time.monotonic()
        if self.stop.grace_period(self.job):
            self._signal(signal.SIGINT)
        while not condition() and self.alive() and self.stop.count <= request_count:
            if time.monotonic() >= start_time + self.stop.grace_period(self.job):
                break
            self._pump(0.05)
        if not condition():
            self._kill()

    def _kill(self) -> None:
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + TERM_PATIENCE
        while self.alive() and time.monotonic() < deadline:
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
            self.stop.drain()
        message_pipes = [fd for fd in ready if self._names.get(fd) == "talk"]
        if not message_pipes and self._small_reads > 5 and ready:
            time.sleep(GATHER_SECONDS)  # many small writes: let them gather
        messages = [self._read(fd) for fd in message_pipes]
        streams = [fd for fd, name in self._names.items() if name != "talk"]
        byte_count = sum(self._take(fd, whole=bool(message_pipes)) for fd in streams)
        self._small_reads = 0 if message_pipes or byte_count > READ // 8 else self._small_reads + bool(byte_count)
        for data in messages:
            self._receive(data)

    def _take(self, fd: int, *, whole: bool) -> int:
        """What a stream has: one portion, or all."""
        total = 0
        while data := self._read(fd):
            total += len(data)
            self.tail = (self.tail + data[-TAIL:])[-TAIL:]
            self.journal.raw(data)
            text = self._decoders[self._names[fd]].decode(data)
            if text and self.number is not None:
                self.journal.stream(self.number, self._names[fd], text, log=False)
            if not whole:
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

    def _receive(self, data: bytes) -> None:
        """Messages, a line each; of a line cut by the end of what was read the rest comes later."""
        if b"\n" not in data:
            self._fragments.append(data)
            return
        parts, self._fragments = [*self._fragments, data], []
        data = b"".join(parts)
        parts.clear()  # a message may be hundreds of megabytes: no more of it is kept than has to be
        lines = data.split(b"\n")
        del data
        self._fragments.append(lines.pop())
        lines.reverse()
        while lines:
            text = lines.pop().decode("utf-8", "replace")
            if text:
                self._handle(text)

    def _handle(self, text: str) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            self.journal.note("a message of the interpreter was cut off: an output may be missing")
            return
        del text
        self._handler(message)
        if message.get("ack"):
            self._write(self._ack_pipe, b"\n")


def _widen(pipe: int) -> None:
    """Let a pipe hold a megabyte, so that the child waits less; where that is not possible 64 KB do."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        try:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1024 * 1024)
        except OSError:  # the user's allowance of pipe memory is used up
            return
