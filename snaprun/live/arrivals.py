"""Record when the bytes of a log arrived, in a small file beside it that the journal writes and the result keeps.

Standard library only. A line ``[start, time]`` says that from byte ``start`` of the log on what was printed arrived at
``time`` (seconds since the epoch) or later, until the next line says otherwise.
"""

from __future__ import annotations

import json
from typing import BinaryIO

FINE_LINES = 10_000
"""Lines after which only one a second is written, so that a week of progress bars takes some megabytes."""

COARSE_INTERVAL = 1.0
"""Seconds between two lines then."""


class ArrivalWriter:
    """Decides which arrivals are worth a line."""

    def __init__(self) -> None:
        self._start = -1
        self._time = 0.0
        self._count = 0

    def line(self, start: int, time: float) -> bytes:
        """The line to write for bytes from ``start`` on that arrived at ``time``; empty where the last one will do."""
        if start <= self._start or (self._count >= FINE_LINES and 0 <= time - self._time < COARSE_INTERVAL):
            return b""
        self._start, self._time = start, time
        self._count += 1
        return json.dumps([start, round(time, 3)]).encode("ascii") + b"\n"


class ArrivalReader:
    """Reads the file forward, also while it grows."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._time: float | None = None
        self._next_entry: tuple[int, float] | None = None

    def at(self, offset: int) -> float | None:
        """When the byte at ``offset`` arrived; None where nothing is known. Offsets are asked for in rising order."""
        while True:
            entry = self._next_entry or self._read()
            if entry is None or entry[0] > offset:
                self._next_entry = entry
                return self._time
            self._time, self._next_entry = entry[1], None

    def _read(self) -> tuple[int, float] | None:
        """The next line; one that is torn is left for the next time, a damaged one passed over."""
        while True:
            offset = self._file.tell()
            line = self._file.readline()
            if not line.endswith(b"\n"):
                self._file.seek(offset)
                return None
            try:
                start, time = json.loads(line)
                return int(start), float(time)
            except (ValueError, TypeError):
                continue
