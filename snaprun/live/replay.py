"""From the journal to the executed notebook and the record of its cells: one logic for every ending.

Standard library only, and streaming: a gigabyte of output passes through, what stays is what the notebook keeps.
"""

from __future__ import annotations

import io
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snaprun.live.journal import load_output, plain, read_events
from snaprun.live.livefolder import Live
from snaprun.model import Cell, CellError, utc

INJECTED = "injected-parameters"
"""Papermill's tag of the cell that holds the given parameters; its number is 0."""

CELL_LIMIT = 10_000_000
"""Characters of a cell's stdout or stderr that the notebook keeps: half from its head, half from its tail."""

NOTEBOOK_LIMIT = 40_000_000
"""Characters of streams in the entire notebook; once they are used up a cell keeps ``SPARE``."""

SPARE = 20_000
"""Characters that a cell's stream may always keep."""

OPEN_LINE = 64 * 1024
"""Characters of a line without an end that are held back for a carriage return to overwrite."""

_OVERWRITTEN = re.compile(r"[^\n]*\r(?=[^\n\r])")
"""What a progress bar's carriage return overwrites: up to the last one that has something behind it in its line."""


@dataclass(frozen=True)
class Replay:
    """What the journal proves. Times are seconds since the epoch; ``status`` is None when no end was journalled."""

    notebook: dict[str, Any]
    cells: tuple[Cell, ...]
    error: CellError | None
    attempts: int
    started: float | None
    last: float | None
    status: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    signal: int | None = None
    result: str | None = None
    running: int | None = None
    notes: tuple[str, ...] = ()


@dataclass
class _Track:
    """One code cell while the journal is read."""

    number: int
    index: int
    label: str = ""
    state: str = "not-run"
    started: float | None = None
    seconds: float | None = None
    count: int | None = None
    source: str | None = None
    outputs: list[Any] = field(default_factory=list)
    shown: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    clearing: bool = False
    error: dict[str, Any] | None = None


def numbers(notebook: Mapping[str, Any]) -> Iterator[tuple[int, int, Mapping[str, Any]]]:
    """Every code cell as (number, index among all cells, cell); the injected parameters have the number 0."""
    number = 0
    injected = False
    for index, cell in enumerate(notebook.get("cells", ())):
        if cell.get("cell_type") != "code":
            continue
        if not injected and INJECTED in tags(cell):
            injected = True
            yield 0, index, cell
            continue
        number += 1
        yield number, index, cell


def tags(cell: Mapping[str, Any]) -> list[str]:
    """The tags of a cell; a damaged list counts as none."""
    found = (cell.get("metadata") or {}).get("tags")
    return [tag for tag in found if isinstance(tag, str)] if isinstance(found, list) else []


def source(cell: Mapping[str, Any]) -> str:
    """The text of a cell, which nbformat stores as a string or as a list of lines."""
    text = cell.get("source", "")
    return "".join(text) if isinstance(text, list) else str(text)


def replay_live(live: Live, notebook: Mapping[str, Any]) -> Replay:
    """Replay the journal of a live folder over its notebook (a version 4 document with the parameters injected)."""
    return replay((event for _, event in read_events(live.events)), notebook, blobs=live.blobs)


def replay(events: Iterable[Mapping[str, Any]], notebook: Mapping[str, Any], *, blobs: Path | None = None) -> Replay:
    """Build the executed notebook from the journal of its last attempt. The notebook given is not changed."""
    reader = _Reader(notebook, blobs)
    for event in events:
        reader.take(event)
    return reader.finish()


