"""What ``snaprun fetch`` does."""

from __future__ import annotations

from collections.abc import Sequence

import click

from snaprun import launchers, show
from snaprun.commands.terminal import load_context, stderr
from snaprun.context import Context
from snaprun.errors import NothingFound, UsageFault
from snaprun.git.gitrepo import GitRepo
from snaprun.launchers import contact, farfiles
from snaprun.lifecycle import settle
from snaprun.live import livefolder
from snaprun.live.livefolder import Live
from snaprun.model import short_id
from snaprun.quantities import format_size
from snaprun.reader import find


def fetch(selectors: Sequence[str], *, artifacts: bool, give_up: bool, quiet: bool) -> int:
    """Ask now; the error of the first machine that did not answer."""
    context = load_context()
    ids = [find(context, selector).id for selector in selectors] or [
        folder.id for folder in livefolder.scan(context.place)
    ]
    folders = [
        folder
        for run_id in ids
        if (folder := livefolder.find(context.place, run_id)) is not None and _is_elsewhere(folder)
    ]
    if give_up:
        return _give_up(context, folders, has_selectors=bool(selectors))
    if not folders and not selectors and not artifacts:
        raise NothingFound("no run is in progress on another machine", hint="snaprun exec NOTEBOOK --on HOST")
    troubles = contact.refresh(context.place, context.env, folders, at_once=True)
    settle.settle(context.place, context.env)
    past_ids = [folder.id for folder in folders if not folder.path.exists()]
    if not quiet:
        for run_id in past_ids:
            click.echo(show.end_line(find(context, run_id), stderr()), err=True)
    if troubles:
        raise troubles[0].error
    if artifacts:
        repo = GitRepo(context.place)
        for run_id in ids if selectors else farfiles.list_runs(context.place):
            for item in farfiles.copy(repo, context.env, run_id):
                if not quiet:
                    click.echo(f"{short_id(run_id)}  {item.path}  {format_size(item.size)}", err=True)
    return 0


def _give_up(context: Context, folders: Sequence[Live], *, has_selectors: bool) -> int:
    if not has_selectors:
        raise UsageFault("which runs are to be given up?", hint="snaprun ps, then snaprun fetch --give-up RUN")
    if not folders:
        raise NothingFound("these runs are not in progress on another machine", hint="snaprun ps")
    for folder in folders:
        contact.give_up(folder)
    settle.settle(context.place, context.env)
    return 0


def _is_elsewhere(folder: Live) -> bool:
    record = launchers.read_placement(folder.path)
    return record is not None and record.needs_poll
