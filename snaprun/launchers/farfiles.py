"""Remember which large files runs have left in the artifact stores of other machines, and copy them here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from snaprun import files, launchers, records
from snaprun.errors import DataFault, NothingFound, os_fault
from snaprun.files import read_json, write_json
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import Place
from snaprun.launchers import Site
from snaprun.launchers.placement import Placement
from snaprun.model import Artifact, Result

FOLDER = "elsewhere"
"""Below the state folder: by run, which launcher has its large files, and under which handle."""


def remember(repo: GitRepo, tips: Mapping[str, str], placements: Mapping[str, Placement]) -> None:
    """Note where the large files of runs are, as far as they are not here. ``tips`` has the result commit of each run.

    Raises:
        OSError: it cannot be noted. DataFault: a result is damaged.
    """
    folder = repo.place.state / FOLDER
    for run, result in zip(tips, records.read_results(repo, tips.values()), strict=True):
        if _missing_of_result(repo, result):
            folder.mkdir(mode=0o700, exist_ok=True)
            write_json(folder / f"{run}.json", {"launcher": placements[run].launcher, "handle": placements[run].handle})


def list_runs(place: Place) -> list[str]:
    """The runs that have large files elsewhere."""
    return sorted(path.stem for path in (place.state / FOLDER).glob("*.json"))


def copy(repo: GitRepo, env: Mapping[str, str], run: str) -> Iterator[Artifact]:
    """Copy the large files of a run into the artifact store here, each told when it is whole; a copy that was cut goes
    on where it ended.

    Raises:
        NothingFound: nothing of it is elsewhere. DataFault: a file is gone or damaged there. WriteFault: no space.
    """
    note_path = repo.place.state / FOLDER / f"{run}.json"
    try:
        placement = read_json(note_path)
    except FileNotFoundError as error:
        text = f"run {run[:8]} has left no file on another machine"
        raise NothingFound(text, hint=f"snaprun show {run[:8]}") from error
    launcher = launchers.as_remote(launchers.launcher(str(placement["launcher"])))
    store = repo.place.state / "artifacts"
    for item in _missing_of_run(repo, run):
        draft = store / f".{item.sha256}.arriving"
        try:
            store.mkdir(mode=0o700, exist_ok=True)
            exists = launcher is not None and launcher.artifact(
                Site(repo.place, env), str(placement["handle"]), item.sha256, draft
            )
            is_intact = exists and _sha256(draft) == item.sha256
            if is_intact:
                with draft.open("rb") as file:
                    files.publish(file, store / item.sha256)
                files.sync_folder(store)
        except OSError as error:
            raise os_fault(error, f"cannot keep {item.path}", store) from error
        if not is_intact:
            with suppress(FileNotFoundError):
                draft.unlink()
            reason = "is damaged" if exists else "is gone"
            raise DataFault(f"{item.path} of run {run[:8]} {reason} over there", hint=f"snaprun rerun {run[:8]}")
        yield item
    note_path.unlink(missing_ok=True)


def _missing_of_run(repo: GitRepo, run: str) -> list[Artifact]:
    result = records.read_result(repo, run)
    return _missing_of_result(repo, result) if result else []


def _missing_of_result(repo: GitRepo, result: Result) -> list[Artifact]:
    """The large files of a run that are not here."""
    store = repo.place.state / "artifacts"
    artifacts = [item for item in result.artifacts if item.stored == "store"]
    return [item for item in artifacts if not (store / item.sha256).exists()]


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
