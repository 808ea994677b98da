"""Queue the runs of a sweep that comes from another machine: claim them all, and let them take turns here."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from snaprun.context import Door
from snaprun.git.gitrepo import DURABLE, GitRepo
from snaprun.git.locate import Place, make_private
from snaprun.git.sync import INCOMING
from snaprun.index import claims, reindex
from snaprun.index.claims import Entry
from snaprun.index.runlist import Filter, query
from snaprun.live import bell, livefolder
from snaprun.model import RUN_REF, Snapshot, Status
from snaprun.records import read_plans
from snaprun.remote import farplace, farstart
from snaprun.remote.far import Answer


def queue(ask: Mapping[str, Any]) -> Answer:
    """Claim runs that were pushed here and queue them, all or none; those that are claimed already stay as they are."""
    place = farplace.found(Path(ask["path"]), os.environ)
    door = farplace.door(place, os.environ)
    repo = GitRepo(place)
    runs = list(map(str, ask["runs"]))
    with _alone(place):
        try:
            new = _unclaimed(door, repo, runs)
            if new:
                _put(door, repo, new, ask)
        finally:
            _forget_incoming(repo, runs)
    bell.mark(place, {"index_url": door.settings.index_url})
    bell.wake(place, os.environ)
    return {"queued": len(new)}, []


def _unclaimed(door: Door, repo: GitRepo, runs: Sequence[str]) -> list[str]:
    """Those of these runs that nobody has claimed. One whose ref was made by a call that was killed then is none."""
    index = reindex.open_index(door)
    if not index.built:
        reindex.rebuild(door)
    spec, _ = next(read_plans(repo, runs[:1]))
    known = {run.id: run for run in query(index.reader(), Filter(group=spec.group))}
    lost = {run.id for run in known.values() if run.status is Status.LOST and run.commit == run.id}
    return [run for run in runs if run not in known or (run in lost and livefolder.find(door.place, run) is None)]


def _put(door: Door, repo: GitRepo, runs: Sequence[str], ask: Mapping[str, Any]) -> None:
    """Make the refs, and queue the runs; the refs go again if that fails."""
    entries = _entries(repo, runs, ask)
    env = claims.keep_env(door.place.queue, os.environ)
    there = repo.refs(RUN_REF)
    made = [run for run in runs if RUN_REF + run not in there]
    _refs(repo, [f"create {RUN_REF}{run}\0{run}\0" for run in made])
    repo.keep_refs(f"{RUN_REF}any")
    try:
        claims.put(reindex.open_index(door), socket.gethostname(), entries, env=env)
    except BaseException:
        _refs(repo, [f"delete {RUN_REF}{run}\0{run}\0" for run in made])
        raise


def _entries(repo: GitRepo, runs: Sequence[str], ask: Mapping[str, Any]) -> list[Entry]:
    """What to queue. The runs of a sweep differ by their parameters alone: what this machine has to offer is looked for
    once."""
    plans = list(read_plans(repo, runs))
    order = farstart.order_for(repo, runs[0], plans[0][0], ask)
    return [
        Entry(
            Snapshot(run, "", spec, params),
            replace(order, run=run),
            jobs=ask.get("jobs"),
            after=ask.get("after"),
            retries=int(ask.get("retries") or 0),
        )
        for run, (spec, params) in zip(runs, plans, strict=True)
    ]


def _refs(repo: GitRepo, lines: Sequence[str]) -> None:
    repo.run("update-ref", "--stdin", "-z", stdin="".join(lines).encode(), options=DURABLE)


def _forget_incoming(repo: GitRepo, runs: Sequence[str]) -> None:
    there = repo.refs(INCOMING)
    _refs(repo, [f"delete {INCOMING}{run}\0{run}\0" for run in runs if INCOMING + run in there])


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    """No second call of the kind meanwhile: a near side that was cut off asks again while the first one works."""
    make_private(place.queue)
    handle = os.open(place.queue / "incoming.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
