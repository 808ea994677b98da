"""Tell how runs that came from another machine stand and what is new of them, and stop them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snaprun.context import Context
from snaprun.errors import DataFault
from snaprun.git.locate import Place
from snaprun.index import queue
from snaprun.index.runlist import Filter, Reader, query
from snaprun.launchers.contact import PIECE
from snaprun.lifecycle import settle
from snaprun.live import bell, livefolder, stoprequest
from snaprun.live.livefolder import Live
from snaprun.live.names import EVENTS_FILE, GROWING_FILES, LOG_FILE
from snaprun.live.order import read_order
from snaprun.remote import farplace
from snaprun.remote.far import Answer

ANSWER_LIMIT = 16 << 20
"""Bytes from which on an answer takes no more files."""

START_PATIENCE = 5.0
"""Seconds that the queue may take to start a run which is to be stopped."""


def news(question: Mapping[str, Any]) -> Answer:
    """How runs stand, and what is new in their live folders; ``runs`` holds the bytes known by run and file."""
    place = farplace.find_place(Path(question["path"]), os.environ)
    settle.settle(place, os.environ)
    bell.wake(place, os.environ)
    states: dict[str, Any] = {}
    pieces: list[bytes] = []
    with farplace.open_reader(farplace.far_context(place, os.environ)) as reader:
        queue_states = _queue_states(reader)
        folders = {run: livefolder.find(place, run) for run in question["runs"]}
        final_states = _final_states(
            place, [run for run, folder in folders.items() if folder is None and run not in queue_states], reader
        )
        for run, offsets in question["runs"].items():
            folder = folders[run]
            if folder is None:
                states[run] = {**(queue_states.get(run) or final_states[run]), "files": []}
                continue
            attempt = _attempt(folder.path)
            sizes = (
                offsets
                if offsets.get("attempt") in (None, attempt)
                else {name: min(offsets[name], 0) for name in offsets}
            )
            is_full = sum(map(len, pieces)) >= ANSWER_LIMIT
            new_data = [] if is_full else _read_growth(folder.path, sizes)
            pieces += [data for _, data in new_data]
            files = [(name, len(data)) for name, data in new_data]
            states[run] = {"state": "running", "attempt": attempt, "more": is_full, "files": files}
    return {"host": socket.gethostname(), "repository": os.fspath(place.git_dir), "runs": states}, pieces


def stop(question: Mapping[str, Any]) -> Answer:
    """Ask runs that they end; those that wait leave the queue."""
    place = farplace.find_place(Path(question["path"]), os.environ)
    context = farplace.far_context(place, os.environ)
    with farplace.open_reader(context) as reader:
        queue_states = _queue_states(reader)
    runs = list(map(str, question["runs"]))
    ending_runs = _drop_waiting(context, [run for run in runs if run in queue_states])
    for run in runs:
        folder = None if run in ending_runs else _wait_for_folder(place, run, wait=run in queue_states)
        if folder is None:
            continue
        options = {name: question.get(name) for name in ("grace", "reason")}
        if stoprequest.request(folder, int(question["signal"]), kill=bool(question.get("kill")), **options):
            ending_runs.append(run)
        else:
            settle.settle(place, os.environ)
    return {"stopping": ending_runs}, []


def artifact(question: Mapping[str, Any]) -> Answer:
    """A piece of a file of the artifact store, from a byte on."""
    place = farplace.find_place(Path(question["path"]), os.environ)
    name = str(question["sha256"])
    if len(name) != 64 or not name.isalnum():
        raise DataFault(f"{name} is no sha256", hint="snaprun show --json")
    try:
        with (place.state / "artifacts" / name).open("rb") as file:
            file.seek(int(question["offset"]))
            return {"found": True}, [file.read(PIECE)]
    except FileNotFoundError:
        return {"found": False}, []


def _read_growth(path: Path, offsets: Mapping[str, int]) -> list[tuple[str, bytes]]:
    """What files have beyond the bytes known (negative: not wanted). The journal is read first, so that the others hold
    what it speaks of."""
    contents = {}
    for name in (name for name in reversed(GROWING_FILES) if offsets.get(name, 0) >= 0):
        try:
            with (path / name).open("rb") as file:
                file.seek(offsets.get(name, 0))
                contents[name] = file.read(PIECE)
        except FileNotFoundError:  # it ends right now
            continue
    if len(contents.get(LOG_FILE, b"")) == PIECE:  # the journal must not run ahead of the log
        contents.pop(EVENTS_FILE, None)
    return [(name, contents[name]) for name in GROWING_FILES if contents.get(name)]


def _queue_states(reader: Reader | None) -> dict[str, dict[str, Any]]:
    """How the runs of the queue stand that have no live folder. One that was taken out is between two moments: it is
    about to start, or its end is about to be looked at."""
    if reader is None:
        return {}
    listing = queue.listing(reader, socket.gethostname())
    active_states = {entry.run: {"state": "running"} for entry in listing.runs if entry.is_claimed}
    reasons = queue.reasons(listing, suffix=" there")
    return {**active_states, **{run: {"state": "queued", "reason": reason} for run, reason in reasons.items()}}


def _drop_waiting(context: Context, runs: Sequence[str]) -> list[str]:
    """Take those of these runs out of the queue that wait still."""
    if not runs:
        return []
    from snaprun.queue import access  # SQLAlchemy: only where runs wait

    return access.drop_ids(context, runs)


def _wait_for_folder(place: Place, run: str, *, wait: bool) -> Live | None:
    """The live folder of a run; with ``wait``, that of one which the queue starts right now."""
    deadline = time.monotonic() + START_PATIENCE
    while True:
        folder = livefolder.find(place, run)
        if folder is not None or not wait or time.monotonic() > deadline:
            return folder
        time.sleep(0.05)


def _attempt(path: Path) -> int | None:
    try:
        return read_order(path).attempt
    except (OSError, ValueError):
        return None


def _final_states(place: Place, runs: Sequence[str], reader: Reader | None) -> dict[str, dict[str, Any]]:
    """How runs stand without a live folder and a place in the queue: their result commits decide. Git's module is
    imported only for that."""
    if not runs:
        return {}
    from snaprun.git import sync  # GitPython: only for runs without a live folder and a place in the queue
    from snaprun.git.gitrepo import GitRepo

    tips = sync.results(GitRepo(place), runs)
    host = socket.gethostname()
    states: dict[str, dict[str, Any]] = {}
    for run in runs:
        if tips.get(run):
            states[run] = {"state": "ended", "tip": tips[run]}
        elif run in tips and reader and any(not match.status.launched for match in query(reader, Filter(id=run))):
            states[run] = {"state": "dropped", "reason": f"it was taken out of the queue of {host}"}
        else:
            states[run] = {"state": "unknown", "reason": f"{host} has neither a process nor a result of it"}
    return states
