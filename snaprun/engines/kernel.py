"""Run a notebook in a Jupyter kernel of any language, cell by cell, and journal every output as it arrives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snaprun.engines import SHUTDOWN_PATIENCE, skip_cells
from snaprun.engines.channels import Message
from snaprun.engines.job import Job, Stop
from snaprun.engines.launch import KernelProcess
from snaprun.engines.outcomes import EarlyEnd, outcome_of_death, outcome_of_error, outcome_of_exit, start_failure
from snaprun.engines.widgets import Widgets
from snaprun.live.journal import Journal
from snaprun.machine.oom import oom_kills
from snaprun.model import FAULT_CODE, KILL_CODE, TIMEOUT_CODE, Outcome
from snaprun.notebooks.cells import allows_error, is_skipped, number_cells, read_source
from snaprun.statuses import Status

SILENCE_LIMIT = 12
"""After so many times the job's ``patience`` of silence, a kernel that has replied but never got idle is given up."""

IOPUB_PATIENCE = 0.05
"""Seconds between a kernel's answer and the next question, while it does not yet publish to us."""

WIDGETS_INTERVAL = 2.0
"""Seconds between two journal entries about widgets that keep changing."""

DRAIN_PATIENCE = 1.0
"""Seconds that what a dead kernel sent may take to arrive, where the end of its connection cannot be seen."""


def run(job: Job, journal: Journal, stop: Stop) -> Outcome:
    """Execute the notebook in a Jupyter kernel; see :class:`snaprun.engines.Engine`."""
    return asyncio.run(_KernelSession(job, journal, stop).run())


@dataclass
class _Request:
    """An execution under way."""

    number: int
    reply: asyncio.Future[Mapping[str, Any]]
    idle: asyncio.Future[None]
    count: int | None = None
    error: Mapping[str, Any] | None = None


