"""Look at one run: everything that is known of it, and what it has printed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from snaprun import records
from snaprun.api.attend import follow
from snaprun.context import Context
from snaprun.errors import UsageFault
from snaprun.git.gitrepo import GitRepo
from snaprun.lifecycle.logs import Log, last_lines, read_cell
from snaprun.model import SNAP_DIR, Details, Run, parse_document
from snaprun.reader import find

__all__ = ["details", "find", "logs"]


def details(context: Context, selector: str) -> Details:
    """Everything of one run. Raises DataFault as :func:`find` does, and where what is stored is damaged."""
    run = find(context, selector)
    repo = GitRepo(context.place)
    return Details(
        run=run,
        spec=records.read_spec(repo, run.id),
        result=records.read_result(repo, run.id),
        environment=_environment(repo, run),
    )


def logs(
    context: Context,
    selector: str,
    *,
    until_end: bool = False,
    tail: int | None = None,
    cell: int | None = None,
    with_times: bool = False,
) -> Iterator[bytes]:
    """What a run has printed, byte for byte, in pieces; ``tail`` is how many of its last lines to begin with.

    With ``cell`` only what that code cell has printed, by its number; with ``with_times`` each line begins with the
    time of its arrival. With ``until_end`` it goes on until the run ends, and a piece comes at least every second,
    empty where there is nothing new.

    Raises:
        DataFault: there is no such run or cell, or the run never started. Unavailable: no times were recorded.
        UsageFault: ``cell`` goes with neither ``until_end`` nor ``with_times``.
    """
    run = find(context, selector)
    repo = GitRepo(context.place)
    if cell is not None:
        if until_end or with_times:
            raise UsageFault("--cell goes with neither -f nor --timestamps", hint=f"snaprun logs --cell {cell}")
        text = read_cell(repo, run, cell)
        yield text if tail is None else last_lines(iter([text]), tail)
        return
    log = Log(repo, run, with_times=with_times)
    if tail is None:
        yield from log.pieces()
    else:
        yield last_lines(log.pieces(), tail)
    if until_end and not run.status.over:
        for update in follow(context, run.id, offset=log.offset):
            yield log.render(update.log)


def _environment(repo: GitRepo, run: Run) -> dict[str, Any]:
    raw = repo.blob(run.commit, f"{SNAP_DIR}/environment.json")
    return dict(parse_document(raw)) if raw else {}
