"""The kernel engine: a Jupyter kernel of any language, cell by cell, every output journalled as it arrives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snaprun.engines import KILLED, TIMED_OUT, Job, Outcome, Stop, died, ended_by_error, ended_by_exit
from snaprun.engines.channels import Message
from snaprun.engines.launch import KernelProcess
from snaprun.engines.widgets import Widgets
from snaprun.live.journal import Journal, plain
from snaprun.live.replay import numbers, source, tags
from snaprun.machine.oom import oom_kills
from snaprun.model import Status

QUIET = 12
"""After so many times :attr:`Job.patience` of silence, a kernel that has replied but never got idle is given up."""

IOPUB_PATIENCE = 0.05
"""Seconds between a kernel's answer and the next question, while it does not yet publish to us."""

WIDGETS_EVERY = 2.0
"""Seconds between two journal entries about widgets that keep changing."""

FAREWELL = 5.0
"""Seconds that a kernel has to end in its own way, as Jupyter gives it."""

LAST_WORDS = 1.0
"""Seconds that what a dead kernel sent may take to arrive, where the end of its connection cannot be seen."""


def run(job: Job, journal: Journal, stop: Stop) -> Outcome:
    """Execute the notebook in a Jupyter kernel; see :class:`snaprun.engines.Engine`."""
    return asyncio.run(_Session(job, journal, stop).run())


