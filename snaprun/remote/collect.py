"""Bring the results of runs on other machines home: fetch them, record them, and let their live folders go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from snaprun import launchers
from snaprun.checkouts import result
from snaprun.git import sync
from snaprun.git.gitrepo import GitRepo
from snaprun.git.locate import Place
from snaprun.index import record
from snaprun.progress import live
from snaprun.progress.live import Live
from snaprun.progress.order import read_order
from snaprun.remote import elsewhere
from snaprun.running import finish


def collect(place: Place, url: str, folders: Sequence[Live], *, env: Mapping[str, str]) -> None:
    """Fetch the results of these runs in one go; ``env`` says how git reaches the ``url``.

    Safe to repeat: what a killed process began, the next one finishes.

    Raises:
        SnaprunError: the machine cannot be reached, or what came is no result; the live folders stay.
    """
    repo = GitRepo(place)
    wanted = [folder.id for folder in folders if result.finished(repo, folder.id) in (None, _before(folder))]
    if wanted:
        sync.fetch(repo, url, wanted, env=env)
    for folder in folders:
        run = record.read_run(repo, folder.id)
        finish.index(repo, _index_url(folder), run)
        told = launchers.noted(folder.path)
        if told is not None:
            elsewhere.remember(repo, folder.id, told)
        live.remove(folder)


def _before(folder: Live) -> str | None:
    """The result of the attempt before this one, if there was one."""
    try:
        return read_order(folder.path).after
    except (OSError, ValueError):
        return None


def _index_url(folder: Live) -> str | None:
    try:
        return read_order(folder.path).index_url
    except (OSError, ValueError):
        return None
