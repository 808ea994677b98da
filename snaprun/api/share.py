"""Bring home what runs on other machines have made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from snaprun.context import Context
from snaprun.errors import NothingFound, UsageFault
from snaprun.git.gitrepo import GitRepo
from snaprun.launchers import contact, farfiles
from snaprun.launchers.placement import read_placement
from snaprun.lifecycle import settle
from snaprun.live import livefolder
from snaprun.live.livefolder import Live
from snaprun.model import Artifact, Run
from snaprun.reader import find


def fetch(
    context: Context,
    selectors: Sequence[str] = (),
    *,
    artifacts: bool = False,
    on_end: Callable[[Run], None] | None = None,
    on_artifact: Callable[[str, Artifact], None] | None = None,
) -> None:
    """Ask the machines of these runs, by default of all in progress, and fetch the results that are there.

    With ``artifacts`` also the large files that they left there. ``on_end`` is called with each run that has ended by
    now, ``on_artifact`` with a run's id and each file of it that has come whole.

    Raises:
        DataFault: there is no such run, or a file is gone or damaged there. WriteFault: no space.
        NothingFound: no run is in progress on another machine, or nothing of it is there.
        SnaprunError: what stood against the first machine that did not answer, after all were asked.
    """
    ids = _find_ids(context, selectors)
    folders = _far_folders(context, ids)
    if not folders and not selectors and not artifacts:
        raise NothingFound("no run is in progress on another machine", hint="snaprun exec NOTEBOOK --on HOST")
    troubles = contact.refresh(context.place, context.env, folders, at_once=True)
    settle.settle(context.place, context.env)
    if on_end is not None:
        for run_id in [folder.id for folder in folders if not folder.path.exists()]:
            on_end(find(context, run_id))
    if troubles:
        raise troubles[0].error
    if artifacts:
        repo = GitRepo(context.place)
        for run_id in ids if selectors else farfiles.list_runs(context.place):
            for item in farfiles.copy(repo, context.env, run_id):
                if on_artifact is not None:
                    on_artifact(run_id, item)


def give_up(context: Context, selectors: Sequence[str]) -> None:
    """Take runs on other machines for lost, which will not come back.

    Raises:
        DataFault: there is no such run. UsageFault: none is named. NothingFound: none is in progress elsewhere.
    """
    folders = _far_folders(context, _find_ids(context, selectors))
    if not selectors:
        raise UsageFault("which runs are to be given up?", hint="snaprun ps, then snaprun fetch --give-up RUN")
    if not folders:
        raise NothingFound("these runs are not in progress on another machine", hint="snaprun ps")
    for folder in folders:
        contact.give_up(folder)
    settle.settle(context.place, context.env)


def _find_ids(context: Context, selectors: Sequence[str]) -> list[str]:
    """The ids that selectors name; without any, those of all runs in progress."""
    if selectors:
        return [find(context, selector).id for selector in selectors]
    return [folder.id for folder in livefolder.scan(context.place)]


def _far_folders(context: Context, ids: Sequence[str]) -> list[Live]:
    """The live folders of those of the runs that are in progress on another machine."""
    folders = [livefolder.find(context.place, run_id) for run_id in ids]
    return [folder for folder in folders if folder is not None and _is_elsewhere(folder)]


def _is_elsewhere(folder: Live) -> bool:
    placement = read_placement(folder.path)
    return placement is not None and placement.needs_poll
