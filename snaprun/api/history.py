"""List runs: what ``history`` shows, and which runs the other verbs take. Nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from snaprun.context import Context
from snaprun.errors import DataFault, UsageFault
from snaprun.git import command
from snaprun.git.locate import clean_env
from snaprun.index import moments, runlist
from snaprun.index.runlist import Filter
from snaprun.model import Run
from snaprun.reader import index
from snaprun.statuses import Status

if TYPE_CHECKING:  # a listing without --where and --sort never loads their parser
    from snaprun.index.where import Condition, SortKey


@dataclass(frozen=True, eq=False, repr=False)  # half of a millisecond less for every command that lists
class HistoryOptions:
    """Which runs to list, and in which order; without any, all of them, the newest first.

    ``status`` are names of statuses, one of which a run must have. ``notebook`` is a path from the top of the
    repository or the end of one, ``name`` a run's name; both may hold ``*`` and ``?``. ``since`` is a length of time
    up to now (``2h``, ``3d``, ``1w``) or a date. ``group`` is the id of a sweep. ``commit`` is a revision of the user's
    that a run belongs to, or the id of a run. ``where`` is a condition (``lr < 0.1 and status == "failed"``), ``sort``
    a field, a parameter or a metric, ``-`` before it for the largest first. ``count`` is how many runs at most.
    """

    status: Sequence[str] = ()
    notebook: str | None = None
    since: str | None = None
    name: str | None = None
    tag: str | None = None
    group: str | None = None
    commit: str | None = None
    where: str | None = None
    sort: str | None = None
    count: int | None = None

    @property
    def is_filtered(self) -> bool:
        """Whether runs are left out by what they are, so that an empty list means that nothing matched."""
        return bool(
            self.status
            or self.notebook
            or self.since
            or self.name
            or self.tag
            or self.group
            or self.commit
            or self.where
        )


def history(context: Context, options: HistoryOptions, *, now: float) -> list[Run]:
    """The runs that the options ask for; ``now`` is the time in seconds since 1970, from which ``since`` counts back.

    Raises:
        UsageFault: a status, a time or a condition makes no sense. DataFault: there is no such commit.
    """
    with index(context) as reader:
        return runlist.query(reader, _filter(context, options, now))


def _filter(context: Context, options: HistoryOptions, now: float) -> Filter:
    commit = _commit(context, options.commit) if options.commit else None
    return Filter(
        limit=options.count,
        status=frozenset(_status(name) for name in options.status),
        notebook=options.notebook,
        since=moments.moment(options.since, now=now) if options.since else None,
        name=options.name,
        tags=(options.tag,) if options.tag else (),
        group=options.group,
        commit=commit,
        sources=_sources(context, commit) if commit else (),
        where=_condition(options.where, now) if options.where else None,
        sort=_order(options.sort.removeprefix("-")) if options.sort else None,
        ascending=bool(options.sort) and not str(options.sort).startswith("-"),
    )


def _condition(text: str, now: float) -> Condition:
    from snaprun.index import where  # its parser: only where there is a condition

    return where.compile(text, now=now)


def _order(key: str) -> SortKey:
    from snaprun.index import where  # its parser: only where an order is asked for

    return where.order(key)


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
