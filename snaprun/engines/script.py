"""Run the paired script of a notebook by plain Python in the notebook's folder, as one would run it under tmux."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snaprun.engines import BOOT, GENERAL, skip_cells
from snaprun.engines.child import Child
from snaprun.engines.job import Job, Stop
from snaprun.engines.outcomes import EarlyEnd, outcome_of_error
from snaprun.errors import UsageFault
from snaprun.live.journal import Journal
from snaprun.model import START_FAILURE_CODE, Outcome
from snaprun.notebooks.cells import Node, allows_error, is_skipped, number_cells, read_source
from snaprun.statuses import Status

MARK = re.compile(r"^\s*# %%+(?:\s(.*))?$")
"""Where a cell begins in jupytext's percent format: the mark of an indented cell is indented, of a sub-cell longer. A
magic that jupytext commented out (``# %%time``) is no mark."""

TEXT = re.compile(r"\[(?:markdown|md|raw)\]")
"""What a cell that is no code says behind its mark."""


@dataclass(frozen=True)
class Chunk:
    """A code cell as the script has it: the line of its mark (from 1), and its lines."""

    line: int
    lines: tuple[str, ...]


def split_script(script: str) -> list[Chunk]:
    """The code cells of a script in percent format."""
    blocks: list[tuple[int, bool, list[str]]] = [(0, False, [])]
    for number, line in enumerate(script.splitlines(), start=1):
        mark = MARK.match(line)
        if mark:
            blocks.append((number, not TEXT.search(mark[1] or ""), []))
        else:
            blocks[-1][2].append(line)
    return [Chunk(number, tuple(lines)) for number, is_code, lines in blocks if is_code]


def find_commented_cells(notebook: Mapping[str, Any], script: str) -> list[int]:
    """The cells in which jupytext commented magics or shell lines out: plain Python would skip them silently."""
    cell_numbers = []
    for (number, _, cell), chunk in zip(number_cells(notebook), split_script(script), strict=False):
        script_lines = {line.strip() for line in chunk.lines}
        lines = [line.strip() for line in read_source(cell).splitlines() if line.strip()]
        if not is_skipped(cell) and any(line not in script_lines and f"# {line}" in script_lines for line in lines):
            cell_numbers.append(number)
    return cell_numbers


def check(notebook: Node, language: str, *, commented_magics: bool) -> None:
    """Make sure that nothing of this notebook would be left out; see :class:`snaprun.engines.ChoosyEngine`."""
    if commented_magics:
        return
    from snaprun.notebooks.notebook import script  # jupytext: not in a worker

    _, script_text = script(notebook, language)
    cell_numbers = find_commented_cells(notebook, script_text)
    if cell_numbers:
        text = f"as a script, the magics and shell lines of {_list_cells(cell_numbers)} would silently not run"
        raise UsageFault(text, hint=f"--engine {GENERAL}, or --allow-commented-magics to leave them out")


def _list_cells(numbers: Sequence[int]) -> str:
    return ("cell " if len(numbers) == 1 else "cells ") + ", ".join(map(str, numbers))


def run(job: Job, journal: Journal, stop: Stop) -> Outcome:
    """Execute the paired script; see :class:`snaprun.engines.Engine`."""
    cells = list(number_cells(job.notebook))
    journal.start(attempt=job.attempt, cells=sum(1 for number, *_ in cells if number), kernel=None)
    session = _ScriptSession(job, journal, cells)
    child = session.child = Child(job, journal, stop, session.handle_message)
    try:
        reason = session.refusal()
        if reason is not None:
            return Outcome(Status.FAILED, START_FAILURE_CODE, reason)
        if stop.count:
            return stop.outcome()
        return session.run(child)
    except EarlyEnd as end:
        session.close("failed" if end.outcome.status is Status.FAILED else "stopped")
        if session.outcome is not None:
            child.shut_down()
        return end.outcome
    finally:
        child.close()


class _ScriptSession:
    """What was heard until now."""

    def __init__(self, job: Job, journal: Journal, cells: Sequence[tuple[int, int, Mapping[str, Any]]]) -> None:
        assert job.script is not None, "the script engine needs a script"
        self.job = job
        self.journal = journal
        self.cells = cells
        self.script = job.script
        self.ready = False
        self.open_cell: int | None = None
        self.reported_cells: set[int] = set()
        self.outcome: Outcome | None = None
        self.child: Child

    def refusal(self) -> str | None:
        """Why this notebook cannot run as a script; None when it can."""
        if self.job.hold is not None:
            return f"the script engine cannot be held on an error: nothing can connect to it; use --engine {GENERAL}"
        cell_numbers = find_commented_cells(self.job.notebook, self.script.read_text(encoding="utf-8"))
        if not cell_numbers or self.job.commented_magics:
            return None
        return (
            f"plain Python would skip the magics or shell lines of {_list_cells(cell_numbers)}; "
            f"use --engine {GENERAL}, or --allow-commented-magics to run without them"
        )

    def run(self, child: Child) -> Outcome:
        """Start, say where the cells are, and listen until it is over."""
        assert self.job.python is not None, "the script engine needs an interpreter"
        child.start([self.job.python, str(BOOT / "script.py"), str(self.script)])
        child.wait_until_ready(lambda: self.ready)
        child.order({"cells": self._locate_cells()})
        child.wait(lambda: self.outcome is not None)
        assert self.outcome is not None
        self.close("failed")  # nothing is open but after a KeyboardInterrupt of the code's own
        if self.outcome.exit_code == 0:
            unreported = [number for number, _, _ in self.cells if number not in self.reported_cells]
            skip_cells(self.job, self.journal, unreported)
        child.shut_down()
        return self.outcome

    def close(self, state: str) -> None:
        """End the cell that is under way."""
        if self.open_cell is not None:
            seconds = round(time.monotonic() - self.child.cell_start_time, 6)
            self.journal.cell(self.open_cell, state, seconds=seconds)
            self.open_cell = None

    def handle_message(self, message: dict[str, Any]) -> None:
        """A message of the interpreter."""
        kind = message["e"]
        if kind == "ready":
            self.ready = True
        elif kind == "start":
            self.open_cell = self.child.number = message["n"]
            self.reported_cells.add(message["n"])
            self.child.cell_start_time = time.monotonic()
            self.journal.cell(message["n"], "start", label=self.job.labels.get(message["n"], ""))
        elif kind == "done":
            self.close("ok")
        elif kind == "skip":
            self.reported_cells.add(message["n"])
            self.journal.cell(message["n"], "skipped", label=self.job.labels.get(message["n"], ""))
        elif kind == "over":
            self.outcome = Outcome(Status.SUCCEEDED, 0)
        elif kind == "error":
            self._handle_error(message)

    def _handle_error(self, message: Mapping[str, Any]) -> None:
        error = {key: message[key] for key in ("ename", "evalue", "traceback")}
        if "exit" not in message:  # plain Python says nothing of a SystemExit, but for its message
            self.journal.out(message["n"], {"output_type": "error", **error})
        if message["forgiven"]:
            self.close("ok")
            return
        state, self.outcome = outcome_of_error(message["n"], message["ename"], message["evalue"], message.get("exit"))
        if message["ename"] != "KeyboardInterrupt":
            self.close(state)

    def _locate_cells(self) -> list[tuple[int, int, str]]:
        """Line, number and treatment of every code cell. Where script and notebook disagree all is one cell."""
        code_chunks = split_script(self.script.read_text(encoding="utf-8"))
        if len(code_chunks) != len(self.cells):
            self.journal.note("the paired script has other cells than the notebook: progress is not known by cell")
            return [(0, next((number for number, _, _ in self.cells), 1), "run")]
        return [
            (chunk.line, number, "skip" if is_skipped(cell) else "forgive" if allows_error(cell) else "run")
            for (number, _, cell), chunk in zip(self.cells, code_chunks, strict=True)
        ]
