"""Where a run in progress stands, from its live folder alone: standard library only.

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

COUNTED = ("ok", "failed", "stopped", "skipped")
"""States of a cell that is done with."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands. ``cell`` is the one that runs, 0 the injected one; ``seconds`` how long ended cells took.

    ``held`` is how long the run was held after errors, ``held_since`` when that began where it is held now.
    """

    total: int = 0
    cell: int | None = None
    label: str = ""
    done: int = 0
    started: float | None = None
    cell_started: float | None = None
    attempt: int = 1
    state: str = "starting"  # "starting", "running", "held", "finishing" or "ended"
    seconds: Mapping[int, float] = field(default_factory=dict)
    held: float = 0.0
    held_since: float | None = None

    def held_until(self, now: float) -> float:
        """Seconds that the run was held so far: they do not count against its time limit."""
        return self.held + (0.0 if self.held_since is None else max(0.0, now - self.held_since))

    def eta(self, earlier: Mapping[int, float], now: float) -> float | None:
        """Seconds left, were each remaining cell to take what it took in an earlier run; None where none is known."""
        if not earlier or self.state not in ("starting", "running"):
            return None
        left = sum(took for number, took in earlier.items() if number not in self.seconds and number != self.cell)
        if self.cell is not None and self.cell_started is not None:
            left += max(0.0, earlier.get(self.cell, 0.0) - (now - self.cell_started))
        return left


@dataclass(frozen=True)
class Going:
    """A run in progress: where it stands, what is left of it, and what its processes use.

    ``trouble`` is why its launcher gave no answer when it was asked last, ``silent`` the seconds since its last one.
    """

    run: Run
    standing: Progress
    elapsed: float | None
    left: float | None
    cpu: float | None
    memory: int | None
    metric: str | None
    host: str | None
    trouble: str | None = None
    silent: float | None = None


def look(live: Live) -> Progress:
    """Where a run in progress stands, at one glance."""
    view = View(live)
    try:
        view.read_events()
        return view.progress
    finally:
        view.close()


def held(folder: Path, now: float) -> float:
    """Seconds that the run in a live folder was held so far."""
    return look(Live(folder)).held_until(now)


class View:
    """The open files of a live folder, and how far they were read."""

    def __init__(self, live: Live, *, offset: int = 0) -> None:
        self.live = live
        self._begin(offset)

    def _begin(self, offset: int) -> None:
        self.offset = offset
        self.progress = Progress()
        self.result: str | None = None
        self._rest = b""
        self._events = _open(self.live.events)
        self._log = _open(self.live.log)
        self._position = 0

    def _another(self) -> bool:
        """Whether the files are others by now: those of a further attempt, which another machine has begun."""
        try:
            return self._events is not None and os.stat(self.live.events).st_ino != os.fstat(self._events).st_ino
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
        if self._another():
            self.close()
            self._begin(0)
        if self._events is None:
            return False
        news = False
        while data := os.pread(self._events, PIECE, self._position):
            self._position += len(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
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
    kind, when = event.get("e"), event.get("t")
    if kind == "start":
        return Progress(
            total=int(event.get("cells") or 0), attempt=int(event.get("attempt") or 1), started=when, state="running"
        )
    if kind == "cell" and event.get("state") == "start":
        label = str(event.get("label") or "")
        return replace(progress, cell=int(event["n"]), label=label, cell_started=when, state="running")
    if kind == "cell":
        return _cell_ended(progress, int(event["n"]), event)
    if kind == "hold":
        return replace(progress, state="held", held_since=when)
    if kind == "resume":  # the cell that failed is tried again
        done = progress.done - (int(event.get("n") or 0) > 0)
        held = progress.held_until(when or 0.0)
        return replace(progress, state="running", done=done, held=held, held_since=None)
    if kind == "end":
        return replace(progress, state="finishing", cell=None)
    if kind == "result":
        return replace(progress, state="ended", cell=None)
    return progress


def _cell_ended(progress: Progress, number: int, event: Mapping[str, Any]) -> Progress:
    seconds = progress.seconds
    if event.get("seconds") is not None:
        seconds = {**seconds, number: float(event["seconds"])}
    counted = number > 0 and event.get("state") in COUNTED
    return replace(progress, cell=None, done=progress.done + counted, seconds=seconds)


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # the folder goes away right now
        return None
