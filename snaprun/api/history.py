"""The runs as a list, with the filters of ``history``. Nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from snaprun.context import Context
from snaprun.errors import DataFault, UsageFault
from snaprun.git import command
from snaprun.git.locate import clean_env
from snaprun.index import moments, runlist
from snaprun.index.runlist import Filter
from snaprun.model import Run, Status
from snaprun.reader import index

FILTER_OPTIONS = ("status", "notebook", "since", "name", "tag", "group", "commit", "where")
"""Options of ``history`` that leave runs out."""


def history(context: Context, options: Mapping[str, Any], *, now: float) -> list[Run]:
    """The runs that the options of ``history`` ask for.

    Raises:
        UsageFault: a status, a time or a condition makes no sense. DataFault: there is no such commit.
    """
    with index(context) as reader:
        return runlist.query(reader, _filter(context, options, now))


def is_filtered(options: Mapping[str, Any]) -> bool:
    """Whether the options leave runs out, so that an empty list means that nothing matched."""
    return any(options.get(name) for name in FILTER_OPTIONS)


def _filter(context: Context, options: Mapping[str, Any], now: float) -> Filter:
    sort = str(options.get("sort") or "")
    commit = _commit(context, options["commit"]) if options.get("commit") else None
    return Filter(
        limit=None if options.get("everything") else options.get("count"),
        status=frozenset(_status(name) for name in options.get("status") or ()),
        notebook=options.get("notebook"),
        since=moments.moment(options["since"], now=now) if options.get("since") else None,
        name=options.get("name"),
        tags=(options["tag"],) if options.get("tag") else (),
        group=options.get("group"),
        commit=commit,
        sources=_sources(context, commit) if commit else (),
        where=_language().compile(options["where"], now=now) if options.get("where") else None,
        sort=_language().order(sort.removeprefix("-")) if sort else None,
        ascending=bool(sort) and not sort.startswith("-"),
    )


def _language() -> Any:
    """The language of ``--where`` and ``--sort``, imported only where one of them is given."""
    from snaprun.index import where  # only where one of them is given

    return where


def _status(name: str) -> Status:
    try:
        return Status(name)
    except ValueError as error:
        raise UsageFault(
            f"there is no status {name!r}", hint=f"--status {' or '.join(status.value for status in Status)}"
        ) from error


def _commit(context: Context, revision: str) -> str:
    """The commit that a revision names."""
    args = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    code, out, _ = command.call(args, cwd=context.place.top, env=clean_env(context.env))
    if code != 0:
        raise DataFault(f"there is no commit {revision}", hint="git log --oneline")
    return out.decode().strip()


def _sources(context: Context, commit: str) -> tuple[str, ...]:
    """The code hashes of the notebooks in a commit of the user's: runs of the same source belong to it."""
    from snaprun.hooks import gitindex, trailer  # only for --commit

    index = gitindex.Index(context.place, clean_env(context.env))
    return trailer.sources(index, commit, _halves)


def _halves() -> ModuleType:
    from snaprun.notebooks import halves  # jupytext: only where a commit has paired notebooks

    return halves
