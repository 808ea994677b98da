"""Which runs executed the source that a notebook has, and what changed since the last one that did not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from snaprun.errors import DataFault, InputMissing, SettingsFault
from snaprun.git.command import ask
from snaprun.hooks import outputs
from snaprun.hooks.gitindex import Index, contents
from snaprun.hooks.outputs import Match
from snaprun.index import runlist
from snaprun.index.runlist import Filter
from snaprun.model import RUN_REF, SNAP_DIR, Result, Run, RunSpec, Status
from snaprun.notebooks import cells
from snaprun.notebooks.cells import Node
from snaprun.notebooks.opcodes import changed

MOST = 10
"""So many runs of one source are looked at for its outputs, the newest first."""


class Runs(Protocol):
    """Where runs are looked up; both lists are newest first."""

    def by_code(self, code_hash: str) -> list[Run]:
        """The runs that executed exactly this code."""

    def by_notebook(self, path: str) -> list[Run]:
        """The runs of the notebook at this path, whatever its code was."""

    def any(self) -> bool:
        """Whether there is any run at all."""


@dataclass(frozen=True)
class Verdict:
    """What the runs say about one source.

    ``kind`` is ``validated`` (a run of it succeeded), ``running``, ``failed`` (it was run, and never succeeded),
    ``changed`` (only other states of this notebook were run) or ``never``. ``runs`` are the ones that it is about,
    newest first; ``cells`` names what changed since.
    """

    kind: str
    runs: tuple[Run, ...] = ()
    cells: tuple[str, ...] = ()


@dataclass(frozen=True)
class Origin:
    """The run whose outputs come nearest to what a notebook stores."""

    run: Run
    match: Match


class IndexRuns:
    """Runs out of the SQLite index."""

    def __init__(self, reader: runlist.SqliteReader) -> None:
        self._reader = reader

    def by_code(self, code_hash: str) -> list[Run]:
        return runlist.query(self._reader, Filter(code_hash=code_hash, limit=MOST))

    def by_notebook(self, path: str) -> list[Run]:
        found = runlist.query(self._reader, Filter(notebook=path, limit=MOST))
        return [run for run in found if run.notebook == path]

    def any(self) -> bool:
        return bool(runlist.query(self._reader, Filter(limit=1)))


class RefRuns:
    """Runs out of git itself: for a clone that has fetched them, or an index that is missing or no SQLite file."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._read: list[Run] | None = None

    def by_code(self, code_hash: str) -> list[Run]:
        return [run for run in self._all() if run.code_hash == code_hash][:MOST]

    def by_notebook(self, path: str) -> list[Run]:
        return [run for run in self._all() if run.notebook == path][:MOST]

    def any(self) -> bool:
        return bool(self._all())

    def _all(self) -> list[Run]:
        if self._read is None:
            self._read = sorted(self._from_refs(), key=lambda run: run.created, reverse=True)
        return self._read

    def _from_refs(self) -> list[Run]:
        out = ask(
            ["for-each-ref", "--format=%(objectname) %(refname)", RUN_REF],
            cwd=self._index.place.top,
            env=self._index.env,
        )
        tips = [line.split(" ", 1) for line in out.decode("ascii", "replace").splitlines()]
        names = [f"{tip}:{SNAP_DIR}/{name}.json" for tip, _ in tips for name in ("run", "params", "result")]
        found = contents(self._index, names)
        return [run for tip, ref in tips if (run := _run(ref.removeprefix(RUN_REF), tip, found)) is not None]


def lookup(index: Index, url: str | None) -> Runs:
    """Where to look runs up: the index if it is an SQLite file that is whole, git's refs otherwise."""
    try:
        return IndexRuns(runlist.connect(index.place.state, url))
    except (DataFault, SettingsFault):
        return RefRuns(index)


