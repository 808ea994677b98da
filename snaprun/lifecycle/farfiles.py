"""Large files that a run has left in the artifact store of another machine: remember where, and copy them here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from snaprun import launchers, records
from snaprun.errors import DataFault, NothingFound, WriteFault
from snaprun.files import read_json, write_json
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import Place
from snaprun.launchers import Site, Submitted
from snaprun.model import Artifact, Result

FOLDER = "elsewhere"
"""Below the state folder: by run, which launcher has its large files, and under which handle."""


def remember(repo: GitRepo, ended: Mapping[str, str], told: Mapping[str, Submitted]) -> None:
    """Note where the large files of runs are, as far as they are not here. ``ended`` has the result commit of each run.

    Raises:
        OSError: it cannot be noted. DataFault: a result is damaged.
    """
    folder = repo.place.state / FOLDER
    for run, result in zip(ended, records.read_results(repo, ended.values()), strict=True):
        if _lacking(repo, result):
            folder.mkdir(mode=0o700, exist_ok=True)
            write_json(folder / f"{run}.json", {"launcher": told[run].launcher, "handle": told[run].handle})


def known(place: Place) -> list[str]:
    """The runs that have large files elsewhere."""
    return sorted(path.stem for path in (place.state / FOLDER).glob("*.json"))


def copy(repo: GitRepo, env: Mapping[str, str], run: str) -> Iterator[Artifact]:
    """Copy the large files of a run into the artifact store here, each told when it is whole; a copy that was cut goes
    on where it ended.

    Raises:
        NothingFound: nothing of it is elsewhere. DataFault: a file is gone or damaged there. WriteFault: no space.
    """
    note = repo.place.state / FOLDER / f"{run}.json"
    try:
        told = read_json(note)
    except FileNotFoundError as error:
        text = f"run {run[:8]} has left no file on another machine"
        raise NothingFound(text, hint=f"snaprun show {run[:8]}") from error
    far = launchers.distant(launchers.launcher(str(told["launcher"])))
    store = repo.place.state / "artifacts"
    for item in _missing(repo, run):
        half = store / f".{item.sha256}.arriving"
        try:
            store.mkdir(mode=0o700, exist_ok=True)
            there = far is not None and far.artifact(Site(repo.place, env), str(told["handle"]), item.sha256, half)
            whole = there and _sha256(half) == item.sha256
            if whole:
                os.replace(half, store / item.sha256)
        except OSError as error:
            raise WriteFault(f"cannot keep {item.path}: {error.strerror}", hint="df -h") from error
        if not whole:
            with suppress(FileNotFoundError):
                half.unlink()
            why = "is damaged" if there else "is gone"
            raise DataFault(f"{item.path} of run {run[:8]} {why} over there", hint=f"snaprun rerun {run[:8]}")
        yield item
    note.unlink(missing_ok=True)


def _missing(repo: GitRepo, run: str) -> list[Artifact]:
    result = records.read_result(repo, run)
    return _lacking(repo, result) if result else []


def _lacking(repo: GitRepo, result: Result) -> list[Artifact]:
    """The large files of a run that are not here."""
    store = repo.place.state / "artifacts"
    stored = [item for item in result.artifacts if item.stored == "store"]
    return [item for item in stored if not (store / item.sha256).exists()]


def _sha256(path: Path) -> str:
    made = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            made.update(piece)
    return made.hexdigest()
