"""Replay a journal into the executed notebook and the record of its cells, by one logic for every ending.

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

from snaprun.live.journal import load_output, read_events, strip_ansi
from snaprun.live.livefolder import Live
from snaprun.model import Cell, CellError, utc
from snaprun.notebooks.cells import join_lines, number_cells, read_source

CELL_LIMIT = 10_000_000
"""Characters of a cell's stdout or stderr that the notebook keeps: half from its head, half from its tail."""

NOTEBOOK_LIMIT = 40_000_000
"""Characters of streams in the entire notebook; once they are used up a cell keeps ``CELL_RESERVE``."""

CELL_RESERVE = 20_000
"""Characters that a cell's stream may always keep."""

OPEN_LINE = 64 * 1024
"""Characters of a line without an end that are held back for a carriage return to overwrite."""

_OVERWRITE = re.compile(r"[^\n]*\r(?=[^\n\r])")
"""What a progress bar's carriage return overwrites: up to the last one that has something behind it in its line."""


@dataclass(frozen=True)
class Replay:
    """What the journal proves. Times are seconds since the epoch; ``status`` is None when no end was journalled."""

    notebook: dict[str, Any]
    cells: tuple[Cell, ...]
    error: CellError | None
    attempts: int
    start: float | None
    last_time: float | None
    status: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    signal: int | None = None
    result: str | None = None
    current_cell: int | None = None
    notes: tuple[str, ...] = ()


@dataclass
class _Track:
    """One code cell while the journal is read."""

    number: int
    index: int
    label: str = ""
    state: str = "not-run"
    start: float | None = None
    seconds: float | None = None
    count: int | None = None
    source: str | None = None
    outputs: list[Any] = field(default_factory=list)
    displays: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    has_pending_clear: bool = False
    error: dict[str, Any] | None = None


def replay_live(folder: Live, notebook: Mapping[str, Any]) -> Replay:
    """Replay the journal of a live folder over its notebook (a version 4 document with the parameters injected)."""
    return replay((event for _, event in read_events(folder.events)), notebook, blobs=folder.blobs)


def replay(events: Iterable[Mapping[str, Any]], notebook: Mapping[str, Any], *, blobs: Path | None = None) -> Replay:
    """Build the executed notebook from the journal of its last attempt. The notebook given is not changed."""
    reader = _JournalReader(notebook, blobs)
    for event in events:
        reader.take(event)
    return reader.finish()


