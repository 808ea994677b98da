"""Queue the runs of a sweep that comes from another machine: claim them all, and let them take turns here."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from snaprun import filelock
from snaprun.context import Context
from snaprun.git.gitrepo import REF_FSYNC, GitRepo
from snaprun.git.locate import Place, make_private
from snaprun.git.sync import INCOMING_REF
from snaprun.index import claims
from snaprun.index.claims import QueueEntry
from snaprun.index.runlist import Filter, query
from snaprun.live import bell, envfile, livefolder
from snaprun.model import RUN_REF, Snapshot
from snaprun.queue import access
from snaprun.records import read_plans
from snaprun.remote import farplace, farstart
from snaprun.remote.far import Answer
from snaprun.statuses import Status


def queue(question: Mapping[str, Any]) -> Answer:
    """Claim runs that were pushed here and queue them, all or none; those that are claimed already stay as they are."""
    place = farplace.find_place(Path(question["path"]), os.environ)
    context = farplace.far_context(place, os.environ)
    repo = GitRepo(place)
    runs = list(map(str, question["runs"]))
    with _incoming_lock(place):
        try:
            new_runs = _unclaimed_runs(context, repo, runs)
            if new_runs:
                _enqueue(context, repo, new_runs, question)
        finally:
            _forget_incoming(repo, runs)
    access.mark_busy(context)
    bell.wake(place, os.environ)
    return {"queued": len(new_runs)}, []


def _unclaimed_runs(context: Context, repo: GitRepo, runs: Sequence[str]) -> list[str]:
    """Those of these runs that nobody has claimed. One whose ref was made by a call that was killed then is none."""
    spec, _ = next(read_plans(repo, runs[:1]))
    runs_by_id = {run.id: run for run in query(access.open_queue(context).reader(), Filter(group=spec.group))}
    lost_ids = {run.id for run in runs_by_id.values() if run.status is Status.LOST and run.commit == run.id}
    return [
        run
        for run in runs
        if run not in runs_by_id or (run in lost_ids and livefolder.find(context.place, run) is None)
    ]


def _enqueue(context: Context, repo: GitRepo, runs: Sequence[str], question: Mapping[str, Any]) -> None:
    """Make the refs, and queue the runs; the refs go again if that fails."""
    entries = _entries(repo, runs, question)
    env = envfile.keep(context.place.queue, os.environ)
    refs = repo.refs(RUN_REF)
    new_runs = [run for run in runs if RUN_REF + run not in refs]
    _update_refs(repo, [f"create {RUN_REF}{run}\0{run}\0" for run in new_runs])
    repo.fsync_refs(f"{RUN_REF}any")
    try:
        claims.put(access.open_queue(context), socket.gethostname(), entries, env=env)
    except BaseException:
        _update_refs(repo, [f"delete {RUN_REF}{run}\0{run}\0" for run in new_runs])
        raise


def _entries(repo: GitRepo, runs: Sequence[str], question: Mapping[str, Any]) -> list[QueueEntry]:
    """What to queue. The runs of a sweep differ by their parameters alone: what this machine has to offer is looked for
    once."""
    plans = list(read_plans(repo, runs))
    order = farstart.order_for(repo, runs[0], plans[0][0], question)
    return [
        QueueEntry(
            Snapshot(run, "", spec, params),
            replace(order, run=run),
            jobs=question.get("jobs"),
            after=question.get("after"),
            retries=int(question.get("retries") or 0),
        )
        for run, (spec, params) in zip(runs, plans, strict=True)
    ]


def _update_refs(repo: GitRepo, lines: Sequence[str]) -> None:
    repo.run("update-ref", "--stdin", "-z", stdin="".join(lines).encode(), options=REF_FSYNC)


def _forget_incoming(repo: GitRepo, runs: Sequence[str]) -> None:
    refs = repo.refs(INCOMING_REF)
    _update_refs(repo, [f"delete {INCOMING_REF}{run}\0{run}\0" for run in runs if INCOMING_REF + run in refs])


@contextmanager
def _incoming_lock(place: Place) -> Iterator[None]:
    """No second call of the kind meanwhile: a near side that was cut off asks again while the first one works."""
    make_private(place.queue)
    with filelock.hold(place.queue / "incoming.lock"):
        yield