class _Reader:
    """The state between two events."""

    def __init__(self, notebook: Mapping[str, Any], blobs: Path | None) -> None:
        self.source = notebook
        self.blobs = blobs
        self.attempts = 0
        self.begin({})

    def begin(self, event: Mapping[str, Any]) -> None:
        """An attempt starts: nothing of an earlier one counts any more."""
        self.tracks = {number: _Track(number, index) for number, index, _ in numbers(self.source)}
        self.language_info: Any = event.get("language_info")
        self.widgets: dict[str, Any] = {}
        self.kept = 0
        self.started = event.get("t")
        self.last: float | None = event.get("t")
        self.ended: dict[str, Any] = {}
        self.notes: list[str] = []
        self.tip: str | None = None
        self.attempts = max(self.attempts + bool(event), int(event.get("attempt") or 0))

    def take(self, event: Mapping[str, Any]) -> None:
        kind = event["e"]
        self.last = event.get("t", self.last)
        if kind == "start":
            self.begin(event)
        elif kind == "kernel":
            self.language_info = event.get("language_info")
        elif kind == "widgets":
            self.widgets.update(event.get("state") or {})
        elif kind == "note":
            self.notes.append(str(event.get("text")))
        elif kind == "end":
            self.ended = dict(event)
        elif kind == "result":
            self.tip = event.get("tip")
        elif kind == "update":
            self.update(event)
        elif event.get("n") in self.tracks:
            self.take_cell(kind, self.tracks[event["n"]], event)

    def take_cell(self, kind: str, cell: _Track, event: Mapping[str, Any]) -> None:
        if kind == "cell" and event["state"] == "start":
            fresh = _Track(cell.number, cell.index, str(event.get("label") or ""), "running", event.get("t"))
            fresh.source = event.get("source")
            self.tracks[cell.number] = fresh
        elif kind == "cell":
            cell.state = event["state"]
            cell.seconds = event.get("seconds")
            cell.label = str(event.get("label") or cell.label)
            cell.count = event.get("count", cell.count)
        elif kind == "clear":
            cell.clearing = bool(event.get("wait"))
            if not cell.clearing:
                self.wipe(cell)
        elif kind == "out":
            self.out(cell, event)

    def out(self, cell: _Track, event: Mapping[str, Any]) -> None:
        output = load_output(event, self.blobs or Path())
        if output is None:
            lost = f"[snaprun: an output of {event.get('size')} bytes is damaged]\n"
            output = {"output_type": "stream", "name": "stderr", "text": lost}
        if cell.clearing:
            self.wipe(cell)
        if output.get("output_type") == "stream":
            self.stream(cell, str(output.get("name")), output.get("text", ""))
            return
        if output.get("output_type") == "error" and cell.error is None:
            cell.error = output
        cell.outputs.append(output)
        if event.get("id"):
            cell.shown.append((event["id"], output))

    def stream(self, cell: _Track, name: str, text: Any) -> None:
        """Add to this name's stream since the last rich output: bursts of both names become one of each."""
        for output in reversed(cell.outputs):
            if not isinstance(output, _Stream):
                break
            if output.name == name:
                self.kept += output.add("".join(text))
                return
        allowed = min(CELL_LIMIT, max(SPARE, NOTEBOOK_LIMIT - self.kept))
        made = _Stream(name, allowed)
        cell.outputs.append(made)
        self.kept += made.add("".join(text))

    def wipe(self, cell: _Track) -> None:
        self.kept -= sum(output.size for output in cell.outputs if isinstance(output, _Stream))
        cell.outputs.clear()
        cell.shown.clear()
        cell.clearing = False

    def update(self, event: Mapping[str, Any]) -> None:
        content = load_output(event, self.blobs or Path())
        if content is None:
            return
        for cell in self.tracks.values():
            for shown, output in cell.shown:
                if shown == event.get("id"):
                    output["data"] = content.get("data", {})
                    output["metadata"] = content.get("metadata", {})

    def finish(self) -> Replay:
        running = next((track.number for track in self.tracks.values() if track.state == "running"), None)
        error = next((self.error(track) for track in self.tracks.values() if track.state == "failed"), None)
        return Replay(
            notebook=self.notebook(),
            cells=tuple(self.cell(track) for track in self.tracks.values()),
            error=error,
            attempts=max(1, self.attempts),
            started=self.started,
            last=self.last,
            status=self.ended.get("status"),
            exit_code=self.ended.get("exit_code"),
            reason=self.ended.get("reason"),
            signal=self.ended.get("signal"),
            result=self.tip,
            running=running,
            notes=tuple(dict.fromkeys(self.notes)),
        )

    def cell(self, track: _Track) -> Cell:
        state, seconds = track.state, track.seconds
        if state == "running":  # no end was journalled: whoever executed it is gone
            state = "stopped"
            seconds = round(max(0.0, (self.last or 0.0) - track.started), 6) if track.started else None
        return Cell(track.number, track.label, state, seconds, self.source["cells"][track.index].get("id"))

    def error(self, track: _Track) -> CellError | None:
        if track.error is None:
            return None
        text = track.source if track.source is not None else source(self.source["cells"][track.index])
        traceback = plain("\n".join(track.error.get("traceback") or []))
        return CellError(track.number, str(track.error.get("ename")), str(track.error.get("evalue")), traceback, text)

    def notebook(self) -> dict[str, Any]:
        """A copy of the source with this attempt's outputs, and none of those that were saved in it."""
        by_index = {track.index: track for track in self.tracks.values()}
        cells = []
        for index, given in enumerate(self.source.get("cells", ())):
            cell = dict(given)
            if index in by_index:
                _fill(cell, by_index[index])
            cells.append(cell)
        metadata = {key: value for key, value in (self.source.get("metadata") or {}).items() if key != "widgets"}
        if self.language_info:
            metadata["language_info"] = self.language_info
        if self.widgets:
            about = {"state": self.widgets, "version_major": 2, "version_minor": 0}
            metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": about}
        return {**self.source, "cells": cells, "metadata": metadata}


