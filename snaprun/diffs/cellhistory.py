"""Follow one cell of a notebook back through its runs, to when it changed and what the metrics did then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from snaprun import records, show
from snaprun.diffs import cellmatch, linediff, textdiff
from snaprun.diffs.cellmatch import CellItem
from snaprun.diffs.textdiff import Hunk
from snaprun.errors import NothingFound, SnaprunError
from snaprun.git.gitrepo import GitRepo
from snaprun.model import SNAP_DIR, SOURCE_FILE, Run, short_id
from snaprun.notebooks import cells, notebook
from snaprun.notebooks.cells import CodeCell, Node
from snaprun.printable import clean
from snaprun.show import Look

BATCH = 200
"""Notebooks read by one child process."""

CONTEXT = 2


@dataclass(frozen=True)
class Version:
    """A stretch of runs in which a cell's source was the same, the latest first.

    ``state`` says how it came to be: ``changed`` against the version before, ``added`` (the older runs have no such
    cell), or ``first`` (there is no older run).
    """

    runs: tuple[Run, ...]
    number: int
    label: str
    source: str
    state: str
    hunks: tuple[Hunk, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """An object of ``log --json``."""
        return {
            "runs": [run.id for run in self.runs],
            "cell": self.number,
            "label": self.label,
            "state": self.state,
            "source": self.source,
            "hunks": [hunk.to_json() for hunk in self.hunks],
            "metrics": {name: metric.last for name, metric in self.runs[0].metrics.items()} if self.runs else {},
        }


@dataclass(frozen=True)
class _RunCell:
    """The cell as one run had it."""

    run: Run
    cell: CodeCell


def history(repo: GitRepo, runs: Sequence[Run], selector: str) -> list[Version]:
    """The versions of a cell, the latest first. ``runs`` are those of one notebook, the latest first.

    ``selector`` is the number that the cell has in the latest run, or some text of its label or source.

    Raises:
        NothingFound: no run, or the latest run has no such cell, or several of that text.
    """
    run_cells = list(_run_cells(repo, runs, selector))
    if not run_cells:
        raise NothingFound("no run of this notebook can be read", hint="snaprun history --notebook NAME")
    versions: list[Version] = []
    stretch: list[_RunCell] = []
    for number, run_cell in enumerate(run_cells):
        stretch.append(run_cell)
        older = run_cells[number + 1] if number + 1 < len(run_cells) else None
        if older is not None and cells.normalize_source(older.cell.source) == cells.normalize_source(
            run_cell.cell.source
        ):
            continue
        versions.append(_version(stretch, older, whole=len(run_cells) == len(runs)))
        stretch = []
    return versions


def _version(stretch: Sequence[_RunCell], older: _RunCell | None, *, whole: bool) -> Version:
    newest, oldest = stretch[0], stretch[-1]
    hunks: list[Hunk] = []
    if older is not None:
        before, after = (cells.normalize_source(end.cell.source).split("\n") for end in (older, oldest))
        hunks = textdiff.hunks(before, after, context=CONTEXT)
    return Version(
        runs=tuple(run_cell.run for run_cell in stretch),
        number=newest.cell.number,
        label=newest.cell.label,
        source=newest.cell.source,
        state="changed" if older is not None else "first" if whole else "added",
        hunks=tuple(hunks),
    )


def _run_cells(repo: GitRepo, runs: Sequence[Run], selector: str) -> Iterator[_RunCell]:
    """The cell in each run from the latest back, as long as it can be followed."""
    node: Node | None = None
    cell: CodeCell | None = None
    code_hash = ""
    for run, raw in _sources(repo, runs):
        if cell is not None and run.code_hash and run.code_hash == code_hash:
            yield _RunCell(run, cell)
            continue
        try:
            older = None if raw is None else _as_run(repo, run, notebook.parse(raw, Path(run.notebook)).node)
        except SnaprunError:
            older = None
        if older is None:  # a damaged notebook breaks no chain: it is passed over
            continue
        if node is None or cell is None:
            node, cell, code_hash = older, find(older, selector), run.code_hash
            yield _RunCell(run, cell)
            continue
        before = _older_cell(older, node, cell)
        if before is None:
            return
        node, cell, code_hash = older, before, run.code_hash
        yield _RunCell(run, cell)


def _as_run(repo: GitRepo, run: Run, node: Node) -> Node:
    """The frozen notebook with the cells that its run had: given parameters take the place of all injected ones."""
    if sum(cell.is_injected for cell in cells.code_cells(node)) < 2 or not records.read_spec(repo, run.id).given:
        return node
    return cells.without_injected(node)


def find(node: Node, selector: str) -> CodeCell:
    """The code cell of this number, or the only one with this text in its label, else in its source.

    Raises:
        NothingFound: there is none, or more than one.
    """
    candidates = [cell for cell in cells.code_cells(node) if cell.number]
    if selector.isdigit():
        matches = [cell for cell in candidates if cell.number == int(selector)]
        if not matches:
            raise NothingFound(
                f"there is no cell {selector}: the notebook has {len(candidates)}", hint="give 1 to the last, or text"
            )
        return matches[0]
    lower = selector.lower()
    label_matches = [cell for cell in candidates if lower in cell.label.lower()]
    matches = (
        label_matches
        if len(label_matches) == 1
        else [cell for cell in candidates if lower in cell.source.lower()] or label_matches
    )
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise NothingFound(f"no cell has the text {selector!r}", hint="give the number of a cell, or some of its text")
    several = ", ".join(f"{cell.number} ({cell.label})" for cell in matches[:5])
    raise NothingFound(f"{len(matches)} cells have the text {selector!r}", hint=f"give the number: {several}")


def _older_cell(older: Node, newer: Node, cell: CodeCell) -> CodeCell | None:
    """What the cell was in the older notebook."""
    before, after = cells.code_cells(older), cells.code_cells(newer)
    place = next(number for number, candidate in enumerate(after) if candidate.index == cell.index)
    items_a, items_b = (
        [CellItem.of(node["cells"][candidate.index]) for candidate in code_cells]
        for node, code_cells in ((older, before), (newer, after))
    )
    for match in cellmatch.match(items_a, items_b):
        if match.b == place:
            origin = match.a if match.a is not None else match.part_of
            return None if origin is None else before[origin]
    return None


def _sources(repo: GitRepo, runs: Sequence[Run]) -> Iterator[tuple[Run, bytes | None]]:
    """The bytes of each run's frozen notebook."""
    queue = iter(runs)
    while batch := list(islice(queue, BATCH)):
        plain = [run for run in batch if "\n" not in run.notebook]
        names = [name for run in plain for name in (f"{run.id}:{SNAP_DIR}/{SOURCE_FILE}", f"{run.id}:{run.notebook}")]
        contents = dict(zip(names, repo.blobs(names), strict=True))
        for run in batch:
            raw = contents.get(f"{run.id}:{SNAP_DIR}/{SOURCE_FILE}") or contents.get(f"{run.id}:{run.notebook}")
            yield run, raw if run in plain else repo.blob(run.id, run.notebook)


