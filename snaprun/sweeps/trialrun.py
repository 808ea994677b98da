"""Try the next point of a search: ask for it, freeze a run with its parameters, and queue the run."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from snaprun import records
from snaprun.context import Door
from snaprun.errors import DataFault, SnaprunError
from snaprun.freeze import capture
from snaprun.freeze.capture import SOURCE, Frozen, Request
from snaprun.freeze.refreeze import refreeze
from snaprun.git.gitrepo import GitRepo
from snaprun.index import claims
from snaprun.live import bell
from snaprun.live.order import read_order
from snaprun.model import RUN_REF, SNAP_DIR, Snapshot
from snaprun.notebooks import notebook
from snaprun.notebooks.notebook import Notebook
from snaprun.queue import access
from snaprun.sweeps import points
from snaprun.sweeps.requests import requests
from snaprun.sweeps.searchfile import Search
from snaprun.sweeps.study import Study, Trial


@dataclass(frozen=True)
class Ground:
    """What every run of a search stands on: the notebook, the request that all have in common, the frozen tree."""

    repo: GitRepo
    path: Path
    found: Notebook
    base: Request
    frozen: Frozen


def ground(door: Door, path: Path, search: Search) -> Ground:
    """The same ground again, from the search's first run.

    Raises:
        DataFault: its snapshot is gone.
    """
    repo = GitRepo(door.place)
    spec = records.read_spec(repo, search.first)
    raw = repo.blob(search.first, f"{SNAP_DIR}/{SOURCE}") or repo.blob(search.first, spec.notebook)
    if raw is None:
        raise DataFault(f"run {search.first[:8]} froze no notebook", hint="git fsck")
    found = notebook.parse(raw, door.place.top / spec.notebook)
    return Ground(repo, path, found, Request(search.base, source=raw), refreeze(repo, search.first, spec))


def launch(
    door: Door, stand: Ground, search: Search, study: Study, *, told: Callable[[str], None] | None = None
) -> Trial | None:
    """Start the run of the next point; None where every point has been tried.

    Which run tries it is kept for good before there is such a run, so that no kill leaves one that nobody knows of.
    ``told`` hears of the run at that moment.

    Raises:
        SnaprunError: it could not be frozen or queued; then there is no such run.
    """
    trial = study.ask()
    if trial is None:
        return None
    made = None
    try:
        number = len([one for one in study.trials() if one.run])
        (point,) = points.points([trial.params], fixed=search.same)
        (request,) = requests(stand.found, stand.base, [replace(point, number=number)])
        made, objects = capture.compose(stand.frozen, request)
        study.assign(trial.number, made.id)
        if told is not None:
            told(made.id)
        capture.keep(stand.repo, stand.frozen, made, objects)
        enqueue(door, stand.path, search, made)
    except BaseException:
        with suppress(SnaprunError):  # where the disk is full, whoever goes on with the search does this
            if made is not None and stand.repo.refs(RUN_REF + made.id):
                stand.repo.delete_ref(RUN_REF + made.id, made.id)
            study.discard(trial.number)
        raise
    bell.wake(door.place, door.env)
    return replace(trial, run=made.id)


def enqueue(door: Door, path: Path, search: Search, made: Snapshot) -> None:
    """Let a frozen run of a search wait for its turn.

    Raises:
        SnaprunError: as :func:`snaprun.queue.access.enqueue`.
    """
    order = replace(read_order(path), run=made.id, timeout=made.spec.timeout)
    entry = claims.Entry(made, order, jobs=search.jobs, after=search.after, retries=search.retries)
    access.enqueue(door, [entry])


def enqueue_again(door: Door, stand: Ground, search: Search, run: str) -> None:
    """Queue a run that was frozen, and which a kill kept from being queued."""
    spec = records.read_spec(stand.repo, run)
    enqueue(door, stand.path, search, Snapshot(run, "", spec, records.read_params(stand.repo, run)))
    bell.wake(door.place, door.env)


def environment(path: Path, search: Search) -> dict[str, str]:
    """What the runs of a search find in their environment."""
    kept = claims.read_env(path, search.env)
    return dict(os.environ) if kept is None else kept
