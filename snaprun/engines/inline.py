"""The inline engine: IPython's shell in a fresh interpreter, without ZeroMQ. Python only, made for many short runs."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snaprun.engines import Job, Outcome, Stop, ended_by_error, ended_by_exit
from snaprun.engines.child import BOOT, FAREWELL, Child, Ended, no_start
from snaprun.live.journal import Journal
from snaprun.live.replay import numbers, source, tags
from snaprun.model import Status

WIDGETS = re.compile(
    r"^\s*(?:import|from)\s+(ipywidgets|ipympl|bqplot|ipyleaflet|pythreejs|k3d|nglview)\b", re.MULTILINE
)
"""Imports of what needs a Jupyter kernel to talk with."""

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def refusal(notebook: Mapping[str, Any], *, language: str = "python") -> str | None:
    """Why this notebook cannot run inline; None when it can, as far as one sees beforehand."""
    if language != "python":
        return f"the inline engine runs Python only, and this notebook is {language}"
    for number, _, cell in numbers(notebook):
        found = WIDGETS.search(source(cell))
        if found and "skip-execution" not in tags(cell):
            return f"the inline engine has no widgets, and cell {number} imports {found[1]}"
    return None


def _language(notebook: Mapping[str, Any]) -> str:
    metadata = notebook.get("metadata") or {}
    named = (metadata.get("kernelspec") or {}).get("language") or (metadata.get("language_info") or {}).get("name")
    return str(named or "python").lower()


def run(job: Job, journal: Journal, stop: Stop) -> Outcome:
    """Execute the notebook in IPython's shell; see :class:`snaprun.engines.Engine`."""
    cells = list(numbers(job.notebook))
    journal.start(attempt=job.attempt, cells=sum(1 for number, *_ in cells if number), kernel=None)
    reason = refusal(job.notebook, language=job.kernel.language if job.kernel else _language(job.notebook))
    if reason is None and job.hold is not None:
        reason = "the inline engine cannot be held on an error: nothing can connect to it"
    if reason is not None:
        return Outcome(Status.FAILED, 69, f"{reason}; use --engine kernel")
    session = _Session(job, journal)
    child = Child(job, journal, stop, session.hear)
    try:
        if stop.count:
            return stop.outcome()
        return session.run(child, cells)
    except Ended as ended:
        if session.reply is not None:
            child.farewell(FAREWELL)
        return ended.outcome
    finally:
        child.close()


@dataclass
class _Session:
    """What was heard of the cell under way."""

    job: Job
    journal: Journal
    number: int = 0
    ready: bool = False
    reply: Mapping[str, Any] | None = None
    errors: list[Mapping[str, Any]] = field(default_factory=list)
    warned: bool = False

    def run(self, child: Child, cells: list[tuple[int, int, Mapping[str, Any]]]) -> Outcome:
        """Every cell in order."""
        python = self.job.python
        assert python is not None, "the inline engine needs an interpreter"
        child.start([python, str(BOOT / "inline.py")])
        try:
            child.wait(lambda: self.ready, limit=time.monotonic() + self.job.start_timeout)
        except Ended as ended:
            raise Ended(no_start(ended.outcome, child)) from None
        for at, (number, _, cell) in enumerate(cells):
            outcome = self._cell(child, number, cell)
            if outcome is not None:
                for later, _, _ in cells[at + 1 :] if outcome.exit_code == 0 else ():
                    self.journal.cell(later, "skipped", label=self.job.labels.get(later, ""))
                child.farewell(FAREWELL)
                return outcome
        child.farewell(FAREWELL)
        return Outcome(Status.SUCCEEDED, 0)

    def _cell(self, child: Child, number: int, cell: Mapping[str, Any]) -> Outcome | None:
        """Execute one cell; None means: go on with the next."""
        label = self.job.labels.get(number, "")
        text = source(cell)
        if "skip-execution" in tags(cell) or not text.strip():
            self.journal.cell(number, "skipped" if text.strip() else "ok", label=label)
            return None
        self.number = child.number = number
        self.reply = None
        self.errors.clear()
        self.journal.cell(number, "start", label=label)
        began = child.cell_began = time.monotonic()
        state, outcome = "stopped", None
        try:
            child.order({"code": text})
            child.wait(lambda: self.reply is not None)
            state, outcome = self._judge(forgiving="raises-exception" in tags(cell))
        except Ended as ended:
            state = "failed" if ended.outcome.status is Status.FAILED else "stopped"
            raise
        finally:
            count = self.reply.get("count") if self.reply is not None else None
            self.journal.cell(number, state, seconds=round(time.monotonic() - began, 6), count=count)
        return outcome

    def _judge(self, *, forgiving: bool) -> tuple[str, Outcome | None]:
        reply = self.reply or {}
        if reply.get("leaving") is not None:
            outcome = ended_by_exit(reply["leaving"])
            return ("ok" if outcome.exit_code == 0 else "failed"), outcome
        if "ename" not in reply:
            if self.errors and not forgiving:
                name = self.errors[0]["ename"]
                self.journal.note(f"cell {self.number} showed an error ({name}) but went on: a display failed")
            return "ok", None
        if forgiving:
            return "ok", None
        first = self.errors[0] if self.errors else reply
        return ended_by_error(self.number, first["ename"], first["evalue"], first.get("exit"))

    def hear(self, message: dict[str, Any]) -> None:
        """A message of the interpreter."""
        kind = message["e"]
        if kind == "ready":
            self.ready = True
            self.journal.event("kernel", language_info=message["language_info"])
        elif kind == "reply":
            self.reply = message
        elif kind == "clear":
            self.journal.clear(self.number, wait=bool(message["wait"]))
        elif kind == "update" and message["id"]:
            self.journal.update(message["id"], {"data": message["data"], "metadata": message["metadata"]})
        elif kind == "out":
            self._out(message)
        elif kind == "error":
            self.errors.append(message)
            shown = {key: message[key] for key in ("ename", "evalue", "traceback")}
            self.journal.out(self.number, {"output_type": "error", **shown})

    def _out(self, message: Mapping[str, Any]) -> None:
        if WIDGET_VIEW in message["data"] and not self.warned:
            self.warned = True
            self.journal.note(f"cell {self.number} shows a widget, which the inline engine cannot: use --engine kernel")
        output = {"output_type": message["type"], "data": message["data"], "metadata": message["metadata"]}
        if message["type"] == "execute_result":
            output["execution_count"] = message["count"]
        self.journal.out(self.number, output, display_id=message.get("id"))