class _KernelSession:
    """One run: the kernel, its channels, and what is being waited for."""

    def __init__(self, job: Job, journal: Journal, stop: Stop) -> None:
        self.job = job
        self.journal = journal
        self.stop = stop
        self.number = 0
        self.requests: dict[str, _Request] = {}
        self.start_time = time.monotonic()
        self.is_responsive = False
        self.fault: BaseException | None = None
        self.oom_count = oom_kills()

    async def run(self) -> Outcome:
        """From the first process to the last one."""
        job = self.job
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(self._on_fault)
        self.stop_event = asyncio.Event()
        self.loop.add_reader(self.stop.fileno(), self._on_stop)
        if self.stop.count:
            self._on_stop()
        kernel = job.kernel
        assert kernel is not None, "the kernel engine needs a kernel"
        cells = list(number_cells(job.notebook))
        self.journal.start(attempt=job.attempt, cells=sum(1 for n, *_ in cells if n), kernel=kernel.name)
        self.process = KernelProcess(job, kernel, self.journal.raw)
        try:
            await self._open()
            outcome = await self._execute(cells)
            await self._shut_down()
            if self.fault is not None:
                raise self.fault
            return outcome
        except EarlyEnd as end:
            if self.is_responsive:
                await self._shut_down()
            return end.outcome
        finally:
            await self._close()

    async def _open(self) -> None:
        """Start the kernel and wait until it answers on both channels."""
        try:
            await self.process.start(self.job)
        except (OSError, RuntimeError, ValueError) as error:
            raise self._start_failure(f"the kernel cannot be started: {error}") from error
        self.channels = self.process.channels(self._receive)
        self.widgets = Widgets(self.channels, self.journal.note)
        deadline = time.monotonic() + self.job.start_timeout
        while True:  # a request sent before the kernel hears that we listen on IOPub is answered there to nobody
            request = self._send_request("kernel_info_request", {}, 0)
            event = await self._wait_for(request.reply, deadline)
            if event == "done":
                event = await self._wait_for(request.idle, min(deadline, time.monotonic() + IOPUB_PATIENCE))
            if event == "done":
                break
            if event == "stop":
                await self.process.kill()
                raise EarlyEnd(self.stop.outcome())
            if event == "dead":
                await asyncio.sleep(0)
                raise self._start_failure("the kernel died while starting")
            if time.monotonic() > deadline:
                raise self._start_failure(f"the kernel did not answer within {self.job.start_timeout:g} s")
        self.process.mark_ready()
        info = request.reply.result()
        self.journal.event("kernel", language_info=info.get("language_info"), pid=self.process.pid)

    def _start_failure(self, reason: str) -> EarlyEnd:
        return EarlyEnd(start_failure(reason, self.process.tail))

    async def _execute(self, cells: list[tuple[int, int, Mapping[str, Any]]]) -> Outcome:
        """Every cell in order; the first one that fails is the last, unless it is held and mended."""
        index = 0
        new_source: str | None = None
        while index < len(cells):
            number, _, cell = cells[index]
            outcome = await self._execute_cell(number, cell, new_source)
            new_source = None
            if outcome is None:
                index += 1
                continue
            if outcome.status.good:  # sys.exit(0)
                skip_cells(self.job, self.journal, (next_number for next_number, _, _ in cells[index + 1 :]))
                return outcome
            if self.job.hold is None or self.stop.count or not self.process.alive():
                return outcome
            is_resumed, new_source = await self._hold(number)
            if not is_resumed:
                return outcome
        return Outcome(Status.SUCCEEDED, 0)

    async def _execute_cell(self, number: int, cell: Mapping[str, Any], new_source: str | None) -> Outcome | None:
        """Execute one cell; None means: go on with the next."""
        label = self.job.labels.get(number, "")
        text = read_source(cell) if new_source is None else new_source
        if is_skipped(cell) or not text.strip():
            self.journal.cell(number, "skipped" if text.strip() else "ok", label=label)
            return None
        self.number = number
        fields = {"label": label} if new_source is None else {"label": label, "source": new_source}
        self.journal.cell(number, "start", **fields)
        start_time = time.monotonic()
        may_raise = allows_error(cell)
        content = {
            "code": text,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": not may_raise,
        }
        request = self._send_request("execute_request", content, number)
        state, outcome = "stopped", None
        try:
            reply = await self._await_reply(request, start_time)
            state, outcome = self._judge(request, reply, may_raise)
        except EarlyEnd as end:
            state = "failed" if end.outcome.exit_code == KILL_CODE and not self.stop.count else "stopped"
            raise
        finally:
            self._journal_widgets()
            seconds = round(time.monotonic() - start_time, 6)
            self.journal.cell(number, state, seconds=seconds, count=request.count)
        return outcome

    def _judge(self, request: _Request, reply: Mapping[str, Any], may_raise: bool) -> tuple[str, Outcome | None]:
        """The state of a cell that ended by itself, and the end of the run if it is one."""
        request.count = reply.get("execution_count", request.count)
        for payload in reply.get("payload") or ():
            if isinstance(payload, dict) and payload.get("source") == "ask_exit":  # ``exit`` and ``quit`` of IPython
                keep_kernel = payload.get("keepkernel")
                is_code = isinstance(keep_kernel, int) and not isinstance(keep_kernel, bool)
                outcome = outcome_of_exit(str(keep_kernel) if is_code else "")
                return ("ok" if outcome.exit_code == 0 else "failed"), outcome
        # how ipykernel 7 says that a display failed
        is_display_failure = (reply.get("ename"), reply.get("evalue")) == ("NoneType", "None")
        if reply.get("status") == "ok" or is_display_failure:
            if request.error is not None and not may_raise:
                name = request.error.get("ename")
                self.journal.note(f"cell {request.number} showed an error ({name}) but went on: a display failed")
            return "ok", None
        error = reply if request.error is None else request.error
        if request.error is None and reply.get("status") == "error":
            output = {"output_type": "error", "ename": str(reply.get("ename")), "evalue": str(reply.get("evalue"))}
            self.journal.out(request.number, {**output, "traceback": list(reply.get("traceback") or [])})
        if may_raise:
            return "ok", None
        name, value = str(error.get("ename") or ""), str(error.get("evalue") or "")
        return outcome_of_error(request.number, name, value, reply.get("snaprun_exit"))

    async def _await_reply(self, request: _Request, start_time: float) -> Mapping[str, Any]:
        """Wait for a cell's reply and its last output. Raises EarlyEnd when the run ends instead."""
        limit, timeout_outcome = self._find_deadline(request.number, start_time)
        task = asyncio.ensure_future(self._await_output(request))
        try:
            event = await self._wait_for(task, limit)
            if event == "done":
                return task.result()
            if event == "dead":
                raise EarlyEnd(await self._post_mortem(request.number))
            await self._break_off(task)
            raise EarlyEnd(self.stop.outcome() if event == "stop" else timeout_outcome)
        finally:
            task.cancel()

    async def _await_output(self, request: _Request) -> Mapping[str, Any]:
        """The reply, once everything that the cell said has arrived."""
        reply = await request.reply
        message_count, last_arrival, has_probed = self.channels.message_count, time.monotonic(), False
        while not request.idle.done():
            await asyncio.wait([request.idle], timeout=min(0.5, self.job.patience))
            if self.channels.message_count != message_count:
                message_count, last_arrival = self.channels.message_count, time.monotonic()
            silence = time.monotonic() - last_arrival
            if silence > SILENCE_LIMIT * self.job.patience and not request.idle.done():
                raise EarlyEnd(
                    Outcome(Status.FAILED, FAULT_CODE, f"the kernel never finished the output of cell {request.number}")
                )
            if silence > self.job.patience and not has_probed:
                has_probed = True
                probe = self._send_request("kernel_info_request", {}, request.number)
                probe.idle.add_done_callback(lambda _: self._give_up_idle(request))
        return reply

    def _give_up_idle(self, request: _Request) -> None:
        """A later message came through, so the idle message of this cell never will: outputs may be missing too."""
        if not request.idle.done():
            self.journal.note(
                f"the kernel dropped messages of cell {request.number}: some of its output may be missing"
            )
            request.idle.set_result(None)

    def _find_deadline(self, number: int, start_time: float) -> tuple[float | None, Outcome]:
        """When the current cell has to end, and what has happened then."""
        run_deadline = None if self.job.timeout is None else self.start_time + self.job.timeout
        cell_deadline = None if self.job.cell_timeout is None else start_time + self.job.cell_timeout
        if cell_deadline is not None and (run_deadline is None or cell_deadline < run_deadline):
            reason = f"cell {number} took longer than {self.job.cell_timeout:g} s"
            return cell_deadline, Outcome(Status.TIMED_OUT, TIMEOUT_CODE, reason)
        reason = f"the run took longer than {self.job.timeout or 0:g} s"
        return run_deadline, Outcome(Status.TIMED_OUT, TIMEOUT_CODE, reason)

    async def _break_off(self, task: asyncio.Future[Any]) -> None:
        """Interrupt the cell, give it the grace period, then kill. A second request to stop kills at once."""
        request_count, start_time = self.stop.count, time.monotonic()
        if self.stop.grace_period(self.job):
            await self.process.interrupt()
        while not task.done() and self.process.alive() and self.stop.count == request_count:
            if time.monotonic() >= start_time + self.stop.grace_period(self.job):
                break
            await asyncio.wait([task], timeout=0.05)
        self.is_responsive = task.done()
        if not self.is_responsive:
            await self.process.kill()
            await self._drain_dead_kernel(self.number)

    async def _wait_for(self, future: asyncio.Future[Any], limit: float | None) -> str:
        """Wait for ``future``; else say what came first: ``stop``, ``dead`` or ``timeout``."""
        pause, has_waited = 0.01, False
        stop_task = asyncio.ensure_future(self.stop_event.wait())
        try:
            while True:
                if self.fault is not None:
                    raise self.fault
                if future.done():
                    return "done"
                if stop_task.done():
                    return "stop"
                if has_waited and not self.process.alive():
                    await self.channels.drain_until_closed(DRAIN_PATIENCE)
                    return "done" if future.done() else "dead"
                if limit is not None and time.monotonic() >= limit:
                    return "timeout"
                timeout = pause if limit is None else min(pause, max(0.0, limit - time.monotonic()))
                await asyncio.wait([future, stop_task], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                pause, has_waited = min(pause * 1.5, 0.25), True
        finally:
            stop_task.cancel()

    async def _post_mortem(self, number: int) -> Outcome:
        """The kernel is gone: take what it still said, and find out why."""
        await self._drain_dead_kernel(number)
        await self.process.reap()
        kills = oom_kills()
        oom = kills is not None and self.oom_count is not None and kills > self.oom_count
        return outcome_of_death("kernel", self.process.returncode, oom=oom)

    async def _drain_dead_kernel(self, number: int) -> None:
        """All that a dead kernel sent through ZeroMQ, then what is left in its standard output and error."""
        self.process.signal(signal.SIGKILL)  # children that it left would keep its connections open
        await self.channels.drain_until_closed(DRAIN_PATIENCE)
        for name, data in zip(("stdout", "stderr"), self.process.read_leftovers(), strict=True):
            if data:
                self.journal.stream(number, name, data.decode("utf-8", "replace"), log=False)
                self.journal.raw(data)

    async def _hold(self, number: int) -> tuple[bool, str | None]:
        """Keep the kernel after an error until told to go on; whether to, and the failed cell's new source if any."""
        assert self.job.hold is not None
        resume_path = self.job.live.resume
        resume_path.unlink(missing_ok=True)
        self.journal.event("hold", n=number, seconds=self.job.hold)
        start_time = time.monotonic()
        deadline = start_time + self.job.hold
        while time.monotonic() < deadline and self.process.alive() and not self.stop.count:
            with contextlib.suppress(OSError, ValueError):
                order = json.loads(resume_path.read_bytes())
                resume_path.unlink(missing_ok=True)
                self.start_time += time.monotonic() - start_time  # the run's time limit is for code that runs
                new_source = order.get("source")
                self.journal.event("resume", n=number, edited=new_source is not None)
                if new_source is not None:
                    self.journal.note(
                        f"cell {number} was edited while the run was held: its code is not the frozen one"
                    )
                return True, new_source
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.stop_event.wait(), 0.2)
        return False, None

    async def _shut_down(self) -> None:
        """Let the kernel end in its own way, so that what it registered for its exit runs and is heard."""
        if not self.process.alive():
            return
        self.channels.send("control", "shutdown_request", {"restart": False})
        request_count = self.stop.count
        deadline = time.monotonic() + SHUTDOWN_PATIENCE
        while self.process.alive() and time.monotonic() < deadline and self.stop.count == request_count:
            await self.process.wait_for_end(0.1)
        if self.process.alive():
            if self.stop.count == request_count:
                self.journal.note(f"the kernel did not end by itself within {SHUTDOWN_PATIENCE:g} s and was killed")
            await self.process.kill()
        await self._drain_dead_kernel(self.number)

    async def _close(self) -> None:
        self.loop.remove_reader(self.stop.fileno())
        if hasattr(self, "channels"):
            self.channels.close()
        await self.process.close()

    def _on_stop(self) -> None:
        self.stop.drain()
        self.stop_event.set()

    def _on_fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Something failed while a message was handled (the journal's disk is full, a bug): the run cannot go on."""
        error = context.get("exception")
        if error is None:
            loop.default_exception_handler(context)
            return
        self.fault = self.fault or error
        self.stop_event.set()

    def _send_request(self, kind: str, content: dict[str, Any], number: int) -> _Request:
        channel = "shell"
        request = _Request(number, self.loop.create_future(), self.loop.create_future())
        message_id = self.channels.send(channel, kind, content)
        self.requests[message_id] = request
        return request

    def _receive(self, message: Message) -> None:
        """Every message of the kernel comes through here, those of cells long done included."""
        parent = str(message.parent.get("msg_id", ""))
        request = self.requests.get(parent)
        if message.channel == "iopub":
            if request is not None or message.parent.get("session") in (None, self.channels.session.session):
                self._publish(message, request)
        elif request is not None and message.kind.endswith("_reply") and not request.reply.done():
            request.reply.set_result(message.content)

    def _publish(self, message: Message, request: _Request | None) -> None:
        """An IOPub message of ours (a console's own are not)."""
        number = request.number if request is not None else self.number
        kind, content = message.kind, message.content
        if kind == "status":
            if content.get("execution_state") == "idle" and request is not None and not request.idle.done():
                request.idle.set_result(None)
        elif kind == "execute_input":
            if request is not None:
                request.count = content.get("execution_count")
        elif kind.startswith("comm_"):
            self.widgets.comm(message)
            self.loop.call_later(WIDGETS_INTERVAL, self._journal_widgets)
        elif self.widgets.capture(message):
            if kind == "stream":
                self.journal.raw(message.exact or content["text"].encode("utf-8", "backslashreplace"))
        elif kind == "stream":
            self.journal.stream(number, content["name"], content["text"], log=message.exact is None)
            if message.exact is not None:
                self.journal.raw(message.exact)
        elif kind == "clear_output":
            self.journal.clear(number, wait=bool(content.get("wait")))
        elif kind == "update_display_data":
            name = (content.get("transient") or {}).get("display_id")
            if name:
                self.journal.update(name, {"data": content.get("data", {}), "metadata": content.get("metadata", {})})
        elif kind in ("display_data", "execute_result"):
            self._journal_output(kind, content, number)
        elif kind == "error":
            self._journal_error(content, number, request)

    def _journal_output(self, kind: str, content: Mapping[str, Any], number: int) -> None:
        output = {"output_type": kind, "data": content.get("data", {}), "metadata": content.get("metadata", {})}
        if kind == "execute_result":
            output["execution_count"] = content.get("execution_count")
        self.journal.out(number, output, display_id=(content.get("transient") or {}).get("display_id"))

    def _journal_error(self, content: Mapping[str, Any], number: int, request: _Request | None) -> None:
        error = {"ename": str(content.get("ename", "")), "evalue": str(content.get("evalue", ""))}
        traceback = [str(line) for line in content.get("traceback") or ()]
        self.journal.out(number, {"output_type": "error", **error, "traceback": traceback})
        if request is not None and request.error is None:
            request.error = content

    def _journal_widgets(self) -> None:
        if hasattr(self, "widgets") and self.widgets.changed_ids:
            state = self.widgets.take_changes()
            if state:
                self.journal.event("widgets", state=state)
