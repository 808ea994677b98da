"""Run a notebook inline: in IPython's shell in a fresh interpreter, without ZeroMQ. Python, for many short runs."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snaprun.engines import BOOT, GENERAL, skip_cells
from snaprun.engines.child import Child
from snaprun.engines.job import Job, Stop
from snaprun.engines.outcomes import EarlyEnd, outcome_of_error, outcome_of_exit
from snaprun.errors import UsageFault
from snaprun.live.journal import Journal
from snaprun.model import START_FAILURE_CODE, Outcome
from snaprun.notebooks.cells import Node, allows_error, find_language, is_skipped, number_cells, read_source
from snaprun.statuses import Status

WIDGETS = re.compile(
    r"^\s*(?:import|from)\s+(ipywidgets|ipympl|bqplot|ipyleaflet|pythreejs|k3d|nglview)\b", re.MULTILINE
)
"""Imports of what needs a Jupyter kernel to talk with."""

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def refusal(notebook: Mapping[str, Any], *, language: str = "python") -> str | None:
    """Why this notebook cannot run inline; None when it can, as far as one sees beforehand."""
    if language != "python":
        return f"the inline engine runs Python only, and this notebook is {language}"
    for number, _, cell in number_cells(notebook):
        match = WIDGETS.search(read_source(cell))
        if match and not is_skipped(cell):
            return f"the inline engine has no widgets, and cell {number} imports {match[1]}"
    return None


def check(notebook: Node, language: str, *, commented_magics: bool) -> None:  # noqa: ARG001
    """Make sure that this notebook can run inline; see :class:`snaprun.engines.ChoosyEngine`."""
    reason = refusal(notebook, language=language)
    if reason is not None:
        raise UsageFault(reason, hint=f"--engine {GENERAL}")


def run(job: Job, journal: Journal, stop: Stop) -> Outcome:
    """Execute the notebook in IPython's shell; see :class:`snaprun.engines.Engine`."""
    cells = list(number_cells(job.notebook))
    journal.start(attempt=job.attempt, cells=sum(1 for number, *_ in cells if number), kernel=None)
    reason = refusal(job.notebook, language=job.kernel.language if job.kernel else find_language(job.notebook))
    if reason is None and job.hold is not None:
        reason = "the inline engine cannot be held on an error: nothing can connect to it"
    if reason is not None:
        return Outcome(Status.FAILED, START_FAILURE_CODE, f"{reason}; use --engine {GENERAL}")
    session = _InlineSession(job, journal)
    child = Child(job, journal, stop, session.handle_message)
    try:
        if stop.count:
            return stop.outcome()
        return session.run(child, cells)
    except EarlyEnd as end:
        if session.reply is not None:
            child.shut_down()
        return end.outcome
    finally:
        child.close()


@dataclass
class _InlineSession:
    """What was heard of the cell under way."""

    job: Job
    journal: Journal
    number: int = 0
    ready: bool = False
    reply: Mapping[str, Any] | None = None
    errors: list[Mapping[str, Any]] = field(default_factory=list)
    has_warned: bool = False

    def run(self, child: Child, cells: list[tuple[int, int, Mapping[str, Any]]]) -> Outcome:
        """Every cell in order."""
        python = self.job.python
        assert python is not None, "the inline engine needs an interpreter"
        child.start([python, str(BOOT / "inline.py")])
        child.wait_until_ready(lambda: self.ready)
        for index, (number, _, cell) in enumerate(cells):
            outcome = self._execute_cell(child, number, cell)
            if outcome is not None:
                if outcome.exit_code == 0:
                    skip_cells(self.job, self.journal, (next_number for next_number, _, _ in cells[index + 1 :]))
                child.shut_down()
                return outcome
        child.shut_down()
        return Outcome(Status.SUCCEEDED, 0)

    def _execute_cell(self, child: Child, number: int, cell: Mapping[str, Any]) -> Outcome | None:
        """Execute one cell; None means: go on with the next."""
        label = self.job.labels.get(number, "")
        text = read_source(cell)
        if is_skipped(cell) or not text.strip():
            self.journal.cell(number, "skipped" if text.strip() else "ok", label=label)
            return None
        self.number = child.number = number
        self.reply = None
        self.errors.clear()
        self.journal.cell(number, "start", label=label)
        start_time = child.cell_start_time = time.monotonic()
        state, outcome = "stopped", None
        try:
            child.order({"code": text})
            child.wait(lambda: self.reply is not None)
            state, outcome = self._judge(may_raise=allows_error(cell))
        except EarlyEnd as end:
            state = "failed" if end.outcome.status is Status.FAILED else "stopped"
            raise
        finally:
            count = self.reply.get("count") if self.reply is not None else None
            self.journal.cell(number, state, seconds=round(time.monotonic() - start_time, 6), count=count)
        return outcome

    def _judge(self, *, may_raise: bool) -> tuple[str, Outcome | None]:
        reply = self.reply or {}
        if reply.get("leaving") is not None:
            outcome = outcome_of_exit(reply["leaving"])
            return ("ok" if outcome.exit_code == 0 else "failed"), outcome
        if "ename" not in reply:
            if self.errors and not may_raise:
                name = self.errors[0]["ename"]
                self.journal.note(f"cell {self.number} showed an error ({name}) but went on: a display failed")
            return "ok", None
        if may_raise:
            return "ok", None
        error = self.errors[0] if self.errors else reply
        return outcome_of_error(self.number, error["ename"], error["evalue"], error.get("exit"))

    def handle_message(self, message: dict[str, Any]) -> None:
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
            self._journal_output(message)
        elif kind == "error":
            self.errors.append(message)
            error = {key: message[key] for key in ("ename", "evalue", "traceback")}
            self.journal.out(self.number, {"output_type": "error", **error})

    def _journal_output(self, message: Mapping[str, Any]) -> None:
        if WIDGET_VIEW in message["data"] and not self.has_warned:
            self.has_warned = True
            self.journal.note(
                f"cell {self.number} shows a widget, which the inline engine cannot: use --engine {GENERAL}"
            )
        output = {"output_type": message["type"], "data": message["data"], "metadata": message["metadata"]}
        if message["type"] == "execute_result":
            output["execution_count"] = message["count"]
        self.journal.out(self.number, output, display_id=message.get("id"))
