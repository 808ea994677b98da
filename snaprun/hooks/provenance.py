"""Find the runs that executed a notebook's source, or what has changed since its latest run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from snaprun.errors import DataFault, InputMissing, SettingsFault
from snaprun.git.command import ask
from snaprun.hooks import outputs
from snaprun.hooks.gitindex import Index, contents
from snaprun.hooks.outputs import OutputMatch
from snaprun.index import runlist
from snaprun.index.runlist import Filter
from snaprun.model import RUN_REF, SNAP_DIR, Result, Run, RunSpec, parse_document
from snaprun.notebooks import cells
from snaprun.notebooks.cells import Node
from snaprun.notebooks.opcodes import find_changes
from snaprun.statuses import Status

MAX_RUNS = 10
"""So many runs of one source are looked at for its outputs, the newest first."""


class Runs(Protocol):
    """Where runs are looked up; both lists are newest first."""

    def by_code(self, code_hash: str) -> list[Run]:
        """The runs that executed exactly this code."""

    def by_notebook(self, path: str) -> list[Run]:
        """The runs of the notebook at this path, whatever its code was."""

    def has_runs(self) -> bool:
        """Whether there is any run at all."""


@dataclass(frozen=True)
class ProvenanceVerdict:
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
    match: OutputMatch


class IndexRuns:
    """Runs out of the SQLite index."""

    def __init__(self, reader: runlist.SqliteReader) -> None:
        self._reader = reader

    def by_code(self, code_hash: str) -> list[Run]:
        return runlist.query(self._reader, Filter(code_hash=code_hash, limit=MAX_RUNS))

    def by_notebook(self, path: str) -> list[Run]:
        runs = runlist.query(self._reader, Filter(notebook=path, limit=MAX_RUNS))
        return [run for run in runs if run.notebook == path]

    def has_runs(self) -> bool:
        return bool(runlist.query(self._reader, Filter(limit=1)))


class RefRuns:
    """Runs out of git itself: for a clone that has fetched them, or an index that is missing or no SQLite file."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._runs: list[Run] | None = None

    def by_code(self, code_hash: str) -> list[Run]:
        return [run for run in self._load() if run.code_hash == code_hash][:MAX_RUNS]

    def by_notebook(self, path: str) -> list[Run]:
        return [run for run in self._load() if run.notebook == path][:MAX_RUNS]

    def has_runs(self) -> bool:
        return bool(self._load())

    def _load(self) -> list[Run]:
        if self._runs is None:
            self._runs = sorted(self._from_refs(), key=lambda run: run.created, reverse=True)
        return self._runs

    def _from_refs(self) -> list[Run]:
        out = ask(
            ["for-each-ref", "--format=%(objectname) %(refname)", RUN_REF],
            cwd=self._index.place.top,
            env=self._index.env,
        )
        tips = [line.split(" ", 1) for line in out.decode("ascii", "replace").splitlines()]
        names = [f"{tip}:{SNAP_DIR}/{name}.json" for tip, _ in tips for name in ("run", "params", "result")]
        blobs = contents(self._index, names)
        return [run for tip, ref in tips if (run := _run(ref.removeprefix(RUN_REF), tip, blobs)) is not None]


def open_runs(index: Index, url: str | None) -> Runs:
    """Where to look runs up: the index if it is an SQLite file that is whole, git's refs otherwise."""
    try:
        return IndexRuns(runlist.connect(index.place.state, url))
    except (DataFault, SettingsFault):
        return RefRuns(index)


