"""Follow one cell of a notebook back through its runs: when did it last change, and what did the metrics do then?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from snaprun import show
from snaprun.diffs import cellmatch, linediff, textdiff
from snaprun.diffs.cellmatch import Item
from snaprun.diffs.linediff import clean
from snaprun.diffs.textdiff import Hunk
from snaprun.errors import NothingFound, SnaprunError
from snaprun.freeze.capture import SOURCE
from snaprun.git.gitrepo import GitRepo
from snaprun.model import SNAP_DIR, Run
from snaprun.notebooks import cells, notebook
from snaprun.notebooks.cells import CodeCell, Node
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
            "hunks": [{"a_start": one.a_start, "b_start": one.b_start, "lines": list(one.lines)} for one in self.hunks],
            "metrics": {name: metric.last for name, metric in self.runs[0].metrics.items()} if self.runs else {},
        }


@dataclass(frozen=True)
class _Seen:
    """The cell as one run had it."""

    run: Run
    cell: CodeCell


def history(repo: GitRepo, runs: Sequence[Run], wanted: str) -> list[Version]:
    """The versions of a cell, the latest first. ``runs`` are those of one notebook, the latest first.

    ``wanted`` is the number that the cell has in the latest run, or some text of its label or source.

    Raises:
        NothingFound: no run, or the latest run has no such cell, or several of that text.
    """
    seen = list(_seen(repo, runs, wanted))
    if not seen:
        raise NothingFound("no run of this notebook can be read", hint="snaprun history --notebook NAME")
    found: list[Version] = []
    stretch: list[_Seen] = []
    for number, one in enumerate(seen):
        stretch.append(one)
        older = seen[number + 1] if number + 1 < len(seen) else None
        if older is not None and cells.plain(older.cell.source) == cells.plain(one.cell.source):
            continue
        found.append(_version(stretch, older, whole=len(seen) == len(runs)))
        stretch = []
    return found


def _version(stretch: Sequence[_Seen], older: _Seen | None, *, whole: bool) -> Version:
    newest, oldest = stretch[0], stretch[-1]
    hunks: list[Hunk] = []
    if older is not None:
        before, after = (cells.plain(one.cell.source).split("\n") for one in (older, oldest))
        hunks = textdiff.hunks(before, after, context=CONTEXT)
    return Version(
        runs=tuple(one.run for one in stretch),
        number=newest.cell.number,
        label=newest.cell.label,
        source=newest.cell.source,
        state="changed" if older is not None else "first" if whole else "added",
        hunks=tuple(hunks),
    )


def _seen(repo: GitRepo, runs: Sequence[Run], wanted: str) -> Iterator[_Seen]:
    """The cell in each run from the latest back, as long as it can be followed."""
    node: Node | None = None
    cell: CodeCell | None = None
    code_hash = ""
    for run, raw in _sources(repo, runs):
        if cell is not None and run.code_hash and run.code_hash == code_hash:
            yield _Seen(run, cell)
            continue
        try:
            older = notebook.parse(raw, Path(run.notebook)).node if raw is not None else None
        except SnaprunError:
            older = None
        if older is None:  # a damaged notebook breaks no chain: it is passed over
            continue
        if node is None or cell is None:
            node, cell, code_hash = older, find(older, wanted), run.code_hash
            yield _Seen(run, cell)
            continue
        before = _before(older, node, cell)
        if before is None:
            return
        node, cell, code_hash = older, before, run.code_hash
        yield _Seen(run, cell)


def find(node: Node, wanted: str) -> CodeCell:
    """The code cell of this number, or the only one with this text in its label, else in its source.

    Raises:
        NothingFound: there is none, or more than one.
    """
    listed = [cell for cell in cells.code_cells(node) if cell.number]
    if wanted.isdigit():
        found = [cell for cell in listed if cell.number == int(wanted)]
        if not found:
            raise NothingFound(
                f"there is no cell {wanted}: the notebook has {len(listed)}", hint="give 1 to the last, or text"
            )
        return found[0]
    lower = wanted.lower()
    named = [cell for cell in listed if lower in cell.label.lower()]
    found = named if len(named) == 1 else [cell for cell in listed if lower in cell.source.lower()] or named
    if len(found) == 1:
        return found[0]
    if not found:
        raise NothingFound(f"no cell has the text {wanted!r}", hint="give the number of a cell, or some of its text")
    several = ", ".join(f"{cell.number} ({cell.label})" for cell in found[:5])
    raise NothingFound(f"{len(found)} cells have the text {wanted!r}", hint=f"give the number: {several}")


def _before(older: Node, newer: Node, cell: CodeCell) -> CodeCell | None:
    """What the cell was in the older notebook."""
    before, after = cells.code_cells(older), cells.code_cells(newer)
    place = next(number for number, one in enumerate(after) if one.index == cell.index)
    for one in cellmatch.match([_item(one) for one in before], [_item(one) for one in after]):
        if one.b == place:
            origin = one.a if one.a is not None else one.part_of
            return None if origin is None else before[origin]
    return None


def _item(cell: CodeCell) -> Item:
    return Item("code", cell.source, cell.id)


def _sources(repo: GitRepo, runs: Sequence[Run]) -> Iterator[tuple[Run, bytes | None]]:
    """The bytes of each run's frozen notebook."""
    waiting = iter(runs)
    while batch := list(islice(waiting, BATCH)):
        plain = [run for run in batch if "\n" not in run.notebook]
        names = [name for run in plain for name in (f"{run.id}:{SNAP_DIR}/{SOURCE}", f"{run.id}:{run.notebook}")]
        contents = dict(zip(names, repo.blobs(names), strict=True))
        for run in batch:
            raw = contents.get(f"{run.id}:{SNAP_DIR}/{SOURCE}") or contents.get(f"{run.id}:{run.notebook}")
            yield run, raw if run in plain else repo.blob(run.id, run.notebook)


MARKS = {"changed": ("~", "yellow"), "added": ("+", "green"), "first": ("·", None)}
SAID = {"changed": "changed", "added": "added", "first": "the first run"}


def text(found: Sequence[Version], how: Look, *, now: float) -> str:
    """The versions of a cell for a terminal, the latest first: the run that brought each, and what it changed."""
    lines: list[str] = []
    for one in found:
        came, latest = one.runs[-1], one.runs[0]
        mark, colour = MARKS[one.state]
        head = how.style(f"{mark} {show.short(came.id)}", colour, bold=True)
        count = f", {len(one.runs)} runs" if len(one.runs) > 1 else ""
        name = f" {clean(came.name)}" if came.name else ""
        metrics = "  ".join(f"{clean(key)} {show.value(value.last)}" for key, value in latest.metrics.items())
        where = f"cell {one.number} ({clean(one.label)})"
        lines.append(
            f"{head}{name}  {show.ago(came.created, now)}  {where} {SAID[one.state]}{count}  {metrics}".rstrip()
        )
        shown = [line for hunk in one.hunks for line in linediff.coloured(hunk.lines, how)]
        lines += [f"    {line}".rstrip() for line in shown]
    return "\n".join(lines)