class _JournalReader:
    """The state between two events."""

    def __init__(self, notebook: Mapping[str, Any], blobs: Path | None) -> None:
        self.source = notebook
        self.blobs = blobs
        self.attempts = 0
        self.begin({})

    def begin(self, event: Mapping[str, Any]) -> None:
        """An attempt starts: nothing of an earlier one counts any more."""
        self.tracks = {number: _Track(number, index) for number, index, _ in number_cells(self.source)}
        self.language_info: Any = event.get("language_info")
        self.widgets: dict[str, Any] = {}
        self.stream_size = 0
        self.start = event.get("t")
        self.last_time: float | None = event.get("t")
        self.end_event: dict[str, Any] = {}
        self.notes: list[str] = []
        self.tip: str | None = None
        self.attempts = max(self.attempts + bool(event), int(event.get("attempt") or 0))

    def take(self, event: Mapping[str, Any]) -> None:
        kind = event["e"]
        self.last_time = event.get("t", self.last_time)
        if kind == "start":
            self.begin(event)
        elif kind == "kernel":
            self.language_info = event.get("language_info")
        elif kind == "widgets":
            self.widgets.update(event.get("state") or {})
        elif kind == "note":
            self.notes.append(str(event.get("text")))
        elif kind == "end":
            self.end_event = dict(event)
        elif kind == "result":
            self.tip = event.get("tip")
        elif kind == "update":
            self.update(event)
        elif event.get("n") in self.tracks:
            self.take_cell(kind, self.tracks[event["n"]], event)

    def take_cell(self, kind: str, cell: _Track, event: Mapping[str, Any]) -> None:
        if kind == "cell" and event["state"] == "start":
            track = _Track(cell.number, cell.index, str(event.get("label") or ""), "running", event.get("t"))
            track.source = event.get("source")
            self.tracks[cell.number] = track
        elif kind == "cell":
            cell.state = event["state"]
            cell.seconds = event.get("seconds")
            cell.label = str(event.get("label") or cell.label)
            cell.count = event.get("count", cell.count)
        elif kind == "clear":
            cell.has_pending_clear = bool(event.get("wait"))
            if not cell.has_pending_clear:
                self.wipe(cell)
        elif kind == "out":
            self.out(cell, event)

    def out(self, cell: _Track, event: Mapping[str, Any]) -> None:
        output = load_output(event, self.blobs or Path())
        if output is None:
            notice = f"[snaprun: an output of {event.get('size')} bytes is damaged]\n"
            output = {"output_type": "stream", "name": "stderr", "text": notice}
        if cell.has_pending_clear:
            self.wipe(cell)
        if output.get("output_type") == "stream":
            self.stream(cell, str(output.get("name")), output.get("text", ""))
            return
        if output.get("output_type") == "error" and cell.error is None:
            cell.error = output
        cell.outputs.append(output)
        if event.get("id"):
            cell.displays.append((event["id"], output))

    def stream(self, cell: _Track, name: str, text: Any) -> None:
        """Add to this name's stream since the last rich output: bursts of both names become one of each."""
        for output in reversed(cell.outputs):
            if not isinstance(output, _Stream):
                break
            if output.name == name:
                self.stream_size += output.add(join_lines(text))
                return
        limit = min(CELL_LIMIT, max(CELL_RESERVE, NOTEBOOK_LIMIT - self.stream_size))
        burst = _Stream(name, limit)
        cell.outputs.append(burst)
        self.stream_size += burst.add(join_lines(text))

    def wipe(self, cell: _Track) -> None:
        self.stream_size -= sum(output.size for output in cell.outputs if isinstance(output, _Stream))
        cell.outputs.clear()
        cell.displays.clear()
        cell.has_pending_clear = False

    def update(self, event: Mapping[str, Any]) -> None:
        content = load_output(event, self.blobs or Path())
        if content is None:
            return
        for cell in self.tracks.values():
            for display_id, output in cell.displays:
                if display_id == event.get("id"):
                    output["data"] = content.get("data", {})
                    output["metadata"] = content.get("metadata", {})

    def finish(self) -> Replay:
        current_cell = next((track.number for track in self.tracks.values() if track.state == "running"), None)
        error = next((self.error(track) for track in self.tracks.values() if track.state == "failed"), None)
        return Replay(
            notebook=self.notebook(),
            cells=tuple(self.cell(track) for track in self.tracks.values()),
            error=error,
            attempts=max(1, self.attempts),
            start=self.start,
            last_time=self.last_time,
            status=self.end_event.get("status"),
            exit_code=self.end_event.get("exit_code"),
            reason=self.end_event.get("reason"),
            signal=self.end_event.get("signal"),
            result=self.tip,
            current_cell=current_cell,
            notes=tuple(dict.fromkeys(self.notes)),
        )

    def cell(self, track: _Track) -> Cell:
        state, seconds = track.state, track.seconds
        if state == "running":  # no end was journalled: whoever executed it is gone
            state = "stopped"
            seconds = round(max(0.0, (self.last_time or 0.0) - track.start), 6) if track.start else None
        return Cell(track.number, track.label, state, seconds, self.source["cells"][track.index].get("id"))

    def error(self, track: _Track) -> CellError | None:
        if track.error is None:
            return None
        text = track.source if track.source is not None else read_source(self.source["cells"][track.index])
        traceback = strip_ansi("\n".join(track.error.get("traceback") or []))
        return CellError(track.number, str(track.error.get("ename")), str(track.error.get("evalue")), traceback, text)

    def notebook(self) -> dict[str, Any]:
        """A copy of the source with this attempt's outputs, and none of those that were saved in it."""
        by_index = {track.index: track for track in self.tracks.values()}
        cells = []
        for index, original in enumerate(self.source.get("cells", ())):
            cell = dict(original)
            if index in by_index:
                _fill(cell, by_index[index])
            cells.append(cell)
        metadata = {key: value for key, value in (self.source.get("metadata") or {}).items() if key != "widgets"}
        if self.language_info:
            metadata["language_info"] = self.language_info
        if self.widgets:
            widget_state = {"state": self.widgets, "version_major": 2, "version_minor": 0}
            metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": widget_state}
        return {**self.source, "cells": cells, "metadata": metadata}


