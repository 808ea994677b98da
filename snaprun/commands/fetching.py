"""What ``snaprun fetch`` does."""

from __future__ import annotations

from collections.abc import Sequence

import click

from snaprun import launchers, show
from snaprun.commands.terminal import here, stderr
from snaprun.context import Door
from snaprun.errors import NothingFound, UsageFault
from snaprun.git.gitrepo import GitRepo
from snaprun.lifecycle import contact, farfiles, settle
from snaprun.live import livefolder
from snaprun.live.livefolder import Live
from snaprun.reader import find


def fetch(selectors: Sequence[str], *, artifacts: bool, give_up: bool, quiet: bool) -> int:
    """Ask now; the error of the first machine that did not answer."""
    door = here()
    ids = [find(door, selector).id for selector in selectors] or [folder.id for folder in livefolder.scan(door.place)]
    going = [
        folder for run_id in ids if (folder := livefolder.find(door.place, run_id)) is not None and _elsewhere(folder)
    ]
    if give_up:
        return _give_up(door, going, named=bool(selectors))
    if not going and not selectors and not artifacts:
        raise NothingFound("no run is in progress on another machine", hint="snaprun exec NOTEBOOK --on HOST")
    troubles = contact.refresh(door.place, door.env, going, at_once=True)
    settle.settle(door.place, door.env)
    over = [folder.id for folder in going if not folder.path.exists()]
    if not quiet:
        for run_id in over:
            click.echo(show.ended(find(door, run_id), stderr()), err=True)
    if troubles:
        raise troubles[0].error
    if artifacts:
        repo = GitRepo(door.place)
        for run_id in ids if selectors else farfiles.known(door.place):
            for item in farfiles.copy(repo, door.env, run_id):
                if not quiet:
                    click.echo(f"{run_id[: show.ID_LENGTH]}  {item.path}  {show.size(item.size)}", err=True)
    return 0


def _give_up(door: Door, going: Sequence[Live], *, named: bool) -> int:
    if not named:
        raise UsageFault("which runs are to be given up?", hint="snaprun ps, then snaprun fetch --give-up RUN")
    if not going:
        raise NothingFound("these runs are not in progress on another machine", hint="snaprun ps")
    for folder in going:
        contact.give_up(folder)
    settle.settle(door.place, door.env)
    return 0


def _elsewhere(folder: Live) -> bool:
    told = launchers.noted(folder.path)
    return told is not None and told.asked
