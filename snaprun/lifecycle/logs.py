"""Read the log of a run piece by piece: the whole, its last lines, one cell's part, or with times."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from io import BytesIO
from typing import Any, BinaryIO

from snaprun import records
from snaprun.checkouts import result
from snaprun.errors import DataFault, Unavailable
from snaprun.git.gitrepo import GitRepo
from snaprun.lifecycle import rundocument, watch
from snaprun.live import livefolder
from snaprun.live.arrivals import ArrivalReader
from snaprun.live.journal import read_events
from snaprun.live.names import ARRIVALS_FILE
from snaprun.model import SNAP_DIR, Run
from snaprun.notebooks import cells
from snaprun.notebooks.cells import join_lines

PIECE = 1 << 20


class Log:
    """What a run has printed, forward from its first byte. ``with_times``: every line with the time of its arrival.

    ``offset`` is how many bytes of the log were given out, so that following it goes on there.
    """

    def __init__(self, repo: GitRepo, run: Run, *, with_times: bool = False) -> None:
        self.offset = 0
        self._repo = repo
        self._run = run
        self._with_times = with_times
        self._times: ArrivalReader | None = None
        self._at_line_start = True

    def pieces(self) -> Iterator[bytes]:
        """Everything so far, as it is shown.

        Raises:
            DataFault: the run never started. Unavailable: the times are asked for, and were not recorded.
        """
        return map(self.render, self._pieces())

    def render(self, piece: bytes) -> bytes:
        """The next bytes of the log, as they are shown."""
        start, self.offset = self.offset, self.offset + len(piece)
        if not self._with_times:
            return piece
        lines = []
        for line in _lines(piece):
            lines.append(self._timestamp(start) + line if self._at_line_start else line)
            self._at_line_start = line.endswith(b"\n")
            start += len(line)
        return b"".join(lines)

    def _pieces(self) -> Iterator[bytes]:
        folder = livefolder.find(self._repo.place, self._run.id)
        if folder is not None:
            try:
                log = folder.log.open("rb")
                if self._with_times:
                    self._times = ArrivalReader(folder.log_times.open("rb"))
            except FileNotFoundError:  # it has ended just now
                pass
            else:
                yield from _read(log)
                return
        tip, end = result.find_result(self._repo, self._run.id), records.read_result(self._repo, self._run.id)
        if tip is None or end is None:
            raise DataFault(f"run {self._run.id[:8]} has no log: it is {self._run.status}", hint="snaprun history")
        if self._with_times:
            self._times = ArrivalReader(BytesIO(self._read_arrivals(tip)))
        yield from watch.whole_log(self._repo, tip, end)

    def _read_arrivals(self, tip: str) -> bytes:
        """The file of arrivals of a run that is over."""
        times = self._repo.blob(tip, f"{SNAP_DIR}/{ARRIVALS_FILE}")
        if times is None and self._repo.blob(tip, watch.LOG):
            raise Unavailable(
                f"run {self._run.id[:8]} recorded no times of its lines", hint=f"snaprun logs {self._run.id[:8]}"
            )
        return times or b""

    def _timestamp(self, offset: int) -> bytes:
        """What stands before a line."""
        arrival = self._times.at(offset) if self._times is not None else None
        moment = datetime.fromtimestamp(time.time() if arrival is None else arrival).astimezone()
        return f"{moment.isoformat(timespec='milliseconds')}  ".encode("ascii")


def last_lines(pieces: Iterator[bytes], count: int) -> bytes:
    """The last ``count`` lines of it."""
    if count == 0:
        return b""
    tail: list[bytes] = []
    for piece in pieces:  # a log may be larger than the memory: hold no more than these lines
        *lines, remainder = ((tail.pop() if tail else b"") + piece).split(b"\n")
        tail += [line + b"\n" for line in lines]
        del tail[: max(0, len(tail) - count)]
        tail.append(remainder)
    if tail and not tail[-1]:
        tail.pop()
    return b"".join(tail[-count:])


def read_cell(repo: GitRepo, run: Run, number: int) -> bytes:
    """What code cell ``number`` has printed: its streams, in order; of an ended run, progress bars collapsed.

    Raises:
        DataFault: the notebook has no such cell, or the run has no outputs.
    """
    folder = livefolder.find(repo.place, run.id)
    message = f"the notebook of run {run.id[:8]} has no code cell {number}"
    if folder is not None:
        if all(
            cell.number != number for cell in cells.code_cells(rundocument.load_document(repo, folder, folder.spec()))
        ):
            raise DataFault(message, hint=f"snaprun ps; snaprun show {run.id[:8]}")
        texts = [
            join_lines(event["o"].get("text", ""))
            for _, event in read_events(folder.events)
            if event.get("n") == number and _is_stream(event)
        ]
        return "".join(texts).encode("utf-8", "surrogateescape")
    raw = repo.blob(run.commit, f"{SNAP_DIR}/executed.ipynb")
    if raw is None:
        raise DataFault(f"run {run.id[:8]} has no outputs: it is {run.status}", hint="snaprun history")
    node = cells.normalize(cells.decode(raw, run.notebook), run.notebook)
    for cell in cells.code_cells(node):
        if cell.number == number:
            outputs = node["cells"][cell.index].get("outputs", ())
            texts = [join_lines(item.get("text", "")) for item in outputs if item.get("output_type") == "stream"]
            return "".join(texts).encode("utf-8", "surrogateescape")
    raise DataFault(message, hint=f"snaprun show {run.id[:8]}")


def _is_stream(event: Mapping[str, Any]) -> bool:
    """Whether a journal's event is text that was printed; a large output is only pointed at, and never a stream."""
    return event.get("e") == "out" and event.get("o", {}).get("output_type") == "stream"


def _lines(piece: bytes) -> list[bytes]:
    """The lines of it; a carriage return ends none, it is how progress bars go back."""
    parts = [part + b"\n" for part in piece.split(b"\n")]
    parts[-1] = parts[-1][:-1]
    return [part for part in parts if part]


def _read(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(PIECE):
            yield piece
