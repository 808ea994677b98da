"""Write and read the journal of a run: every output and state as it arrives, a JSON object a line, never rewritten.

Standard library only. One writer (the worker), any number of readers. ``events.jsonl`` is the truth from which the
executed notebook is made; ``log.txt`` holds the plain bytes of standard output and error, written after the events, and
``log-times.jsonl`` when they came.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import IO, Any

from snaprun import files
from snaprun.errors import WriteFault, os_fault
from snaprun.live.arrivals import ArrivalWriter
from snaprun.live.names import ARRIVALS_FILE, BLOBS_FOLDER, EVENTS_FILE, LOG_FILE

INTERVAL = 0.1
"""Seconds that an event waits for company before it is written; the promise is 0.2 at most."""

LARGE = 1_000_000
"""Outputs whose JSON has more characters than this are stored once, by hash, beside the journal."""

CHUNK = 64 * 1024
"""Characters of a stream that make up one event at most."""

BACKLOG = 1024 * 1024
"""Bytes waiting to be written at which the caller writes them itself, so that memory stays bounded."""

MAX_BACKLOG = 64 * BACKLOG
"""Bytes kept in memory while the disk refuses them, before the run has to end."""

ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
"""Terminal control sequences (ECMA-48: CSI, OSC, and the two-character ones)."""


class Journal:
    """The append writer. Safe to call from several threads; a thread of its own writes what waits.

    Raises (from any method) WriteFault once the disk has refused more than can be kept in memory.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._events = _Appender(folder / EVENTS_FILE)
        self._events.cut_torn_line()
        self._log = _Appender(folder / LOG_FILE)
        self._times = _Appender(folder / ARRIVALS_FILE)
        self._times.cut_torn_line()
        self._arrivals = ArrivalWriter()
        self._log_time = 0.0
        self._stream: tuple[int, str] | None = None
        self._texts: list[str] = []
        self._stream_length = 0
        self._stream_time = 0.0
        self._is_blocked = False
        self._needs_sync = False
        self._write_event = threading.Event()
        self._close_event = threading.Event()
        self._thread = threading.Thread(target=self._write_until_closed, name="snaprun-journal", daemon=True)
        self._thread.start()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, *, attempt: int, cells: int, kernel: str | None, **fields: Any) -> None:
        """The run begins (again): what an earlier attempt journalled no longer counts."""
        self.event("start", attempt=attempt, cells=cells, kernel=kernel, **fields)

    def cell(self, number: int, state: str, **fields: Any) -> None:
        """A cell starts (``start``) or ends (``ok failed stopped skipped not-run``); an end is synced to the disk."""
        self.event("cell", n=number, state=state, **fields)
        if state != "start":
            self._needs_sync = True

    def out(self, number: int, output: Mapping[str, Any], *, display_id: str | None = None) -> None:
        """An output of a cell, in nbformat's words. Streams and tracebacks go to the log too."""
        kind = output["output_type"]
        if kind == "stream":
            self.stream(number, output["name"], output["text"])
            return
        display = {"id": display_id} if display_id else {}
        self.event("out", n=number, **self._store(output), **display)
        if kind == "error":
            self.raw(strip_ansi("\n".join(output["traceback"])).encode("utf-8", "backslashreplace") + b"\n")

    def stream(self, number: int, name: str, text: str, *, log: bool = True) -> None:
        """Text that a cell wrote to ``stdout`` or ``stderr``. Joined with what came just before."""
        with self._lock:
            if self._stream != (number, name) or self._stream_length > CHUNK:
                self._end_stream()
                self._stream = (number, name)
                self._stream_time = self._clock()
            self._texts.append(text)
            self._stream_length += len(text)
            if log:
                self._print(text.encode("utf-8", "backslashreplace"))
            self._wake()

    def raw(self, data: bytes) -> None:
        """Bytes for the log alone."""
        with self._lock:
            self._print(data)
            self._wake()

    def update(self, display_id: str, content: Mapping[str, Any]) -> None:
        """New data and metadata for every output shown under this display id, in whichever cell."""
        self.event("update", id=display_id, **self._store(content))

    def clear(self, number: int, *, wait: bool) -> None:
        """The outputs of a cell are cleared, now or when the next one comes."""
        self.event("clear", n=number, wait=wait)

    def note(self, text: str) -> None:
        """A warning that the run's record shall carry."""
        self.event("note", text=text)

    def end(self, *, status: str, exit_code: int, reason: str | None = None, signal: int | None = None) -> None:
        """The run is over."""
        self.event("end", status=status, exit_code=exit_code, reason=reason, signal=signal)
        self.sync()

    def result(self, tip: str) -> None:
        """The result commit exists and was verified."""
        self.event("result", tip=tip)
        self.sync()

    def event(self, kind: str, **content: Any) -> None:
        """Any event: ``e`` says which, ``t`` when (seconds since the epoch)."""
        with self._lock:
            self._end_stream()
            self._append({"t": round(self._clock(), 6), "e": kind, **content})
            self._wake()

    def flush(self) -> None:
        """Hand all that waits to the operating system."""
        with self._lock:
            self._end_stream()
            self._write()

    def sync(self) -> None:
        """Flush, and wait until the journal is on the disk."""
        self.flush()
        self._events.sync()

    def close(self) -> None:
        """Write and sync what waits, and let go. Raises WriteFault when the disk refuses it."""
        if self._close_event.is_set():
            return
        self._close_event.set()
        self._write_event.set()
        self._thread.join()
        self.sync()
        backlog = self.backlog
        with self._lock:
            for file in (self._events, self._log, self._times):
                file.close()
        if backlog:
            raise WriteFault(f"{backlog} bytes of the run's journal could not be written", hint="df -h")

    @property
    def backlog(self) -> int:
        """Bytes that are not written yet; after :meth:`flush`, those that the disk refuses."""
        with self._lock:
            return self._events.backlog + self._log.backlog

    def _write_until_closed(self) -> None:
        while not self._close_event.is_set():
            self._write_event.wait()
            self._close_event.wait(INTERVAL)
            self._write_event.clear()
            sync, self._needs_sync = self._needs_sync, False
            self.flush()
            if sync:
                self._events.sync()
            if self._is_blocked:  # try again
                self._write_event.set()

    def _wake(self) -> None:
        """Lock held: see that what waits is written soon, or now if it is much."""
        backlog = self._events.backlog + self._log.backlog
        if backlog > BACKLOG and not self._is_blocked:
            self._end_stream()
            self._write()
        if self._is_blocked and backlog > MAX_BACKLOG:
            raise WriteFault(f"{self.folder} cannot be written", hint="df -h")
        if not self._write_event.is_set():
            self._write_event.set()

    def _write(self) -> None:
        """Lock held: events first, so that the log never shows what the journal lacks."""
        self._events.write()
        if not self._events.backlog and self._log.backlog:
            self._times.add(self._arrivals.line(self._log.size, self._log_time))
            self._times.write()
            self._log.write()
        self._is_blocked = bool(self._events.backlog or self._log.backlog)

    def _print(self, data: bytes) -> None:
        """Lock held: bytes for the log, and when the first of those that wait came."""
        if not self._log.backlog:
            self._log_time = self._clock()
        self._log.add(data)

    def _end_stream(self) -> None:
        if self._stream is None:
            return
        (number, name), text = self._stream, "".join(self._texts)
        self._stream, self._stream_length = None, 0
        self._texts.clear()
        for start in range(0, len(text), CHUNK):
            output = {"output_type": "stream", "name": name, "text": text[start : start + CHUNK]}
            self._append({"t": round(self._stream_time, 6), "e": "out", "n": number, "o": output})

    def _append(self, event: Mapping[str, Any]) -> None:
        self._events.add(json.dumps(event, separators=(",", ":")).encode("ascii") + b"\n")

    def _store(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """What an event says of an output: itself, or the hash of the file that has it."""
        pieces, head, length = _pieces(content), [], 0
        for piece in pieces:
            head.append(piece)
            length += len(piece)
            if length > LARGE:
                break
        else:
            return {"o": content}
        folder = self.folder / BLOBS_FOLDER
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            with files.draft(folder) as file:
                size, name = _write_hashed(file, chain(head, pieces))
                files.publish(file, folder / name)
        except OSError as error:
            raise os_fault(error, f"cannot write {folder}", folder) from error
        return {"ref": name, "size": size}


def _pieces(value: Any, depth: int = 2) -> Iterator[str]:
    """An output as JSON, large texts in small pieces: in one it would take five times their size in memory.

    ``depth``: levels of mappings to look into; an output has its texts in the second.
    """
    if isinstance(value, str) and len(value) > CHUNK:
        yield '"'
        for start in range(0, len(value), CHUNK):
            yield json.dumps(value[start : start + CHUNK])[1:-1]
        yield '"'
    elif isinstance(value, dict) and value and depth:
        for number, (key, item) in enumerate(value.items()):
            yield ("," if number else "{") + json.dumps(str(key)) + ":"
            yield from _pieces(item, depth - 1)
        yield "}"
    else:
        yield json.dumps(value, separators=(",", ":"))


def _write_hashed(file: IO[bytes], pieces: Iterable[str]) -> tuple[int, str]:
    """Write ASCII text; its size and its SHA-256."""
    digest = hashlib.sha256()
    for piece in pieces:
        data = piece.encode("ascii")
        digest.update(data)
        file.write(data)
    return file.tell(), digest.hexdigest()


class _Appender:
    """One file, written at its end; what the disk refuses waits here."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._parts: list[bytes] = []
        self.backlog = 0
        self.size = os.fstat(self._file).st_size

    def add(self, data: bytes) -> None:
        self._parts.append(data)
        self.backlog += len(data)

    def write(self) -> None:
        if not self._parts:
            return
        data = memoryview(b"".join(self._parts))
        self._parts.clear()
        while data:
            try:
                count = os.write(self._file, data)
                self.size += count
                data = data[count:]
            except OSError:  # full or broken: keep the rest, the caller sees the backlog
                self._parts.append(bytes(data))
                break
        self.backlog = len(data)

    def sync(self) -> None:
        try:
            os.fsync(self._file)
        except OSError:  # some file systems cannot; a full one says so when writing
            return

    def cut_torn_line(self) -> None:
        """Drop the half line that a killed writer left, so that the next event starts a line."""
        size = os.fstat(self._file).st_size
        end = size
        while end > 0:
            start = max(0, end - CHUNK)
            position = os.pread(self._file, end - start, start).rfind(b"\n")
            if position >= 0:
                end = start + position + 1
                break
            end = start
        if end != size:
            os.ftruncate(self._file, end)

    def close(self) -> None:
        os.close(self._file)


def strip_ansi(text: str) -> str:
    """``text`` without terminal colours."""
    return ANSI.sub("", text)


def read_events(path: Path, offset: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """The events from this byte on, each with the offset behind it. A torn last line is left for the next time.

    A missing file has no events; a line that is damaged (a power cut may leave zeros) is passed over.
    """
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed by the with below; opening alone may fail)
    except FileNotFoundError:
        return
    with file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and "e" in event:
                yield offset, event


def load_output(event: Mapping[str, Any], blobs: Path) -> dict[str, Any] | None:
    """The output that an ``out`` or ``update`` event carries or points at; None when its file is gone or damaged."""
    if "ref" not in event:
        return dict(event.get("o") or {})
    try:
        data = (blobs / str(event["ref"])).read_bytes()
        if hashlib.sha256(data).hexdigest() != event["ref"]:
            return None
        text = data.decode("ascii")
        del data  # it may be hundreds of megabytes
        return dict(json.loads(text))
    except (OSError, ValueError):
        return None
