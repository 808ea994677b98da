"""The log of a run as pieces of bytes: the whole, its last lines, one cell's part, or with times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from snaprun.errors import DataFault, Unavailable
from snaprun.git.gitrepo import GitRepo
from snaprun.index import record
from snaprun.model import SNAP_DIR, Run
from snaprun.notebooks import cells
from snaprun.notebooks.cells import joined
from snaprun.progress import live
from snaprun.progress.journal import read_events
from snaprun.progress.live import Live
from snaprun.running import watch

PIECE = 1 << 20


def whole(repo: GitRepo, run: Run) -> Iterator[bytes]:
    """Everything that the run has printed so far.

    Raises:
        DataFault: the run never started.
    """
    folder = live.find(repo.place, run.id)
    if folder is not None:
        try:
            yield from _pieces(folder.log)
            return
        except FileNotFoundError:  # it has ended just now
            pass
    end = record.read_result(repo, run.id)
    if end is None:
        raise DataFault(f"run {run.id[:8]} has no log: it is {run.status}", hint="snaprun history")
    yield from watch.whole_log(repo, run.commit, end)


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
    folder = live.find(repo.place, run.id)
    if folder is not None:
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
    raise DataFault(f"the notebook of run {run.id[:8]} has no code cell {number}", hint=f"snaprun show {run.id[:8]}")


def stamped(repo: GitRepo, run: Run) -> Iterator[bytes]:
    """Every line with the time of its arrival.

    Raises:
        Unavailable: the run has ended; times are kept in its journal, which ends with it.
    """
    folder = live.find(repo.place, run.id)
    if folder is None:
        raise Unavailable(
            "the times of lines are kept only while a run is in progress", hint=f"snaprun logs {run.id[:8]}"
        )
    yield from _stamped(folder)


def _stamped(folder: Live) -> Iterator[bytes]:
    fresh = True
    for _, event in read_events(folder.events):
        if not _is_stream(event):
            continue
        mark = datetime.fromtimestamp(event["t"]).astimezone().isoformat(timespec="milliseconds")
        for line in joined(event["o"].get("text", "")).splitlines(keepends=True):
            text = f"{mark}  {line}" if fresh else line
            fresh = line.endswith("\n")
            yield text.encode("utf-8", "surrogateescape")


def _is_stream(event: Mapping[str, Any]) -> bool:
    """Whether a journal's event is text that was printed; a large output is only pointed at, and never a stream."""
    return event.get("e") == "out" and event.get("o", {}).get("output_type") == "stream"


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