def judge(index: Index, runs: Runs, path: str, node: Node, read: Callable[[str, bytes], Node]) -> Verdict:
    """Say which runs executed the code of ``node``; ``read`` makes a document of a notebook's bytes."""
    same = [run for run in runs.by_code(cells.code_hash(node)) if run.status is not Status.SAVED]
    for kind, wanted in (
        ("validated", {Status.SUCCEEDED}),
        ("running", {Status.RUNNING, Status.QUEUED}),
        ("failed", set(Status)),
    ):
        found = tuple(run for run in same if run.status in wanted)
        if found:
            return Verdict(kind, found)
    before = [run for run in runs.by_notebook(path) if run.status is not Status.SAVED]
    if not before:
        return Verdict("never")
    return Verdict("changed", tuple(before[:1]), tuple(_changed_since(index, before[0], node, read)))


def origin(index: Index, node: Node, runs: Sequence[Run]) -> Origin | None:
    """The run among these that recorded the outputs that ``node`` stores, or the one that comes nearest."""
    names = {run.id: f"{run.commit}:{SNAP_DIR}/executed.ipynb" for run in runs[:MOST]}
    best: Origin | None = None
    for run in runs[:MOST]:
        raw = contents(index, [names[run.id]]).get(names[run.id])
        if raw is None:
            continue
        try:
            executed = cells.normal(cells.decode(raw, "executed.ipynb"), "executed.ipynb")
        except InputMissing:
            continue
        found = Origin(run, outputs.match(node, executed))
        if found.match.whole:
            return found
        if best is None or _rank(found.match) > _rank(best.match):
            best = found
    return best


def source(index: Index, run: Run) -> tuple[str, bytes] | None:
    """Name and bytes of the notebook that a run executed: its raw bytes where a filter changed what git stores."""
    raw, plain = f"{run.id}:{SNAP_DIR}/source.ipynb", f"{run.id}:{run.notebook}"
    found = contents(index, [raw, plain])
    content = found.get(raw, found.get(plain))
    return None if content is None else (run.notebook, content)


def _rank(found: Match) -> tuple[int, int]:
    return len(found.same), -len(found.other) - len(found.extra)


def _changed_since(index: Index, run: Run, node: Node, read: Callable[[str, bytes], Node]) -> list[str]:
    """The code cells that differ from what ``run`` executed, in the numbers of ``node``."""
    there = source(index, run)
    if there is None:
        return []
    try:
        before = _sources(read(*there))
    except InputMissing:
        return []
    after = _sources(node)
    found = []
    for tag, _, _, start, end in changed([text for _, text in before], [text for _, text in after]):
        if tag in ("replace", "insert"):
            found += [str(number) for number, _ in after[start:end]]
        elif tag == "delete":
            found.append(f"one removed after {after[start - 1][0]}" if start else "one removed at the top")
    return found


def _sources(node: Node) -> list[tuple[int, str]]:
    """Number and text of every code cell that executes something; which cell holds the parameters counts."""
    return [
        (cell.number, f"{cells.PARAMETERS in cell.tags} {cells.plain(cell.source)}")
        for cell in cells.code_cells(node)
        if cell.number and cells.plain(cell.source)
    ]


def _run(run_id: str, tip: str, found: dict[str, bytes]) -> Run | None:
    spec = _json(found.get(f"{tip}:{SNAP_DIR}/run.json"))
    if spec is None:
        return None
    result = _json(found.get(f"{tip}:{SNAP_DIR}/result.json"))
    try:
        return Run.of(
            run_id,
            RunSpec.from_json(spec),
            _json(found.get(f"{tip}:{SNAP_DIR}/params.json")) or {},
            commit=tip,
            status=Status.RUNNING,
            result=Result.from_json(result) if result is not None else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError):  # written by hand, or by a snaprun that is not this one
        return None


def _json(raw: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(raw or b"null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def document(path: str, content: bytes) -> Node:
    """The document of an ``.ipynb`` file by the standard library alone.

    Raises:
        InputMissing: it is no notebook of format 4.
    """
    return cells.normal(cells.decode(content, Path(path).name), Path(path).name)
