"""Draw the live line below the output of a run that somebody watches: which cell, for how long, until when."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any, BinaryIO, TextIO

import rich.progress
from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from snaprun.live.progress import Progress
from snaprun.quantities import format_clock

STATE_LABELS = {"starting": "starting the kernel", "held": "held after an error", "finishing": "writing the result"}


class Label(ProgressColumn):
    """The cell that runs; with the bar it gives way in a narrow terminal, and never takes a second line."""

    def render(self, task: Task) -> Text:
        """The text of the column."""
        return Text(task.description, no_wrap=True, overflow="ellipsis")


class Clock(ProgressColumn):
    """Elapsed time of the run, and what is left where an earlier run tells."""

    def render(self, task: Task) -> Text:
        """The text of the column."""
        text = Text(format_clock(task.fields["elapsed"]), style="progress.elapsed")
        eta = task.fields["eta"]
        return text.append(f"  about {format_clock(eta)} left", style="dim") if eta is not None else text


class Bar:
    """A progress line on ``terminal`` that gives way to the run's own output on ``output``.

    It is drawn only while the output stands at the beginning of a line: a notebook's own progress bar is not torn.
    """

    def __init__(self, output: BinaryIO, terminal: TextIO, earlier_seconds: Mapping[int, float]) -> None:
        self._output = output
        self._earlier_seconds = earlier_seconds
        self._fresh_line = True
        self._bar = rich.progress.Progress(
            TextColumn("[{task.fields[done]}/{task.fields[cells]}]", style="bold", table_column=Column(no_wrap=True)),
            Label(),
            BarColumn(bar_width=24),
            Clock(Column(no_wrap=True)),
            console=Console(file=terminal),
            transient=True,
            auto_refresh=False,
        )
        self._task: TaskID | None = None
        self._is_shown = False

    def write(self, log: bytes) -> None:
        """Pass the run's output on, byte for byte."""
        if not log:
            return
        self._hide()
        self._output.write(log)
        self._output.flush()
        self._fresh_line = log.endswith(b"\n")

    def update(self, progress: Progress) -> None:
        """Draw where the run stands."""
        now = time.time()
        fields: dict[str, Any] = {
            "done": progress.cell if progress.cell is not None else progress.done,
            "cells": progress.total or "?",
            "elapsed": now - progress.start if progress.start else 0.0,
            "eta": progress.eta(self._earlier_seconds, now),
        }
        label = STATE_LABELS.get(progress.state) or progress.label
        if self._task is None:
            self._task = self._bar.add_task(label, total=progress.total or None, **fields)
        self._bar.update(
            self._task, description=label[:40], total=progress.total or None, completed=progress.done, **fields
        )
        if self._fresh_line:
            if not self._is_shown:
                self._bar.start()
                self._is_shown = True
            self._bar.refresh()

    def close(self) -> None:
        """Take the line away; the output ends with a line break."""
        self._hide()
        if not self._fresh_line:
            self._output.write(os.linesep.encode())
            self._output.flush()

    def _hide(self) -> None:
        if self._is_shown:
            self._bar.stop()
            self._is_shown = False
