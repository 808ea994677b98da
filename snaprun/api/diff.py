"""What ``diff`` and ``log`` do: two sides compared, and one cell followed through its runs."""

from __future__ import annotations

import os
import re
from pathlib import Path

from snaprun.context import Door
from snaprun.diffs import builder, cellhistory, sides
from snaprun.diffs.cellhistory import Version
from snaprun.diffs.rundiff import Comparison, Side
from snaprun.errors import DataFault, NothingFound, UsageFault
from snaprun.git.gitrepo import GitRepo
from snaprun.index import runlist, selectors
from snaprun.index.runlist import Filter, Reader
from snaprun.model import Run, Status
from snaprun.notebooks.notebook import is_notebook
from snaprun.reader import index

WORK_TREE = "."
PAGE = 50
"""Runs asked for at a time while the one before another is looked for."""


def diff(door: Door, a: str, b: str | None, *, context: int = 3) -> Comparison:
    """Compare two sides: each a run, a commit or branch, or ``.`` for the work tree as it is now.

    With one run alone: the run before it of the same notebook against it.

    Raises:
        DataFault: there is no such run or commit, or no run before it. UsageFault: neither side is a run.
    """
    repo = GitRepo(door.place)
    with index(door) as reader:
        runs = [_run(reader, repo, said) if said is not None else None for said in (a, b)]
        if b is None:
            if runs[0] is None:
                raise UsageFault(f"{a} is no run", hint=f"snaprun diff RUN {a}")
            a, b, runs = "", "", [_before(reader, runs[0]), runs[0]]
    known = [sides.of_run(repo, run.id) if run is not None else None for run in runs]
    found = known[0] or known[1]
    if found is None:
        raise UsageFault("one side has to be a run", hint="snaprun history; or git diff for two commits")
    one, other = (side or _side(door, repo, said, found) for side, said in zip(known, (a, b), strict=True))
    listed = sides.files(repo, one, other)
    return builder.compare(one, other, files=listed, context=context, better=door.settings.better)


def cell_log(door: Door, place: str, *, count: int | None) -> list[Version]:
    """The versions of a cell, the latest first. ``place`` is ``NOTEBOOK:CELL``, the cell by number or by text.

    Raises:
        UsageFault: it is not of that form. NothingFound: the notebook has no run, or no such cell.
    """
    path, cell = _split(place)
    name = _from_top(door, path)
    with index(door) as reader:
        found = [run for run in runlist.query(reader, Filter(notebook=name)) if run.notebook == name]
        found = found or runlist.query(reader, Filter(notebook=path))
    if not found:
        raise NothingFound(f"{path} has no run", hint="snaprun history --all")
    latest = [run for run in found if run.notebook == found[0].notebook]
    versions = cellhistory.history(GitRepo(door.place), latest, cell)
    return versions[:count]


def _run(reader: Reader, repo: GitRepo, said: str) -> Run | None:
    """The run that a selector names; None where it is the work tree or a commit of the user's."""
    if said == WORK_TREE:
        return None
    try:
        return selectors.find(reader, said)
    except DataFault:
        own = said.startswith("@") and not said.startswith("@{")  # git has an @ of its own: HEAD
        if own or repo.resolve(said) is None:
            raise
        return None


def _side(door: Door, repo: GitRepo, said: str, other: Side) -> Side:
    if said == WORK_TREE:
        settings = door.settings
        return sides.of_work_tree(repo, other=other, max_file_size=settings.max_file_size, include=settings.include)
    return sides.of_commit(repo, said, other=other)


def _before(reader: Reader, run: Run) -> Run:
    """The run before another one of the same notebook."""
    passed = False
    offset = 0
    while found := runlist.query(reader, Filter(notebook=run.notebook, limit=PAGE, offset=offset)):
        for one in found:
            if passed and one.notebook == run.notebook and one.status is not Status.SAVED:
                return one
            passed = passed or one.id == run.id
        offset += PAGE
    raise DataFault(f"there is no run of {run.notebook} before {run.id[:8]}", hint=f"snaprun diff OTHER {run.id[:8]}")


def _split(place: str) -> tuple[str, str]:
    """``NOTEBOOK:CELL`` at the first colon behind a notebook's extension."""
    for found in re.finditer(":", place):
        path, cell = place[: found.start()], place[found.end() :].strip()
        if is_notebook(Path(path)) and cell:
            return path, cell
    raise UsageFault(f"{place} is not NOTEBOOK:CELL", hint="snaprun log train.ipynb:3, or train.ipynb:'fit model'")


def _from_top(door: Door, path: str) -> str:
    """A path as the user wrote it, from the top of the repository."""
    full = os.path.normpath(os.path.join(os.path.realpath(door.cwd), path))
    return Path(os.path.relpath(full, os.path.realpath(door.place.top))).as_posix()
