"""Compare two sides cell by cell, and follow one cell through the runs of its notebook."""

from __future__ import annotations

import os
import re
from pathlib import Path

from snaprun.context import Context
from snaprun.diffs import builder, cellhistory, sides
from snaprun.diffs.cellhistory import Version
from snaprun.diffs.rundiff import Comparison, Side
from snaprun.errors import DataFault, NothingFound, UsageFault
from snaprun.git.gitrepo import GitRepo
from snaprun.index import runlist, selectors
from snaprun.index.runlist import Filter, Reader
from snaprun.model import Run
from snaprun.notebooks.notebook import is_notebook
from snaprun.reader import index

WORK_TREE = "."
PAGE = 50
"""Runs asked for at a time while the one before another is looked for."""


def diff(context: Context, a: str, b: str | None = None, *, context_lines: int = 3) -> Comparison:
    """Compare two sides: each a run, a commit or branch, or ``.`` for the work tree as it is now.

    With one run alone: the run before it of the same notebook against it. ``context_lines`` is how many lines stand
    around a change.

    Raises:
        DataFault: there is no such run or commit, or no run before it. UsageFault: neither side is a run.
    """
    repo = GitRepo(context.place)
    with index(context) as reader:
        runs = [_run(reader, repo, selector) if selector is not None else None for selector in (a, b)]
        if b is None:
            if runs[0] is None:
                raise UsageFault(f"{a} is no run", hint=f"snaprun diff RUN {a}")
            a, b, runs = "", "", [_previous_run(reader, runs[0]), runs[0]]
    run_sides = [sides.of_run(repo, run.id) if run is not None else None for run in runs]
    run_side = run_sides[0] or run_sides[1]
    if run_side is None:
        raise UsageFault("one side has to be a run", hint="snaprun history; or git diff for two commits")
    side_a, side_b = (
        side or _side(context, repo, name, run_side) for side, name in zip(run_sides, (a, b), strict=True)
    )
    file_diffs = sides.files(repo, side_a, side_b)
    return builder.compare(side_a, side_b, files=file_diffs, context=context_lines, better=context.settings.better)


def cell_log(context: Context, place: str, *, count: int | None = None) -> list[Version]:
    """The latest ``count`` versions of a cell, or all, the latest first.

    ``place`` is ``NOTEBOOK:CELL``, the cell by number or by text.

    Raises:
        UsageFault: it is not of that form. NothingFound: the notebook has no run, or no such cell.
    """
    path, cell = _split(place)
    name = _from_top(context, path)
    with index(context) as reader:
        runs = [run for run in runlist.query(reader, Filter(notebook=name)) if run.notebook == name]
        runs = runs or runlist.query(reader, Filter(notebook=path))
    if not runs:
        raise NothingFound(f"{path} has no run", hint="snaprun history --all")
    latest = [run for run in runs if run.notebook == runs[0].notebook]
    versions = cellhistory.history(GitRepo(context.place), latest, cell)
    return versions[:count]


def _run(reader: Reader, repo: GitRepo, selector: str) -> Run | None:
    """The run that a selector names; None where it is the work tree or a commit of the user's."""
    if selector == WORK_TREE:
        return None
    try:
        return selectors.find(reader, selector)
    except DataFault:
        is_own = selector.startswith("@") and not selector.startswith("@{")  # git has an @ of its own: HEAD
        if is_own or repo.resolve(selector) is None:
            raise
        return None


def _side(context: Context, repo: GitRepo, revision: str, counterpart: Side) -> Side:
    if revision == WORK_TREE:
        settings = context.settings
        return sides.of_work_tree(
            repo, counterpart=counterpart, max_file_size=settings.max_file_size, include=settings.include
        )
    return sides.of_commit(repo, revision, counterpart=counterpart)


def _previous_run(reader: Reader, run: Run) -> Run:
    """The run before another one of the same notebook."""
    is_past = False
    offset = 0
    while batch := runlist.query(reader, Filter(notebook=run.notebook, limit=PAGE, offset=offset)):
        for candidate in batch:
            if is_past and candidate.notebook == run.notebook and candidate.status.launched:
                return candidate
            is_past = is_past or candidate.id == run.id
        offset += PAGE
    raise DataFault(f"there is no run of {run.notebook} before {run.id[:8]}", hint=f"snaprun diff OTHER {run.id[:8]}")


def _split(place: str) -> tuple[str, str]:
    """``NOTEBOOK:CELL`` at the first colon behind a notebook's extension."""
    for colon in re.finditer(":", place):
        path, cell = place[: colon.start()], place[colon.end() :].strip()
        if is_notebook(Path(path)) and cell:
            return path, cell
    raise UsageFault(f"{place} is not NOTEBOOK:CELL", hint="snaprun log train.ipynb:3, or train.ipynb:'fit model'")


def _from_top(context: Context, path: str) -> str:
    """A path as the user wrote it, from the top of the repository."""
    full = os.path.normpath(os.path.join(os.path.realpath(context.cwd), path))
    return Path(os.path.relpath(full, os.path.realpath(context.place.top))).as_posix()