class _Ended(Exception):
    """The run is over before its last cell."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


@dataclass
class _Request:
    """An execution under way."""

    number: int
    reply: asyncio.Future[Mapping[str, Any]]
    idle: asyncio.Future[None]
    count: int | None = None
    error: Mapping[str, Any] | None = None
    probes: set[str] = field(default_factory=set)


class _Session:
    """One run: the kernel, its channels, and what is being waited for."""

    def __init__(self, job: Job, journal: Journal, stop: Stop) -> None:
        self.job = job
        self.journal = journal
        self.stop = stop
        self.number = 0
        self.requests: dict[str, _Request] = {}
        self.latest: _Request | None = None
        self.started = time.monotonic()
        self.answered = False
        self.fault: BaseException | None = None
        self.ooms = oom_kills()

    async def run(self) -> Outcome:
        """From the first process to the last one."""
        job = self.job
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(self._on_fault)
        self.stopped = asyncio.Event()
        self.loop.add_reader(self.stop.fileno(), self._on_stop)
        if self.stop.count:
            self._on_stop()
        kernel = job.kernel
        assert kernel is not None, "the kernel engine needs a kernel"
        cells = list(numbers(job.notebook))
        self.journal.start(attempt=job.attempt, cells=sum(1 for n, *_ in cells if n), kernel=kernel.name)
        self.process = KernelProcess(job, kernel, self.journal.raw)
        try:
            await self._open()
            outcome = await self._execute(cells)
            await self._farewell()
            if self.fault is not None:
                raise self.fault
            return outcome
        except _Ended as ended:
            if self.answered:
                await self._farewell()
            return ended.outcome
        finally:
            await self._close()

    async def _open(self) -> None:
        """Start the kernel and wait until it answers on both channels."""
        try:
            await self.process.start(self.job)
        except (OSError, RuntimeError, ValueError) as error:
            raise _Ended(self._no_kernel(f"the kernel cannot be started: {error}")) from error
        self.channels = self.process.channels(self._receive)
        self.widgets = Widgets(self.channels, self.journal.note)
        end = time.monotonic() + self.job.start_timeout
        while True:  # a request sent before the kernel hears that we listen on IOPub is answered there to nobody
            request = self._request("kernel_info_request", {}, 0)
            what = await self._until(request.reply, end)
            if what == "done":
                what = await self._until(request.idle, min(end, time.monotonic() + IOPUB_PATIENCE))
            if what == "done":
                break
            if what == "stop":
                await self.process.kill()
                raise _Ended(self.stop.outcome())
            if what == "dead":
                await asyncio.sleep(0)
                raise _Ended(self._no_kernel("the kernel died while starting"))
            if time.monotonic() > end:
                raise _Ended(self._no_kernel(f"the kernel did not answer within {self.job.start_timeout:g} s"))
        self.process.ready()
        info = request.reply.result()
        self.journal.event("kernel", language_info=info.get("language_info"), pid=self.process.pid)

    def _no_kernel(self, reason: str) -> Outcome:
        said = plain(self.process.tail.decode("utf-8", "replace")).strip()
        if said:
            reason += ": " + said.splitlines()[-1][:500]
        return Outcome(Status.FAILED, 69, reason)

    async def _execute(self, cells: list[tuple[int, int, Mapping[str, Any]]]) -> Outcome:
        """Every cell in order; the first one that fails is the last, unless it is held and mended."""
        at = 0
        edited: str | None = None
        while at < len(cells):
            number, _, cell = cells[at]
            outcome = await self._cell(number, cell, edited)
            edited = None
            if outcome is None:
                at += 1
                continue
            if outcome.status is Status.SUCCEEDED:  # sys.exit(0)
                for later, _, _ in cells[at + 1 :]:
                    self.journal.cell(later, "skipped", label=self.job.labels.get(later, ""))
                return outcome
            if self.job.hold is None or self.stop.count or not self.process.alive():
                return outcome
            resumed, edited = await self._hold(number)
            if not resumed:
                return outcome
        return Outcome(Status.SUCCEEDED, 0)

    async def _cell(self, number: int, cell: Mapping[str, Any], edited: str | None) -> Outcome | None:
        """Execute one cell; None means: go on with the next."""
        label = self.job.labels.get(number, "")
        text = source(cell) if edited is None else edited
        if "skip-execution" in tags(cell) or not text.strip():
            self.journal.cell(number, "skipped" if text.strip() else "ok", label=label)
            return None
        self.number = number
        about = {"label": label} if edited is None else {"label": label, "source": edited}
        self.journal.cell(number, "start", **about)
        began = time.monotonic()
        forgiving = "raises-exception" in tags(cell)
        content = {
            "code": text,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": not forgiving,
        }
        request = self._request("execute_request", content, number)
        state, outcome = "stopped", None
        try:
            reply = await self._finish(request, began)
            state, outcome = self._judge(request, reply, forgiving)
        except _Ended as ended:
            state = "failed" if ended.outcome.exit_code == KILLED and not self.stop.count else "stopped"
            raise
        finally:
            self._widgets_news()
            seconds = round(time.monotonic() - began, 6)
            self.journal.cell(number, state, seconds=seconds, count=request.count)
        return outcome

    def _judge(self, request: _Request, reply: Mapping[str, Any], forgiving: bool) -> tuple[str, Outcome | None]:
        """The state of a cell that ended by itself, and the end of the run if it is one."""
        request.count = reply.get("execution_count", request.count)
        for payload in reply.get("payload") or ():
            if isinstance(payload, dict) and payload.get("source") == "ask_exit":  # ``exit`` and ``quit`` of IPython
                kept = payload.get("keepkernel")
                outcome = ended_by_exit(str(kept) if isinstance(kept, int) and not isinstance(kept, bool) else "")
                return ("ok" if outcome.exit_code == 0 else "failed"), outcome
        nothing = (reply.get("ename"), reply.get("evalue")) == ("NoneType", "None")  # ipykernel 7: the display failed
        if reply.get("status") == "ok" or nothing:
            if request.error is not None and not forgiving:
                name = request.error.get("ename")
                self.journal.note(f"cell {request.number} showed an error ({name}) but went on: a display failed")
            return "ok", None
        error = reply if request.error is None else request.error
        if request.error is None and reply.get("status") == "error":
            shown = {"output_type": "error", "ename": str(reply.get("ename")), "evalue": str(reply.get("evalue"))}
            self.journal.out(request.number, {**shown, "traceback": list(reply.get("traceback") or [])})
        if forgiving:
            return "ok", None
        name, value = str(error.get("ename") or ""), str(error.get("evalue") or "")
        return ended_by_error(request.number, name, value, reply.get("snaprun_exit"))

    async def _finish(self, request: _Request, began: float) -> Mapping[str, Any]:
        """Wait for a cell's reply and its last output. Raises _Ended when the run ends instead."""
        limit, timed_out = self._limit(request.number, began)
        task = asyncio.ensure_future(self._complete(request))
        try:
            what = await self._until(task, limit)
            if what == "done":
                return task.result()
            if what == "dead":
                raise _Ended(await self._post_mortem(request.number))
            await self._break_off(task)
            raise _Ended(self.stop.outcome() if what == "stop" else timed_out)
        finally:
            task.cancel()

    async def _complete(self, request: _Request) -> Mapping[str, Any]:
        """The reply, once everything that the cell said has arrived."""
        reply = await request.reply
        seen, since, probed = self.channels.arrived, time.monotonic(), False
        while not request.idle.done():
            await asyncio.wait([request.idle], timeout=min(0.5, self.job.patience))
            if self.channels.arrived != seen:
                seen, since = self.channels.arrived, time.monotonic()
            quiet = time.monotonic() - since
            if quiet > QUIET * self.job.patience and not request.idle.done():
                raise _Ended(
                    Outcome(Status.FAILED, 125, f"the kernel never finished the output of cell {request.number}")
                )
            if quiet > self.job.patience and not probed:
                probed = True
                probe = self._request("kernel_info_request", {}, request.number)
                probe.idle.add_done_callback(lambda _: self._dropped(request))
        return reply

    def _dropped(self, request: _Request) -> None:
        """A later message came through, so the idle message of this cell never will: outputs may be missing too."""
        if not request.idle.done():
            self.journal.note(
                f"the kernel dropped messages of cell {request.number}: some of its output may be missing"
            )
            request.idle.set_result(None)

    def _limit(self, number: int, began: float) -> tuple[float | None, Outcome]:
        """When the current cell has to end, and what has happened then."""
        of_run = None if self.job.timeout is None else self.started + self.job.timeout
        of_cell = None if self.job.cell_timeout is None else began + self.job.cell_timeout
        if of_cell is not None and (of_run is None or of_cell < of_run):
            reason = f"cell {number} took longer than {self.job.cell_timeout:g} s"
            return of_cell, Outcome(Status.TIMED_OUT, TIMED_OUT, reason)
        reason = f"the run took longer than {self.job.timeout or 0:g} s"
        return of_run, Outcome(Status.TIMED_OUT, TIMED_OUT, reason)

    async def _break_off(self, task: asyncio.Future[Any]) -> None:
        """Interrupt the cell, give it the grace period, then kill. A second request to stop kills at once."""
        asked, began = self.stop.count, time.monotonic()
        if self.stop.patience(self.job):
            await self.process.interrupt()
        while not task.done() and self.process.alive() and self.stop.count == asked:
            if time.monotonic() >= began + self.stop.patience(self.job):
                break
            await asyncio.wait([task], timeout=0.05)
        self.answered = task.done()
        if not self.answered:
            await self.process.kill()
            await self._last_words(self.number)

    async def _until(self, future: asyncio.Future[Any], limit: float | None) -> str:
        """Wait for ``future``; else say what came first: ``stop``, ``dead`` or ``timeout``."""
        pause, waited = 0.01, False
        stopping = asyncio.ensure_future(self.stopped.wait())
        try:
            while True:
                if self.fault is not None:
                    raise self.fault
                if future.done():
                    return "done"
                if stopping.done():
                    return "stop"
                if waited and not self.process.alive():
                    await self.channels.hung_up(LAST_WORDS)
                    return "done" if future.done() else "dead"
                if limit is not None and time.monotonic() >= limit:
                    return "timeout"
                rest = pause if limit is None else min(pause, max(0.0, limit - time.monotonic()))
                await asyncio.wait([future, stopping], timeout=rest, return_when=asyncio.FIRST_COMPLETED)
                pause, waited = min(pause * 1.5, 0.25), True
        finally:
            stopping.cancel()

    async def _post_mortem(self, number: int) -> Outcome:
        """The kernel is gone: take what it still said, and find out why."""
        await self._last_words(number)
        await self.process.reap()
        kills = oom_kills()
        oom = kills is not None and self.ooms is not None and kills > self.ooms
        return died("kernel", self.process.returncode, oom=oom)

    async def _last_words(self, number: int) -> None:
        """All that a dead kernel sent through ZeroMQ, then what is left in its standard output and error."""
        self.process.signal(signal.SIGKILL)  # children that it left would keep its connections open
        await self.channels.hung_up(LAST_WORDS)
        for name, data in zip(("stdout", "stderr"), self.process.leftovers(), strict=True):
            if data:
                self.journal.stream(number, name, data.decode("utf-8", "replace"), log=False)
                self.journal.raw(data)

    async def _hold(self, number: int) -> tuple[bool, str | None]:
        """Keep the kernel after an error until told to go on; whether to, and the failed cell's new source if any."""
        assert self.job.hold is not None
        resume = self.job.live.resume
        resume.unlink(missing_ok=True)
        self.journal.event("hold", n=number, seconds=self.job.hold)
        began = time.monotonic()
        end = began + self.job.hold
        while time.monotonic() < end and self.process.alive() and not self.stop.count:
            with contextlib.suppress(OSError, ValueError):
                wish = json.loads(resume.read_bytes())
                resume.unlink(missing_ok=True)
                self.started += time.monotonic() - began  # the run's time limit is for code that runs
                edited = wish.get("source")
                self.journal.event("resume", n=number, edited=edited is not None)
                if edited is not None:
                    self.journal.note(
                        f"cell {number} was edited while the run was held: its code is not the frozen one"
                    )
                return True, edited
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.stopped.wait(), 0.2)
        return False, None

    async def _farewell(self) -> None:
        """Let the kernel end in its own way, so that what it registered for its exit runs and is heard."""
        if not self.process.alive():
            return
        self.channels.send("control", "shutdown_request", {"restart": False})
        asked = self.stop.count
        end = time.monotonic() + FAREWELL
        while self.process.alive() and time.monotonic() < end and self.stop.count == asked:
            await self.process.gone(0.1)
        if self.process.alive():
            if self.stop.count == asked:
                self.journal.note(f"the kernel did not end by itself within {FAREWELL:g} s and was killed")
            await self.process.kill()
        await self._last_words(self.number)

    async def _close(self) -> None:
        self.loop.remove_reader(self.stop.fileno())
        if hasattr(self, "channels"):
            self.channels.close()
        await self.process.close()

    def _on_stop(self) -> None:
        self.stop.heard()
        self.stopped.set()

    def _on_fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Something failed while a message was handled (the journal's disk is full, a bug): the run cannot go on."""
        error = context.get("exception")
        if error is None:
            loop.default_exception_handler(context)
            return
        self.fault = self.fault or error
        self.stopped.set()

    def _request(self, kind: str, content: dict[str, Any], number: int) -> _Request:
        channel = "shell"
        request = _Request(number, self.loop.create_future(), self.loop.create_future())
        name = self.channels.send(channel, kind, content)
        self.requests[name] = request
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
            self.loop.call_later(WIDGETS_EVERY, self._widgets_news)
        elif self.widgets.caught(message):
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
            self._show(kind, content, number)
        elif kind == "error":
            self._error(content, number, request)

    def _show(self, kind: str, content: Mapping[str, Any], number: int) -> None:
        output = {"output_type": kind, "data": content.get("data", {}), "metadata": content.get("metadata", {})}
        if kind == "execute_result":
            output["execution_count"] = content.get("execution_count")
        self.journal.out(number, output, display_id=(content.get("transient") or {}).get("display_id"))

    def _error(self, content: Mapping[str, Any], number: int, request: _Request | None) -> None:
        named = {"ename": str(content.get("ename", "")), "evalue": str(content.get("evalue", ""))}
        traceback = [str(line) for line in content.get("traceback") or ()]
        self.journal.out(number, {"output_type": "error", **named, "traceback": traceback})
        if request is not None and request.error is None:
            request.error = content

    def _widgets_news(self) -> None:
        if hasattr(self, "widgets") and self.widgets.changed:
            news = self.widgets.news()
            if news:
                self.journal.event("widgets", state=news)
