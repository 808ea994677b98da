"""Look at runs that came from another machine: how they stand, what is new of them; and stop them."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from snaprun.errors import DataFault
from snaprun.git.locate import Place
from snaprun.progress import live, stopping
from snaprun.progress.live import GROWING
from snaprun.remote import farplace
from snaprun.remote.far import Answer
from snaprun.running import settle

PIECE = 4 << 20
"""Bytes of one file that one answer holds at most; whoever wants more asks again."""


def news(ask: Mapping[str, Any]) -> Answer:
    """How runs stand, and what is new in their live folders; ``runs`` holds the bytes known by run and file."""
    place = farplace.found(Path(ask["path"]), os.environ)
    settle.settle(place, os.environ)
    about: dict[str, Any] = {}
    pieces: list[bytes] = []
    for run, known in ask["runs"].items():
        folder = live.find(place, run)
        sizes: list[tuple[str, int]] = []
        if folder is not None:
            for name, data in _grown(folder.path, known):
                sizes.append((name, len(data)))
                pieces.append(data)
            about[run] = {"state": "running", "files": sizes}
        else:
            about[run] = {**_over(place, run), "files": sizes}
    return {"host": socket.gethostname(), "repository": os.fspath(place.git_dir), "runs": about}, pieces


def stop(ask: Mapping[str, Any]) -> Answer:
    """Ask a run that it ends."""
    place = farplace.found(Path(ask["path"]), os.environ)
    folder = live.find(place, str(ask["run"]))
    if folder is None:
        return {"stopping": False}, []
    asked = stopping.request(folder, int(ask["signal"]), grace=ask.get("grace"), kill=bool(ask.get("kill")))
    if not asked:
        settle.settle(place, os.environ)
    return {"stopping": asked}, []


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


def _over(place: Place, run: str) -> dict[str, Any]:
    """How a run without a live folder stands: its result commit decides. Git's module is imported only for that."""
    repo = import_module("snaprun.git.gitrepo").GitRepo(place)
    try:
        tip = import_module("snaprun.checkouts.result").finished(repo, run)
    except DataFault as error:
        return {"state": "unknown", "reason": error.message}
    if tip is None:
        return {"state": "unknown", "reason": f"{socket.gethostname()} has neither a process nor a result of it"}
    return {"state": "ended", "tip": tip}