def _fill(cell: dict[str, Any], track: _Track) -> None:
    """Give a code cell what its execution made."""
    if track.source is not None:
        cell["source"] = track.source
    cell["execution_count"] = track.count
    cell["outputs"] = [output.node() if isinstance(output, _Stream) else output for output in _ordered(track.outputs)]
    metadata = {key: value for key, value in (cell.get("metadata") or {}).items() if key != "execution"}
    if track.started is not None:
        began = utc(track.started)
        times = {"iopub.status.busy": began, "iopub.execute_input": began}
        if track.seconds is not None:
            ended = utc(track.started + track.seconds)
            times.update({"shell.execute_reply": ended, "iopub.status.idle": ended})
        metadata["execution"] = times
    cell["metadata"] = metadata


def _ordered(outputs: list[Any]) -> list[Any]:
    """Standard output before standard error where the two alternate: their order in time is not defined by Jupyter."""
    made = list(outputs)
    for index in range(len(made) - 1):
        first, second = made[index], made[index + 1]
        if (
            isinstance(first, _Stream)
            and isinstance(second, _Stream)
            and (first.name, second.name) == ("stderr", "stdout")
        ):
            made[index], made[index + 1] = second, first
    return made


class _Stream:
    """The text of a stream: progress bars collapsed, and of much text only head and tail kept."""

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.size = 0
        self.limit = limit
        self.head: list[str] = []
        self.head_size = 0
        self.tail: deque[str] = deque()
        self.tail_size = 0
        self.dropped = 0
        self.open = ""

    def add(self, text: str) -> int:
        """Take more text; how many characters more are held now."""
        before = self.size
        text = self.open + text
        end = text.rfind("\n") + 1
        done, self.open = text[:end], text[end:]
        if "\r" in done:
            done = _OVERWRITTEN.sub("", done.replace("\r\n", "\n"))
        if "\r" in self.open:
            held = self.open.rstrip("\r")
            self.open = held[held.rfind("\r") + 1 :] + self.open[len(held) :][:1]
        if len(self.open) > OPEN_LINE:
            done, self.open = done + self.open, ""
        self._keep(done)
        self.size = self.head_size + self.tail_size + len(self.open)
        return self.size - before

    def _keep(self, text: str) -> None:
        room = self.limit // 2 - self.head_size
        if room > 0 and text:
            self.head.append(text[:room])
            self.head_size += len(self.head[-1])
            text = text[room:]
        if text:
            self.tail.append(text)
            self.tail_size += len(text)
        while self.tail_size > self.limit // 2:
            surplus = self.tail_size - self.limit // 2
            first = self.tail.popleft()
            if len(first) > surplus:
                self.tail.appendleft(first[surplus:])
            gone = min(surplus, len(first))
            self.tail_size -= gone
            self.dropped += gone

    def node(self) -> dict[str, Any]:
        text = "".join(self.head)
        if self.dropped:
            text += f"\n[snaprun: {self.dropped:,} characters left out here; the run's log.txt has them all]\n"
        text += "".join(self.tail) + self.open.rstrip("\r")
        return {"output_type": "stream", "name": self.name, "text": text}


class _Lines(list[str]):
    """The lines of a text as a list, each made when it is asked for: millions at once take six times their size."""

    def __init__(self, text: str) -> None:
        super().__init__(text[:1])  # what counts is whether it is empty
        self.text = text

    def __iter__(self) -> Iterator[str]:
        start = 0
        while start < len(self.text):
            end = min(len(self.text), start + OPEN_LINE)
            end = self.text.find("\n", end) + 1 or len(self.text)
            yield from self.text[start:end].splitlines(keepends=True)
            start = end


def render(notebook: Mapping[str, Any]) -> bytes:
    """The bytes of a notebook file, as nbformat writes them: one space of indent, texts as lists of lines."""
    document = {**notebook, "cells": [_split_cell(cell) for cell in notebook.get("cells", ())]}
    pieces = json.JSONEncoder(indent=1, sort_keys=True, ensure_ascii=False).iterencode(document)
    file = io.BytesIO()
    for data in map(_bytes, pieces):
        file.write(data)
    file.write(b"\n")
    return file.getvalue()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _split_cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(cell)
    if isinstance(made.get("source"), str):
        made["source"] = _Lines(made["source"])
    if "attachments" in made:
        made["attachments"] = {name: _split_data(data) for name, data in made["attachments"].items()}
    if "outputs" in made:
        made["outputs"] = [_split_output(output) for output in made["outputs"]]
    return made


def _split_output(output: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(output)
    if isinstance(made.get("text"), str):
        made["text"] = _Lines(made["text"])
    if isinstance(made.get("data"), dict):
        made["data"] = _split_data(made["data"])
    return made


def _split_data(data: Mapping[str, Any]) -> dict[str, Any]:
    return {kind: _Lines(value) if isinstance(value, str) and _is_text(kind) else value for kind, value in data.items()}


def _is_text(kind: str) -> bool:
    return kind.startswith("text/") or kind in ("application/javascript", "image/svg+xml")