def judge(index: Index, runs: Runs, path: str, node: Node, read: Callable[[str, bytes], Node]) -> ProvenanceVerdict:
    """Say which runs executed the code of ``node``; ``read`` makes a document of a notebook's bytes."""
    source_runs = tuple(run for run in runs.by_code(cells.code_hash(node)) if run.status.launched)
    good_runs = tuple(run for run in source_runs if run.status.good)
    active_runs = tuple(run for run in source_runs if not run.status.over)
    for kind, matches in (("validated", good_runs), ("running", active_runs), ("failed", source_runs)):
        if matches:
            return ProvenanceVerdict(kind, matches)
    notebook_runs = [run for run in runs.by_notebook(path) if run.status.launched]
    if not notebook_runs:
        return ProvenanceVerdict("never")
    return ProvenanceVerdict(
        "changed", tuple(notebook_runs[:1]), tuple(_changed_since(index, notebook_runs[0], node, read))
    )


def find_origin(index: Index, node: Node, runs: Sequence[Run]) -> Origin | None:
    """The run among these that recorded the outputs that ``node`` stores, or the one that comes nearest."""
    names = {run.id: f"{run.commit}:{SNAP_DIR}/executed.ipynb" for run in runs[:MAX_RUNS]}
    best: Origin | None = None
    for run in runs[:MAX_RUNS]:
        raw = contents(index, [names[run.id]]).get(names[run.id])
        if raw is None:
            continue
        try:
            run_node = cells.normalize(cells.decode(raw, "executed.ipynb"), "executed.ipynb")
        except InputMissing:
            continue
        candidate = Origin(run, outputs.match(node, run_node))
        if candidate.match.is_exact:
            return candidate
        if best is None or _rank(candidate.match) > _rank(best.match):
            best = candidate
    return best


def read_source(index: Index, run: Run) -> tuple[str, bytes] | None:
    """Name and bytes of the notebook that a run executed: its raw bytes where a filter changed what git stores."""
    raw, plain = f"{run.id}:{SNAP_DIR}/source.ipynb", f"{run.id}:{run.notebook}"
    blobs = contents(index, [raw, plain])
    content = blobs.get(raw, blobs.get(plain))
    return None if content is None else (run.notebook, content)


def _rank(match: OutputMatch) -> tuple[int, int]:
    return len(match.same), -len(match.other) - len(match.extra)


def _changed_since(index: Index, run: Run, node: Node, read: Callable[[str, bytes], Node]) -> list[str]:
    """The code cells that differ from what ``run`` executed, in the numbers of ``node``."""
    run_source = read_source(index, run)
    if run_source is None:
        return []
    try:
        before = _sources(read(*run_source))
    except InputMissing:
        return []
    after = _sources(node)
    labels = []
    for tag, _, _, start, end in find_changes([text for _, text in before], [text for _, text in after]):
        if tag in ("replace", "insert"):
            labels += [str(number) for number, _ in after[start:end]]
        elif tag == "delete":
            labels.append(f"one removed after {after[start - 1][0]}" if start else "one removed at the top")
    return labels


def _sources(node: Node) -> list[tuple[int, str]]:
    """Number and text of every code cell that executes something; which cell holds the parameters counts."""
    return [
        (cell.number, f"{cells.PARAMETERS_TAG in cell.tags} {cells.normalize_source(cell.source)}")
        for cell in cells.code_cells(node)
        if not cell.is_injected and cells.normalize_source(cell.source)
    ]


def _run(run_id: str, tip: str, blobs: dict[str, bytes]) -> Run | None:
    spec = _json(blobs.get(f"{tip}:{SNAP_DIR}/run.json"))
    if spec is None:
        return None
    result = _json(blobs.get(f"{tip}:{SNAP_DIR}/result.json"))
    try:
        return Run.from_commits(
            run_id,
            RunSpec.from_json(spec),
            _json(blobs.get(f"{tip}:{SNAP_DIR}/params.json")) or {},
            commit=tip,
            status=Status.RUNNING,
            result=Result.from_json(result) if result is not None else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError):  # written by hand, or by a snaprun that is not this one
        return None


def _json(raw: bytes | None) -> dict[str, Any] | None:
    try:
        data = parse_document(raw or b"null")
    except ValueError:
        return None
    return data if isinstance(data, dict) else None