def _fill(cell: dict[str, Any], track: _Track) -> None:
    """Give a code cell what its execution made."""
    if track.source is not None:
        cell["source"] = track.source
    cell["execution_count"] = track.count
    cell["outputs"] = [
        output.node() if isinstance(output, _Stream) else output for output in _order_streams(track.outputs)
    ]
    metadata = {key: value for key, value in (cell.get("metadata") or {}).items() if key != "execution"}
    if track.start is not None:
        start = utc(track.start)
        times = {"iopub.status.busy": start, "iopub.execute_input": start}
        if track.seconds is not None:
            end = utc(track.start + track.seconds)
            times.update({"shell.execute_reply": end, "iopub.status.idle": end})
        metadata["execution"] = times
    cell["metadata"] = metadata


def _order_streams(outputs: list[Any]) -> list[Any]:
    """Standard output before standard error where the two alternate: their order in time is not defined by Jupyter."""
    sequence = list(outputs)
    for index in range(len(sequence) - 1):
        first, second = sequence[index], sequence[index + 1]
        if (
            isinstance(first, _Stream)
            and isinstance(second, _Stream)
            and (first.name, second.name) == ("stderr", "stdout")
        ):
            sequence[index], sequence[index + 1] = second, first
    return sequence


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
        self.loss = 0
        self.open_line = ""

    def add(self, text: str) -> int:
        """Take more text; how many characters more are held now."""
        old_size = self.size
        text = self.open_line + text
        end = text.rfind("\n") + 1
        block, self.open_line = text[:end], text[end:]
        if "\r" in block:
            block = _OVERWRITE.sub("", block.replace("\r\n", "\n"))
        if "\r" in self.open_line:
            line = self.open_line.rstrip("\r")
            self.open_line = line[line.rfind("\r") + 1 :] + self.open_line[len(line) :][:1]
        if len(self.open_line) > OPEN_LINE:
            block, self.open_line = block + self.open_line, ""
        self._keep(block)
        self.size = self.head_size + self.tail_size + len(self.open_line)
        return self.size - old_size

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
            count = min(surplus, len(first))
            self.tail_size -= count
            self.loss += count

    def node(self) -> dict[str, Any]:
        text = "".join(self.head)
        if self.loss:
            text += f"\n[snaprun: {self.loss:,} characters left out here; the run's log.txt has them all]\n"
        text += "".join(self.tail) + self.open_line.rstrip("\r")
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
    copy = dict(cell)
    if isinstance(copy.get("source"), str):
        copy["source"] = _Lines(copy["source"])
    if "attachments" in copy:
        copy["attachments"] = {name: _split_data(data) for name, data in copy["attachments"].items()}
    if "outputs" in copy:
        copy["outputs"] = [_split_output(output) for output in copy["outputs"]]
    return copy


def _split_output(output: Mapping[str, Any]) -> dict[str, Any]:
    copy = dict(output)
    if isinstance(copy.get("text"), str):
        copy["text"] = _Lines(copy["text"])
    if isinstance(copy.get("data"), dict):
        copy["data"] = _split_data(copy["data"])
    return copy


def _split_data(data: Mapping[str, Any]) -> dict[str, Any]:
    return {kind: _Lines(value) if isinstance(value, str) and _is_text(kind) else value for kind, value in data.items()}


def _is_text(kind: str) -> bool:
    return kind.startswith("text/") or kind in ("application/javascript", "image/svg+xml")
