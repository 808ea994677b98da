"""Bring the index up to what git and the live folders say.

SQLAlchemy is imported only when something is written: half a second that no start of a run should wait for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snaprun import records
from snaprun.context import Context
from snaprun.errors import DataFault
from snaprun.git.gitrepo import GitRepo
from snaprun.index import recorder
from snaprun.index.runlist import Reader
from snaprun.live import livefolder
from snaprun.model import Run
from snaprun.records import DamagedRun

if TYPE_CHECKING:
    from snaprun.index.store import IndexStore


@dataclass(frozen=True)
class RebuildReport:
    """How many runs the index now has, which refs could not be read, and where a damaged index file was put."""

    count: int
    damaged: tuple[DamagedRun, ...]
    set_aside: str | None


def rebuild(context: Context) -> RebuildReport:
    """Throw the rows of this repository away and read every run from its ref again; a damaged file is moved aside."""
    from snaprun.index.store import mend  # SQLAlchemy

    index = mend(context.place.state, context.settings.index_url)
    damaged_runs: list[DamagedRun] = []
    count = index.rebuild(_readable_runs(GitRepo(context.place), damaged_runs))
    return RebuildReport(count, tuple(damaged_runs), str(index.set_aside) if index.set_aside else None)


def record_missing(context: Context, ids: Iterable[str]) -> None:
    """Record runs that have started so lately that their worker has not recorded them yet."""
    repo, index = GitRepo(context.place), open_index(context)
    for run_id in ids:
        try:
            index.record(records.read_run(repo, run_id))
        except DataFault:
            if livefolder.find(context.place, run_id) is not None:  # else it was discarded just now
                raise


def reader(context: Context) -> Reader:
    """The reader of an index that is no SQLite file; the index is rebuilt first where it must be."""
    index = open_index(context)
    if not index.is_built:
        rebuild(context)
    return index.reader()


def open_index(context: Context) -> IndexStore:
    """The index of this repository, made where there is none."""
    from snaprun.index.store import open_store  # SQLAlchemy: whoever only records has no need of it

    return open_store(context.place.state, context.settings.index_url)


def _readable_runs(repo: GitRepo, damaged_runs: list[DamagedRun]) -> Iterator[Run]:
    """Every run that can be read; the others go into ``damaged_runs``."""
    for run in records.read_runs(repo):
        if isinstance(run, DamagedRun):
            damaged_runs.append(run)
        else:
            yield run


def record(repo: GitRepo, url: str | None, *runs: Run) -> None:
    """Put runs into the index, all or none; it is made or completed first where it must be.

    Its module is imported only where the index is not ready for the recorder: SQLAlchemy takes half a second.

    Raises:
        SnaprunError: the index cannot be written.
    """
    if recorder.record(repo.place.state, url, runs):
        return
    from snaprun.index.store import open_store  # SQLAlchemy

    store = open_store(repo.place.state, url)
    if not store.is_built:
        store.rebuild(run for run in records.read_runs(repo) if isinstance(run, Run))
    store.record(*runs)
