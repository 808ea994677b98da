"""Read where a run in progress stands from its live folder alone. Standard library only.

The files of the live folder are opened once and kept: they can be read to their end even when the folder goes away in
between.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from snaprun.live.livefolder import Live
from snaprun.model import Run

PIECE = 1 << 20
"""Bytes of log, or of journal, read at a time."""

FINAL_STATES = ("ok", "failed", "stopped", "skipped")
"""States of a cell that is done with."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands. ``cell`` is the one that runs, 0 the injected one; ``seconds`` how long ended cells took.

    ``hold`` is how long the run was held after errors, ``hold_start`` when that began where it is held now.
    """

    total: int = 0
    cell: int | None = None
    label: str = ""
    done: int = 0
    start: float | None = None
    cell_started: float | None = None
    attempt: int = 1
    state: str = "starting"  # "starting", "running", "held", "finishing" or "ended"
    seconds: Mapping[int, float] = field(default_factory=dict)
    hold: float = 0.0
    hold_start: float | None = None

    def hold_until(self, now: float) -> float:
        """Seconds that the run was held so far: they do not count against its time limit."""
        return self.hold + (0.0 if self.hold_start is None else max(0.0, now - self.hold_start))

    def eta(self, durations: Mapping[int, float], now: float) -> float | None:
        """Seconds left, were each remaining cell to take what it took in an earlier run; None where none is known."""
        if not durations or self.state not in ("starting", "running"):
            return None
        estimate = sum(
            duration for number, duration in durations.items() if number not in self.seconds and number != self.cell
        )
        if self.cell is not None and self.cell_started is not None:
            estimate += max(0.0, durations.get(self.cell, 0.0) - (now - self.cell_started))
        return estimate


@dataclass(frozen=True)
class RunInProgress:
    """A run in progress: where it stands, what is left of it, and what its processes use.

    ``trouble`` is why its launcher gave no answer when it was asked last, ``silence`` the seconds since its last one.
    """

    run: Run
    progress: Progress
    duration: float | None
    eta: float | None
    cpu: float | None
    memory: int | None
    metric: str | None
    host: str | None
    trouble: str | None = None
    silence: float | None = None


def read_progress(folder: Live) -> Progress:
    """Where a run in progress stands, at one glance."""
    view = LiveView(folder)
    try:
        view.read_events()
        return view.progress
    finally:
        view.close()


def read_hold(path: Path, now: float) -> float:
    """Seconds that the run in a live folder was held so far."""
    return read_progress(Live(path)).hold_until(now)


class LiveView:
    """The open files of a live folder, and how far they were read."""

    def __init__(self, folder: Live, *, offset: int = 0) -> None:
        self.folder = folder
        self._begin(offset)

    def _begin(self, offset: int) -> None:
        self.offset = offset
        self.progress = Progress()
        self.result: str | None = None
        self._torn_line = b""
        self._events = _open(self.folder.events)
        self._log = _open(self.folder.log)
        self._position = 0

    def _is_replaced(self) -> bool:
        """Whether the files are others by now: those of a further attempt, which another machine has begun."""
        try:
            return self._events is not None and os.stat(self.folder.events).st_ino != os.fstat(self._events).st_ino
        except FileNotFoundError:  # the folder goes away: what is open can be read to its end
            return False

    def read(self) -> tuple[bytes, bool]:
        """New bytes of the log (a piece of them), and whether the journal had news. What the journal says comes later
        than the bytes that it speaks of: once it tells of the end, the log is whole."""
        news = self.read_events()
        log = b"" if self._log is None else os.pread(self._log, PIECE, self.offset)
        self.offset += len(log)
        return log, news

    def read_events(self) -> bool:
        """Take in what the journal has new; whether there was anything."""
        if self._is_replaced():
            self.close()
            self._begin(0)
        if self._events is None:
            return False
        news = False
        while data := os.pread(self._events, PIECE, self._position):
            self._position += len(data)
            *lines, self._torn_line = (self._torn_line + data).split(b"\n")
            for line in lines:
                news = self._take(line) or news
        return news

    def close(self) -> None:
        """Let go of the files."""
        for handle in (self._events, self._log):
            if handle is not None:
                os.close(handle)
        self._events = self._log = None

    def _take(self, line: bytes) -> bool:
        if b'"e":"out"' in line[:60] or b'"e":"update"' in line[:60]:  # most of a journal, and no news of the kind
            return False
        try:
            event = json.loads(line)
        except ValueError:
            return False
        if not isinstance(event, dict):
            return False
        if event.get("e") == "result":
            self.result = str(event.get("tip"))
        self.progress = advance(self.progress, event)
        return True


def advance(progress: Progress, event: Mapping[str, Any]) -> Progress:
    """Where a run stands after one more event of its journal."""
    kind, time = event.get("e"), event.get("t")
    if kind == "start":
        return Progress(
            total=int(event.get("cells") or 0), attempt=int(event.get("attempt") or 1), start=time, state="running"
        )
    if kind == "cell" and event.get("state") == "start":
        label = str(event.get("label") or "")
        return replace(progress, cell=int(event["n"]), label=label, cell_started=time, state="running")
    if kind == "cell":
        return _end_cell(progress, int(event["n"]), event)
    if kind == "hold":
        return replace(progress, state="held", hold_start=time)
    if kind == "resume":  # the cell that failed is tried again
        count = progress.done - (int(event.get("n") or 0) > 0)
        hold = progress.hold_until(time or 0.0)
        return replace(progress, state="running", done=count, hold=hold, hold_start=None)
    if kind == "end":
        return replace(progress, state="finishing", cell=None)
    if kind == "result":
        return replace(progress, state="ended", cell=None)
    return progress


def _end_cell(progress: Progress, number: int, event: Mapping[str, Any]) -> Progress:
    seconds = progress.seconds
    if event.get("seconds") is not None:
        seconds = {**seconds, number: float(event["seconds"])}
    is_final = number > 0 and event.get("state") in FINAL_STATES
    return replace(progress, cell=None, done=progress.done + is_final, seconds=seconds)


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # the folder goes away right now
        return None
