"""Look after a repository: take away what no run needs, find what is wrong, rebuild the index, pair notebooks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from snaprun import files
from snaprun.checkouts import slots
from snaprun.context import Context
from snaprun.errors import SnaprunError
from snaprun.files import HALF_MADE_AGE
from snaprun.git import command, publish, refs
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import MIN_GIT, clean_env
from snaprun.git.sync import INCOMING_REF
from snaprun.index import reindex
from snaprun.index.reindex import open_index
from snaprun.launchers import farfiles
from snaprun.launchers.placement import read_placement
from snaprun.lifecycle import settle
from snaprun.live import livefolder, lock, searches, supervision
from snaprun.model import RUN_REF, SNAP_DIR, Finding, parse_document
from snaprun.notebooks import pairing

STRANDED_AGE = 86400.0
"""Seconds after which a snapshot from another machine that was never started will not be; their clocks may differ."""


@dataclass(frozen=True)
class Removals:
    """What was taken away: checkouts, artifacts, checkpoint folders, and the bytes that this freed."""

    slots: int = 0
    artifacts: int = 0
    checkpoints: int = 0
    bytes: int = 0


def collect(context: Context, *, keep_slots: int, now: float) -> Removals:
    """Remove free checkouts beyond ``keep_slots``, artifacts and checkpoints that belong to no run, and leftovers.

    ``now`` is the time in seconds since 1970: what is young may belong to a run that is just being made.

    Raises:
        Denied, WriteFault: something cannot be removed. DataFault: a result is damaged.
    """
    settle.settle(context.place, context.env)
    repo, state = GitRepo(context.place), context.place.state
    livefolder.tidy(context.place, age=HALF_MADE_AGE, now=now)
    publish.restore(context.place)
    refs.tidy(repo, loose=1)
    artifacts = [(path, _size(path)) for path in _unnamed_artifacts(repo, state / "artifacts", now)]
    checkpoints = [(path, _size(path)) for path in _idle_checkpoints(repo, context)]
    for path, _ in artifacts:
        path.unlink(missing_ok=True)
    for path, _ in checkpoints:
        shutil.rmtree(path, ignore_errors=True)
    _drop_stranded(repo, now)
    for folder in _draft_folders(context):
        files.remove_drafts(folder, age=HALF_MADE_AGE, now=now)
    free_slots = slots.prune(repo, live=context.place.live, keep=keep_slots)
    return Removals(
        len(free_slots), len(artifacts), len(checkpoints), sum(size for _, size in (*artifacts, *checkpoints))
    )


def examine(context: Context) -> Iterator[Finding]:
    """Look at everything that snaprun needs, one finding at a time; those that are not ``fine`` have a hint."""
    yield _git(context)
    yield _state(context)
    yield _index(context)
    yield from _locks(context)
    yield from _unsettled_runs(context)
    yield from _searches(context)


def rebuild_index(context: Context) -> reindex.RebuildReport:
    """Rebuild the index from git; how many runs it has, which cannot be read, and where a damaged index went.

    Raises:
        SettingsFault: a newer snaprun wrote the index. Denied, WriteFault, Unavailable: it cannot be written.
    """
    return reindex.rebuild(context)


def pair(context: Context, path: Path, formats: str | None = None) -> pairing.PairResult:
    """Pair a notebook with a script beside it, by jupytext's ``formats`` (``ipynb,py:percent`` for Python).

    Every byte of the notebook stays as it is but for ``metadata.jupytext.formats``; a script that is missing is
    written.

    Raises:
        InputMissing: no such notebook. CannotCreate: a file is in the way that is not its pair, or says other things.
        UsageFault: it is no ``.ipynb``, or ``formats`` makes no sense. Denied, WriteFault: it cannot be written.
    """
    return pairing.pair(Path(os.path.abspath(context.cwd / path)), formats)


def _git(context: Context) -> Finding:
    version = command.git_version(cwd=context.place.top, env=clean_env(context.env))
    text = ".".join(map(str, version))
    if version < MIN_GIT:
        return Finding("git", fine=False, said=f"{text} is too old", hint="install git 2.31 or newer")
    return Finding("git", fine=True, said=text)


def _state(context: Context) -> Finding:
    state = context.place.state
    home = state if state.exists() else context.place.common_dir
    if not os.access(home, os.W_OK):
        return Finding("state folder", fine=False, said=f"{home} is not writable", hint=f"ls -ld {home}")
    free = shutil.disk_usage(home).free
    if free < 100_000_000:
        return Finding("state folder", fine=False, said=f"{free} bytes are left on its disk", hint="snaprun gc; df -h")
    return Finding("state folder", fine=True, said=str(state))


def _index(context: Context) -> Finding:
    try:
        index = open_index(context)
        if index.is_built:
            return Finding("index", fine=True, said=index.display_name)
        empty = not GitRepo(context.place).refs(RUN_REF)
        if empty:
            return Finding("index", fine=True, said=f"{index.display_name} (no runs yet)")
        return Finding("index", fine=False, said="it lacks runs that git has", hint="snaprun reindex")
    except SnaprunError as error:
        return Finding("index", fine=False, said=error.message, hint=error.hint or "snaprun reindex")


def _locks(context: Context) -> Iterator[Finding]:
    """Ref locks that a killed ``update-ref`` left: they block that one ref for ever."""
    folder = context.place.common_dir / RUN_REF
    for path in sorted(folder.glob("*.lock")):
        yield Finding("ref lock", fine=False, said=f"{path.name} was left by a killed git", hint=f"rm {path}")


def _unsettled_runs(context: Context) -> Iterator[Finding]:
    """Runs that are neither looked after nor settled, as where the disk was full."""
    settle.settle(context.place, context.env)
    for folder in livefolder.scan(context.place):
        placement = read_placement(folder.path)
        is_remote = supervision.host_of(folder) is not None or (placement is not None and placement.needs_poll)
        lock_handle = None if is_remote else lock.take(folder.path)
        if lock_handle is not None:
            os.close(lock_handle)
            hint = f"cat {folder.path}/snaprun.log"
            yield Finding("run", fine=False, said=f"{folder.id[:8]} could not be finalised yet", hint=hint)


def _searches(context: Context) -> Iterator[Finding]:
    """Searches that cannot go on."""
    for marker in context.place.search_marks.glob("[0-9a-f]*"):
        group = marker.name
        problem = searches.read_trouble(searches.folder(context.place, group))
        if problem:
            yield Finding("search", fine=False, said=f"{group}: {problem}", hint=f"snaprun stop --group {group}")


def _drop_stranded(repo: GitRepo, now: float) -> None:
    """Forget snapshots that were pushed here to be run and that nobody started: whoever pushed them was killed."""
    listing = repo.text("for-each-ref", "--format=%(objectname) %(committerdate:unix) %(refname)", INCOMING_REF)
    for line in listing.splitlines():
        oid, timestamp, ref = line.split(" ", 2)
        if now - int(timestamp) > STRANDED_AGE:
            repo.delete_ref(ref, oid)


def _unnamed_artifacts(repo: GitRepo, store: Path, now: float) -> list[Path]:
    """Files of the store that no result names; a young one may belong to a result that is just being made."""
    if not store.is_dir():
        return []
    hashes = set()
    for raw in repo.blobs([f"{tip}:{SNAP_DIR}/result.json" for tip in repo.refs(RUN_REF).values()]):
        if raw is not None:
            hashes |= {item["sha256"] for item in parse_document(raw).get("artifacts", ()) if item["stored"] == "store"}
    return [path for path in store.iterdir() if path.name not in hashes and now - path.stat().st_mtime > HALF_MADE_AGE]


def _idle_checkpoints(repo: GitRepo, context: Context) -> list[Path]:
    """Checkpoint folders of runs that are gone, or whose folder is empty and that have ended."""
    folder = context.place.state / "checkpoints"
    if not folder.is_dir():
        return []
    run_ids = {name.removeprefix(RUN_REF) for name in repo.refs(RUN_REF)}
    live_ids = {live_run.id for live_run in livefolder.scan(context.place)}
    return [
        path
        for path in folder.iterdir()
        if path.name not in live_ids and (path.name not in run_ids or not any(path.iterdir()))
    ]


def _draft_folders(context: Context) -> Iterator[Path]:
    """Where files are written that outlive a run. A checkout is none: what is in it is not ours."""
    place = context.place
    yield from (place.state, place.queue, place.search_marks, place.state / "slots", place.state / "hooks")
    yield from (place.state / farfiles.FOLDER, *place.searches.glob("*"))


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(item.stat().st_size for item in path.rglob("*") if item.is_file())
