"""Try the next point of a search: ask for it, freeze a run with its parameters, and queue the run."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from snaprun import records
from snaprun.context import Context
from snaprun.errors import DataFault, SnaprunError
from snaprun.freeze import capture
from snaprun.freeze.capture import FrozenTree, SnapshotRequest
from snaprun.freeze.refreeze import refreeze
from snaprun.git.gitrepo import GitRepo
from snaprun.index import claims
from snaprun.live import bell, envfile
from snaprun.live.order import read_order
from snaprun.model import RUN_REF, SNAP_DIR, SOURCE_FILE, Snapshot, short_id
from snaprun.notebooks import notebook
from snaprun.notebooks.notebook import Notebook
from snaprun.queue import access
from snaprun.sweeps import points
from snaprun.sweeps.requests import make_requests
from snaprun.sweeps.searchfile import Search
from snaprun.sweeps.study import Study, Trial


@dataclass(frozen=True)
class TrialSetup:
    """What every run of a search stands on: the notebook, the request that all have in common, the frozen tree."""

    repo: GitRepo
    path: Path
    book: Notebook
    base: SnapshotRequest
    frozen_tree: FrozenTree


def load_setup(context: Context, path: Path, search: Search) -> TrialSetup:
    """The setup of a search again, from its first run.

    Raises:
        DataFault: its snapshot is gone.
    """
    repo = GitRepo(context.place)
    spec = records.read_spec(repo, search.first)
    raw = repo.blob(search.first, f"{SNAP_DIR}/{SOURCE_FILE}") or repo.blob(search.first, spec.notebook)
    if raw is None:
        raise DataFault(f"run {short_id(search.first)} froze no notebook", hint="git fsck")
    book = notebook.parse(raw, context.place.top / spec.notebook)
    return TrialSetup(repo, path, book, SnapshotRequest(search.base, source=raw), refreeze(repo, search.first, spec))


def launch(
    context: Context, setup: TrialSetup, search: Search, study: Study, *, on_run: Callable[[str], None] | None = None
) -> Trial | None:
    """Start the run of the next point; None where every point has been tried.

    Which run tries it is kept for good before there is such a run, so that no kill leaves one that nobody knows of.
    ``on_run`` is called with the run at that moment.

    Raises:
        SnaprunError: it could not be frozen or queued; then there is no such run.
    """
    trial = study.ask()
    if trial is None:
        return None
    snapshot = None
    try:
        number = len([attempt for attempt in study.trials() if attempt.run])
        (point,) = points.points([trial.params], constants=search.common_params)
        (request,) = make_requests(setup.book, setup.base, [replace(point, number=number)])
        snapshot, objects = capture.compose(setup.frozen_tree, request)
        study.assign(trial.number, snapshot.id)
        if on_run is not None:
            on_run(snapshot.id)
        capture.publish_snapshot(setup.repo, setup.frozen_tree, snapshot, objects)
        enqueue(context, setup.path, search, snapshot)
    except BaseException:
        with suppress(SnaprunError):  # where the disk is full, whoever goes on with the search does this
            if snapshot is not None and setup.repo.refs(RUN_REF + snapshot.id):
                setup.repo.delete_ref(RUN_REF + snapshot.id, snapshot.id)
            study.discard(trial.number)
        raise
    bell.wake(context.place, context.env)
    return replace(trial, run=snapshot.id)


def enqueue(context: Context, path: Path, search: Search, snapshot: Snapshot) -> None:
    """Let a frozen run of a search wait for its turn.

    Raises:
        SnaprunError: as :func:`snaprun.queue.access.enqueue`.
    """
    order = replace(read_order(path), run=snapshot.id, timeout=snapshot.spec.timeout)
    entry = claims.QueueEntry(snapshot, order, jobs=search.jobs, after=search.after, retries=search.retries)
    access.enqueue(context, [entry])


def enqueue_again(context: Context, setup: TrialSetup, search: Search, run: str) -> None:
    """Queue a run that was frozen, and which a kill kept from being queued."""
    spec = records.read_spec(setup.repo, run)
    enqueue(context, setup.path, search, Snapshot(run, "", spec, records.read_params(setup.repo, run)))
    bell.wake(context.place, context.env)


def environment(path: Path, search: Search) -> dict[str, str]:
    """What the runs of a search find in their environment."""
    env = envfile.read(path, search.env)
    return dict(os.environ) if env is None else env
