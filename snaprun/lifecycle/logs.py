"""The log of a run as pieces of bytes: the whole, its last lines, one cell's part, or with times."""

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
from snaprun.live.arrivals import FILE, Arrivals
from snaprun.live.journal import read_events
from snaprun.model import SNAP_DIR, Run
from snaprun.notebooks import cells
from snaprun.notebooks.cells import joined

PIECE = 1 << 20


class Log:
    """What a run has printed, forward from its first byte. ``stamped``: every line with the time of its arrival.

    ``offset`` is how many bytes of the log were given out, so that following it goes on there.
    """

    def __init__(self, repo: GitRepo, run: Run, *, stamped: bool = False) -> None:
        self.offset = 0
        self._repo = repo
        self._run = run
        self._stamped = stamped
        self._times: Arrivals | None = None
        self._fresh = True

    def pieces(self) -> Iterator[bytes]:
        """Everything so far, as it is shown.

        Raises:
            DataFault: the run never started. Unavailable: the times are asked for, and were not recorded.
        """
        return map(self.shown, self._pieces())

    def shown(self, piece: bytes) -> bytes:
        """The next bytes of the log, as they are shown."""
        start, self.offset = self.offset, self.offset + len(piece)
        if not self._stamped:
            return piece
        made = []
        for line in _lines(piece):
            made.append(self._mark(start) + line if self._fresh else line)
            self._fresh = line.endswith(b"\n")
            start += len(line)
        return b"".join(made)

    def _pieces(self) -> Iterator[bytes]:
        folder = livefolder.find(self._repo.place, self._run.id)
        if folder is not None:
            try:
                log = folder.log.open("rb")
                if self._stamped:
                    self._times = Arrivals(folder.log_times.open("rb"))
            except FileNotFoundError:  # it has ended just now
                pass
            else:
                yield from _read(log)
                return
        tip, end = result.finished(self._repo, self._run.id), records.read_result(self._repo, self._run.id)
        if tip is None or end is None:
            raise DataFault(f"run {self._run.id[:8]} has no log: it is {self._run.status}", hint="snaprun history")
        if self._stamped:
            self._times = Arrivals(BytesIO(self._recorded(tip)))
        yield from watch.whole_log(self._repo, tip, end)

    def _recorded(self, tip: str) -> bytes:
        """The file of arrivals of a run that is over."""
        times = self._repo.blob(tip, f"{SNAP_DIR}/{FILE}")
        if times is None and self._repo.blob(tip, watch.LOG):
            raise Unavailable(
                f"run {self._run.id[:8]} recorded no times of its lines", hint=f"snaprun logs {self._run.id[:8]}"
            )
        return times or b""

    def _mark(self, offset: int) -> bytes:
        """What stands before a line."""
        when = self._times.at(offset) if self._times is not None else None
        moment = datetime.fromtimestamp(time.time() if when is None else when).astimezone()
        return f"{moment.isoformat(timespec='milliseconds')}  ".encode("ascii")


def last_lines(pieces: Iterator[bytes], count: int) -> bytes:
    """The last ``count`` lines of it."""
    if count == 0:
        return b""
    kept: list[bytes] = []
    for piece in pieces:  # a log may be larger than the memory: hold no more than these lines
        *lines, rest = ((kept.pop() if kept else b"") + piece).split(b"\n")
        kept += [line + b"\n" for line in lines]
        del kept[: max(0, len(kept) - count)]
        kept.append(rest)
    if kept and not kept[-1]:
        kept.pop()
    return b"".join(kept[-count:])


def of_cell(repo: GitRepo, run: Run, number: int) -> bytes:
    """What code cell ``number`` has printed: its streams, in order; of an ended run, progress bars collapsed.

    Raises:
        DataFault: the notebook has no such cell, or the run has no outputs.
    """
    folder = livefolder.find(repo.place, run.id)
    missing = f"the notebook of run {run.id[:8]} has no code cell {number}"
    if folder is not None:
        if all(cell.number != number for cell in cells.code_cells(rundocument.prepared(repo, folder, folder.spec()))):
            raise DataFault(missing, hint=f"snaprun ps; snaprun show {run.id[:8]}")
        texts = [
            joined(event["o"].get("text", ""))
            for _, event in read_events(folder.events)
            if event.get("n") == number and _is_stream(event)
        ]
        return "".join(texts).encode("utf-8", "surrogateescape")
    raw = repo.blob(run.commit, f"{SNAP_DIR}/executed.ipynb")
    if raw is None:
        raise DataFault(f"run {run.id[:8]} has no outputs: it is {run.status}", hint="snaprun history")
    node = cells.normal(cells.decode(raw, run.notebook), run.notebook)
    for cell in cells.code_cells(node):
        if cell.number == number:
            outputs = node["cells"][cell.index].get("outputs", ())
            texts = [joined(item.get("text", "")) for item in outputs if item.get("output_type") == "stream"]
            return "".join(texts).encode("utf-8", "surrogateescape")
    raise DataFault(missing, hint=f"snaprun show {run.id[:8]}")


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
