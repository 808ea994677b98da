"""Look at runs that came from another machine: how they stand, what is new of them; and stop them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snaprun.context import Door
from snaprun.errors import DataFault
from snaprun.git.locate import Place
from snaprun.index import queue
from snaprun.index.runlist import Filter, Reader, query
from snaprun.lifecycle import settle
from snaprun.live import bell, livefolder, stoprequest
from snaprun.live.livefolder import GROWING, Live
from snaprun.live.order import read_order
from snaprun.model import Status
from snaprun.remote import farplace
from snaprun.remote.far import Answer

PIECE = 4 << 20
"""Bytes of one file that one answer holds at most; whoever wants more asks again."""

WHOLE = 16 << 20
"""Bytes from which on an answer takes no more files."""

STARTING = 5.0
"""Seconds that the queue may take to start a run which is to be stopped."""


def news(ask: Mapping[str, Any]) -> Answer:
    """How runs stand, and what is new in their live folders; ``runs`` holds the bytes known by run and file."""
    place = farplace.found(Path(ask["path"]), os.environ)
    settle.settle(place, os.environ)
    bell.wake(place, os.environ)
    about: dict[str, Any] = {}
    pieces: list[bytes] = []
    with farplace.index(farplace.door(place, os.environ)) as reader:
        waiting = _waiting(reader)
        folders = {run: livefolder.find(place, run) for run in ask["runs"]}
        over = _over(place, [run for run, folder in folders.items() if folder is None and run not in waiting], reader)
        for run, known in ask["runs"].items():
            folder = folders[run]
            if folder is None:
                about[run] = {**(waiting.get(run) or over[run]), "files": []}
                continue
            attempt = _attempt(folder.path)
            sizes = known if known.get("attempt") in (None, attempt) else {name: min(known[name], 0) for name in known}
            full = sum(map(len, pieces)) >= WHOLE
            found = [] if full else _grown(folder.path, sizes)
            pieces += [data for _, data in found]
            files = [(name, len(data)) for name, data in found]
            about[run] = {"state": "running", "attempt": attempt, "more": full, "files": files}
    return {"host": socket.gethostname(), "repository": os.fspath(place.git_dir), "runs": about}, pieces


def stop(ask: Mapping[str, Any]) -> Answer:
    """Ask runs that they end; those that wait leave the queue."""
    place = farplace.found(Path(ask["path"]), os.environ)
    door = farplace.door(place, os.environ)
    with farplace.index(door) as reader:
        queued = _waiting(reader)
    runs = list(map(str, ask["runs"]))
    done = _dropped(door, [run for run in runs if run in queued])
    for run in runs:
        folder = None if run in done else _begun(place, run, wait=run in queued)
        if folder is None:
            continue
        how = {name: ask.get(name) for name in ("grace", "reason")}
        if stoprequest.request(folder, int(ask["signal"]), kill=bool(ask.get("kill")), **how):
            done.append(run)
        else:
            settle.settle(place, os.environ)
    return {"stopping": done}, []


def artifact(ask: Mapping[str, Any]) -> Answer:
    """A piece of a file of the artifact store, from a byte on."""
    place = farplace.found(Path(ask["path"]), os.environ)
    name = str(ask["sha256"])
    if len(name) != 64 or not name.isalnum():
        raise DataFault(f"{name} is no sha256", hint="snaprun show --json")
    try:
        with (place.state / "artifacts" / name).open("rb") as file:
            file.seek(int(ask["offset"]))
            return {"found": True}, [file.read(PIECE)]
    except FileNotFoundError:
        return {"found": False}, []


def _grown(folder: Path, known: Mapping[str, int]) -> list[tuple[str, bytes]]:
    """What files have beyond the bytes known (negative: not wanted). The journal is read first, so that the others hold
    what it speaks of."""
    found = {}
    for name in (name for name in reversed(GROWING) if known.get(name, 0) >= 0):
        try:
            with (folder / name).open("rb") as file:
                file.seek(known.get(name, 0))
                found[name] = file.read(PIECE)
        except FileNotFoundError:  # it ends right now
            continue
    if len(found.get("log.txt", b"")) == PIECE:  # the journal must not run ahead of the log
        found.pop("events.jsonl", None)
    return [(name, found[name]) for name in GROWING if found.get(name)]


def _waiting(reader: Reader | None) -> dict[str, dict[str, Any]]:
    """How the runs of the queue stand that have no live folder. One that was taken out is between two moments: it is
    about to start, or its end is about to be looked at."""
    if reader is None:
        return {}
    found = queue.listing(reader, socket.gethostname())
    started = {one.run: {"state": "running"} for one in found.runs if one.claimed}
    reasons = queue.reasons(found, there=" there")
    return {**started, **{run: {"state": "queued", "reason": reason} for run, reason in reasons.items()}}


def _dropped(door: Door, runs: Sequence[str]) -> list[str]:
    """Take those of these runs out of the queue that wait still. The modules take long to import."""
    if not runs:
        return []
    from snaprun.git.gitrepo import GitRepo
    from snaprun.index import claims, reindex

    dropped = claims.drop(reindex.open_index(door), GitRepo(door.place), runs)
    bell.ring(door.place)
    return dropped


def _begun(place: Place, run: str, *, wait: bool) -> Live | None:
    """The live folder of a run; with ``wait``, that of one which the queue starts right now."""
    end = time.monotonic() + STARTING
    while True:
        folder = livefolder.find(place, run)
        if folder is not None or not wait or time.monotonic() > end:
            return folder
        time.sleep(0.05)


def _attempt(folder: Path) -> int | None:
    try:
        return read_order(folder).attempt
    except (OSError, ValueError):
        return None


def _over(place: Place, runs: Sequence[str], reader: Reader | None) -> dict[str, dict[str, Any]]:
    """How runs stand without a live folder and a place in the queue: their result commits decide. Git's module is
    imported only for that."""
    if not runs:
        return {}
    from snaprun.git import sync
    from snaprun.git.gitrepo import GitRepo

    tips = sync.results(GitRepo(place), runs)
    here = socket.gethostname()
    about: dict[str, dict[str, Any]] = {}
    for run in runs:
        if tips.get(run):
            about[run] = {"state": "ended", "tip": tips[run]}
        elif run in tips and reader and any(one.status is Status.SAVED for one in query(reader, Filter(id=run))):
            about[run] = {"state": "dropped", "reason": f"it was taken out of the queue of {here}"}
        else:
            about[run] = {"state": "unknown", "reason": f"{here} has neither a process nor a result of it"}
    return about
