"""The runs as a list, with the filters of ``history``. Nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from snaprun.context import Door
from snaprun.errors import DataFault, UsageFault
from snaprun.git import command
from snaprun.git.locate import clean_env
from snaprun.index import moments, runlist
from snaprun.index.runlist import Filter
from snaprun.model import Run, Status
from snaprun.reader import index

NARROWING = ("status", "notebook", "since", "name", "tag", "group", "commit", "where")
"""Options of ``history`` that leave runs out."""


def history(door: Door, wanted: Mapping[str, Any], *, now: float) -> list[Run]:
    """The runs that the options of ``history`` ask for.

    Raises:
        UsageFault: a status, a time or a condition makes no sense. DataFault: there is no such commit.
    """
    with index(door) as reader:
        return runlist.query(reader, _filter(door, wanted, now))


def narrow(wanted: Mapping[str, Any]) -> bool:
    """Whether the options leave runs out, so that an empty list means that nothing matched."""
    return any(wanted.get(name) for name in NARROWING)


def _filter(door: Door, wanted: Mapping[str, Any], now: float) -> Filter:
    sort = str(wanted.get("sort") or "")
    commit = _commit(door, wanted["commit"]) if wanted.get("commit") else None
    return Filter(
        limit=None if wanted.get("everything") else wanted.get("count"),
        status=frozenset(_status(name) for name in wanted.get("status") or ()),
        notebook=wanted.get("notebook"),
        since=moments.moment(wanted["since"], now=now) if wanted.get("since") else None,
        name=wanted.get("name"),
        tags=(wanted["tag"],) if wanted.get("tag") else (),
        group=wanted.get("group"),
        commit=commit,
        sources=_sources(door, commit) if commit else (),
        where=_language().compile(wanted["where"], now=now) if wanted.get("where") else None,
        sort=_language().order(sort.removeprefix("-")) if sort else None,
        ascending=bool(sort) and not sort.startswith("-"),
    )


def _language() -> Any:
    """The language of ``--where`` and ``--sort``, imported only where one of them is given."""
    from snaprun.index import where

    return where


def _status(name: str) -> Status:
    try:
        return Status(name)
    except ValueError as error:
        raise UsageFault(
            f"there is no status {name!r}", hint=f"--status {' or '.join(status.value for status in Status)}"
        ) from error


def _commit(door: Door, revision: str) -> str:
    """The commit that a revision names."""
    args = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    code, out, _ = command.call(args, cwd=door.place.top, env=clean_env(door.env))
    if code != 0:
        raise DataFault(f"there is no commit {revision}", hint="git log --oneline")
    return out.decode().strip()


def _sources(door: Door, commit: str) -> tuple[str, ...]:
    """The code hashes of the notebooks in a commit of the user's: runs of the same source belong to it."""
    from snaprun.hooks import gitindex, trailer  # only for --commit

    index = gitindex.Index(door.place, clean_env(door.env))
    return trailer.sources(index, commit, _halves)


def _halves() -> ModuleType:
    from snaprun.notebooks import halves  # jupytext: only where a commit has paired notebooks

    return halves