MARKS = {"changed": ("~", "yellow"), "added": ("+", "green"), "first": ("·", None)}
STATE_WORDS = {"changed": "changed", "added": "added", "first": "the first run"}


def text(versions: Sequence[Version], look: Look, *, now: float) -> str:
    """The versions of a cell for a terminal, the latest first: the run that brought each, and what it changed."""
    lines: list[str] = []
    for version in versions:
        first_run, latest = version.runs[-1], version.runs[0]
        mark, colour = MARKS[version.state]
        head = look.style(f"{mark} {short_id(first_run.id)}", colour, bold=True)
        count = f", {len(version.runs)} runs" if len(version.runs) > 1 else ""
        name = f" {clean(first_run.name)}" if first_run.name else ""
        metrics = "  ".join(f"{clean(key)} {show.value(value.last)}" for key, value in latest.metrics.items())
        location = f"cell {version.number} ({clean(version.label)})"
        lines.append(
            f"{head}{name}  {show.age(first_run.created, now)}  {location} "
            f"{STATE_WORDS[version.state]}{count}  {metrics}".rstrip()
        )
        hunk_lines = [line for hunk in version.hunks for line in linediff.colour_lines(hunk.lines, look)]
        lines += [f"    {line}".rstrip() for line in hunk_lines]
    return "\n".join(lines)
