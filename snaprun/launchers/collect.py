"""Bring the results of runs on other machines home: fetch them, record them, and let their live folders go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from snaprun import records
from snaprun.errors import DataFault, SnaprunError
from snaprun.git import sync
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import Place
from snaprun.index import reindex
from snaprun.launchers import farfiles
from snaprun.launchers.placement import read_placement
from snaprun.live import livefolder
from snaprun.live.livefolder import Live
from snaprun.live.order import read_order
from snaprun.model import RUN_REF, Run
from snaprun.records import DamagedRun


def collect(place: Place, url: str, folders: Sequence[Live], *, env: Mapping[str, str]) -> None:
    """Fetch the results of these runs in one go; ``env`` says how git reaches the ``url``.

    However many runs they are, git is called a dozen times and the index written once. Safe to repeat: what a killed
    process began, the next one finishes.

    Raises:
        SnaprunError: the machine cannot be reached, or what came for a run is no result; the live folders of runs
            without a result stay.
    """
    repo = GitRepo(place)
    fault: SnaprunError | None = None
    open_folders = _open_folders(repo, folders)
    if open_folders:
        try:
            sync.fetch(repo, url, [folder.id for folder in open_folders], env=env)
        except DataFault as error:  # some have arrived
            fault = error
    open_ids = {folder.id for folder in _open_folders(repo, folders)}
    complete_folders = {folder.id: folder for folder in folders if folder.id not in open_ids}
    tips = _tips(repo)
    runs = []
    for run in records.read_runs(repo, {run: tips[run] for run in complete_folders}):
        if isinstance(run, DamagedRun):
            fault = DataFault(f"the result of run {run.id[:8]} is damaged: {run.reason}", hint=f"git show {run.commit}")
            complete_folders.pop(run.id)
        else:
            runs.append(run)
    if runs:
        _record(repo, runs, folders[0])
    placements = {
        run: placement
        for run, folder in complete_folders.items()
        if (placement := read_placement(folder.path)) is not None
    }
    farfiles.remember(repo, {run: tips[run] for run in placements}, placements)
    for folder in complete_folders.values():
        livefolder.remove(folder)
    if fault is not None:
        raise fault


def _open_folders(repo: GitRepo, folders: Sequence[Live]) -> list[Live]:
    """Those of these runs whose ref stands at the snapshot still, or at the result of the attempt before."""
    tips = _tips(repo)
    return [folder for folder in folders if tips.get(folder.id) in (None, folder.id, _previous_result(folder))]


def _tips(repo: GitRepo) -> dict[str, str]:
    return {ref.removeprefix(RUN_REF): tip for ref, tip in repo.refs(RUN_REF).items()}


def _record(repo: GitRepo, runs: Sequence[Run], folder: Live) -> None:
    """Write runs to the index that one of them names; all runs of a repository have the same."""
    try:
        url = read_order(folder.path).index_url
    except (OSError, ValueError):
        url = None
    reindex.record(repo, url, *runs)


def _previous_result(folder: Live) -> str | None:
    """The result of the attempt before this one, if there was one."""
    try:
        return read_order(folder.path).after
    except (OSError, ValueError):
        return None
