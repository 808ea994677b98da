"""Take away what no run needs any more, and look for what is wrong: the work of ``gc`` and ``doctor``."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from snaprun import launchers
from snaprun.checkouts import slots
from snaprun.context import Door
from snaprun.errors import SnaprunError
from snaprun.git import command, publish, refs
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import MIN_GIT, clean_env
from snaprun.git.sync import INCOMING
from snaprun.index import reindex
from snaprun.index.reindex import open_index
from snaprun.lifecycle import settle
from snaprun.live import livefolder, lock, searches
from snaprun.model import RUN_REF, SNAP_DIR, Finding
from snaprun.notebooks import pairing

HALF_MADE = 3600.0
"""Seconds after which a folder that a killed process left half made is nobody's any more."""

STRANDED = 86400.0
"""Seconds after which a snapshot from another machine that was never started will not be; their clocks may differ."""


@dataclass(frozen=True)
class Collected:
    """What was taken away: checkouts, artifacts, checkpoint folders, and the bytes that this freed."""

    slots: int = 0
    artifacts: int = 0
    checkpoints: int = 0
    bytes: int = 0


def collect(door: Door, *, keep_slots: int, now: float) -> Collected:
    """Remove free checkouts beyond ``keep_slots``, artifacts and checkpoints that belong to no run, and leftovers."""
    settle.settle(door.place, door.env)
    repo, state = GitRepo(door.place), door.place.state
    livefolder.tidy(door.place, older=HALF_MADE, now=now)
    publish.restore(door.place)
    refs.tidy(repo, loose=1)
    gone = [(path, _size(path)) for path in _unnamed_artifacts(repo, state / "artifacts", now)]
    old = [(path, _size(path)) for path in _idle_checkpoints(repo, door)]
    for path, _ in gone:
        path.unlink(missing_ok=True)
    for path, _ in old:
        shutil.rmtree(path, ignore_errors=True)
    _drop_stranded(repo, now)
    free = slots.prune(repo, live=door.place.live, keep=keep_slots)
    return Collected(len(free), len(gone), len(old), sum(size for _, size in (*gone, *old)))


def examine(door: Door) -> Iterator[Finding]:
    """Look at everything that snaprun needs, one finding at a time."""
    yield _git(door)
    yield _state(door)
    yield _index(door)
    yield from _locks(door)
    yield from _unsettled(door)
    yield from _searches(door)


def _git(door: Door) -> Finding:
    version = command.git_version(cwd=door.place.top, env=clean_env(door.env))
    text = ".".join(map(str, version))
    if version < MIN_GIT:
        return Finding("git", fine=False, said=f"{text} is too old", hint="install git 2.31 or newer")
    return Finding("git", fine=True, said=text)


def _state(door: Door) -> Finding:
    state = door.place.state
    home = state if state.exists() else door.place.common_dir
    if not os.access(home, os.W_OK):
        return Finding("state folder", fine=False, said=f"{home} is not writable", hint=f"ls -ld {home}")
    free = shutil.disk_usage(home).free
    if free < 100_000_000:
        return Finding("state folder", fine=False, said=f"{free} bytes are left on its disk", hint="snaprun gc; df -h")
    return Finding("state folder", fine=True, said=str(state))


def _index(door: Door) -> Finding:
    try:
        index = open_index(door)
        if index.built:
            return Finding("index", fine=True, said=index.shown)
        empty = not GitRepo(door.place).refs(RUN_REF)
        if empty:
            return Finding("index", fine=True, said=f"{index.shown} (no runs yet)")
        return Finding("index", fine=False, said="it lacks runs that git has", hint="snaprun reindex")
    except SnaprunError as error:
        return Finding("index", fine=False, said=error.message, hint=error.hint or "snaprun reindex")


def _locks(door: Door) -> Iterator[Finding]:
    """Ref locks that a killed ``update-ref`` left: they block that one ref for ever."""
    folder = door.place.common_dir / RUN_REF
    for path in sorted(folder.glob("*.lock")):
        yield Finding("ref lock", fine=False, said=f"{path.name} was left by a killed git", hint=f"rm {path}")


def _unsettled(door: Door) -> Iterator[Finding]:
    """Runs that are neither looked after nor settled, as where the disk was full."""
    settle.settle(door.place, door.env)
    for folder in livefolder.scan(door.place):
        told = launchers.noted(folder.path)
        elsewhere = settle.host_of(folder) is not None or (told is not None and told.asked)
        held = None if elsewhere else lock.take(folder.path)
        if held is not None:
            os.close(held)
            hint = f"cat {folder.path}/snaprun.log"
            yield Finding("run", fine=False, said=f"{folder.id[:8]} could not be finalised yet", hint=hint)


def _searches(door: Door) -> Iterator[Finding]:
    """Searches that cannot go on."""
    for marker in door.place.searching.glob("[0-9a-f]*"):
        group = marker.name
        said = searches.trouble(searches.folder(door.place, group))
        if said:
            yield Finding("search", fine=False, said=f"{group}: {said}", hint=f"snaprun stop --group {group}")


def _drop_stranded(repo: GitRepo, now: float) -> None:
    """Forget snapshots that were pushed here to be run and that nobody started: whoever pushed them was killed."""
    listed = repo.text("for-each-ref", "--format=%(objectname) %(committerdate:unix) %(refname)", INCOMING)
    for line in listed.splitlines():
        oid, made, ref = line.split(" ", 2)
        if now - int(made) > STRANDED:
            repo.delete_ref(ref, oid)


def _unnamed_artifacts(repo: GitRepo, store: Path, now: float) -> list[Path]:
    """Files of the store that no result names; a young one may belong to a result that is just being made."""
    if not store.is_dir():
        return []
    named = set()
    for raw in repo.blobs([f"{tip}:{SNAP_DIR}/result.json" for tip in repo.refs(RUN_REF).values()]):
        if raw is not None:
            named |= {item["sha256"] for item in json.loads(raw).get("artifacts", ()) if item["stored"] == "store"}
    return [path for path in store.iterdir() if path.name not in named and now - path.stat().st_mtime > HALF_MADE]


def _idle_checkpoints(repo: GitRepo, door: Door) -> list[Path]:
    """Checkpoint folders of runs that are gone, or whose folder is empty and that have ended."""
    folder = door.place.state / "checkpoints"
    if not folder.is_dir():
        return []
    known = {name.removeprefix(RUN_REF) for name in repo.refs(RUN_REF)}
    going = {one.id for one in livefolder.scan(door.place)}
    return [
        path
        for path in folder.iterdir()
        if path.name not in going and (path.name not in known or not any(path.iterdir()))
    ]


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(item.stat().st_size for item in path.rglob("*") if item.is_file())


def pair(door: Door, path: Path, formats: str | None) -> pairing.Paired:
    """Pair a notebook with a script, see :func:`snaprun.notebooks.pairing.pair`."""
    return pairing.pair(Path(os.path.abspath(door.cwd / path)), formats)


def rebuild_index(door: Door) -> reindex.Rebuilt:
    """Rebuild the index from git."""
    return reindex.rebuild(door)
