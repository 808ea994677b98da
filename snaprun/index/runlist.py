"""Query the runs of the index by the standard sqlite3 and nothing heavy, so that ``snaprun history`` starts at once.

Where the index is another database, the same query text goes through the reader that ``store.py`` hands over.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from snaprun.errors import Busy, DataFault, Denied, SettingsFault, SnaprunError, WriteFault, os_fault
from snaprun.index.rows import like, plain
from snaprun.model import INDEX_VERSION, RUN_FIELDS, Cell, Metric, Run
from snaprun.statuses import Status

if TYPE_CHECKING:  # a listing without --where and --sort never loads their parser
    from snaprun.index.where import Condition, SortKey

INDEX_NAME = "index.sqlite3"
"""The index file in the state folder."""

BUSY_SECONDS = 30
"""How long a statement waits for another process's transaction."""

CHUNK = 500
"""Runs whose params, metrics and tags are read at a time: SQLite before 3.32 takes no more than 999 values."""

FIELDS = tuple(item.name for item in RUN_FIELDS if item.is_column)
"""The columns of ``runs`` that make a :class:`Run`, each under the name of its field."""

COLUMNS = ", ".join(f'r."{name}"' for name in FIELDS)

_DECODERS: Mapping[str, Callable[[Any], Any]] = {"status": Status, "flag": bool}
"""How a kind of field is read back that the index does not store as it is."""

_DECODED = tuple((item.name, _DECODERS[item.kind]) for item in RUN_FIELDS if item.kind in _DECODERS)


class IndexGap(DataFault):
    """The index must be rebuilt before it can answer: it is ``missing``, ``older``, ``unbuilt`` or ``damaged``."""

    def __init__(self, reason: str, path: str) -> None:
        super().__init__(f"the index {path} is {reason}", hint="snaprun reindex")
        self.reason = reason


class Reader(Protocol):
    """An index that answers the queries about one repository."""

    @property
    def repo(self) -> str:
        """The key of the repository in the index."""

    def rows(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Every row that ``sql`` gives, its ``:name`` marks bound to ``values``."""

    def steady(self) -> AbstractContextManager[None]:
        """A stretch in which all queries see the same state of the index."""


@dataclass(frozen=True, eq=False, repr=False)  # half of a millisecond less for every command that lists
class Filter:
    """Which runs to list, and in which order. An empty filter lists all, newest first.

    ``id`` is a full id, ``exact_name`` the very name; ``notebook`` and ``name`` may hold ``*`` and ``?``. ``commit`` is
    an object id, or at least 4 digits of it: the run's own, its result's, or the user's HEAD. ``since`` is a UTC time
    as ``moments.moment`` gives it; ``where.compile`` and ``where.order`` make ``where`` and ``sort``. ``sources`` are
    code hashes of which a run may have one instead of belonging to ``commit``. ``limit`` and ``offset`` count runs in
    the order asked for.
    """

    limit: int | None = None
    offset: int = 0
    id: str | None = None
    exact_name: str | None = None
    status: frozenset[Status] = frozenset()
    notebook: str | None = None
    since: str | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    commit: str | None = None
    sources: tuple[str, ...] = ()
    group: str | None = None
    code_hash: str | None = None
    where: Condition | None = None
    sort: SortKey | None = None
    ascending: bool = False


class SqliteReader:
    """The index file, opened for reading. Close it, or use it in a ``with``."""

    def __init__(self, path: Path, repo: str, connection: sqlite3.Connection) -> None:
        self.path = path
        self.repo = repo
        self.connection = connection

    def rows(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Every row that ``sql`` gives, its ``:name`` marks bound to ``values``."""
        with faults(self.path):
            return self.connection.execute(sql, plain_values(values)).fetchall()

    @contextmanager
    def steady(self) -> Iterator[None]:
        """A stretch in which all queries see the same state of the index."""
        with faults(self.path):
            self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.rollback()

    def close(self) -> None:
        """Let the file go."""
        self.connection.close()

    def __enter__(self) -> SqliteReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` as every database takes them; the index spells odd text the same way, so that it is found."""
    return {name: plain(value) if isinstance(value, str) else value for name, value in values.items()}


def sqlite_path(state: Path, url: str | None) -> Path | None:
    """The index's file, or None where ``url`` names another kind of database. No URL: the file in the state folder."""
    if not url:
        return state / INDEX_NAME
    if not url.startswith("sqlite"):
        return None
    _, mark, location = url.partition(":///")
    if not mark or not location or location.startswith((":memory:", "file:")):
        raise SettingsFault(f"the index cannot be {url!r}", hint="index-url = sqlite:////absolute/path.sqlite3")
    return state / os.path.expanduser(location.partition("?")[0])


def repo_key(state: Path) -> str | None:
    """The key under which this repository stands in the index, or None where none was made yet."""
    try:
        return (state / "repo").read_text("ascii").strip() or None
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return None
    except PermissionError as error:
        raise os_fault(error, f"cannot read {state / 'repo'}", state) from error


def connect(state: Path, url: str | None = None) -> SqliteReader:
    """Open the SQLite index of the repository whose state folder is ``state``.

    Raises:
        IndexGap: it is missing, older than this snaprun, never filled from the refs, or damaged: rebuild it.
        SettingsFault: a newer snaprun wrote it, or ``url`` is of another database (then ask ``store.open_store``).
    """
    path = sqlite_path(state, url)
    if path is None:
        raise SettingsFault("the index is not an SQLite file", hint="snaprun config")
    repo = repo_key(state)
    if repo is None or not path.exists():
        raise IndexGap("missing", str(path))
    with faults(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None
        )
    reader = SqliteReader(path, repo, connection)
    try:
        check(reader)
    except BaseException:
        reader.close()
        raise
    return reader


def check(reader: SqliteReader) -> None:
    """Make sure that the file is of this snaprun's version and complete for this repository."""
    version = reader.rows("PRAGMA user_version", {})[0][0]
    if version > INDEX_VERSION:
        raise newer_version_error(str(reader.path))
    if version < INDEX_VERSION:
        raise IndexGap("older", str(reader.path))
    if not reader.rows("SELECT 1 FROM repos WHERE repo = :repo AND built IS NOT NULL", {"repo": reader.repo}):
        raise IndexGap("unbuilt", str(reader.path))


def newer_version_error(path: str) -> SettingsFault:
    """The refusal of an index that a later version wrote."""
    return SettingsFault(
        f"the index {path} was written by a newer snaprun",
        hint="pip install --upgrade snaprun, or set another index-url",
    )


def query(reader: Reader, run_filter: Filter, *, cells: bool = False) -> list[Run]:
    """The runs that pass ``run_filter``, newest first unless it says otherwise; ``cells`` also reads their cells."""
    values: dict[str, Any] = {"repo": reader.repo}
    conditions = _conditions(run_filter, values)
    order = _order(run_filter, values)
    sql = f"SELECT r.key, {COLUMNS} FROM runs r WHERE {' AND '.join(conditions)} ORDER BY {order}"
    if run_filter.limit is not None:
        sql += " LIMIT :limit OFFSET :offset"
        values.update(limit=max(run_filter.limit, 0), offset=run_filter.offset)
    with reader.steady():
        return _with_children(reader, reader.rows(sql, values), cells=cells)


def count(reader: Reader, run_filter: Filter) -> int:
    """How many runs pass ``run_filter``, its limit left aside."""
    values: dict[str, Any] = {"repo": reader.repo}
    conditions = _conditions(run_filter, values)
    return int(reader.rows(f"SELECT count(*) FROM runs r WHERE {' AND '.join(conditions)}", values)[0][0])


def names(reader: Reader, table: str) -> list[str]:
    """Every name that a run of this repository has in ``table``: ``params``, ``metrics`` or ``tags``."""
    column = {"params": "name", "metrics": "name", "tags": "tag"}[table]
    sql = f"SELECT DISTINCT c.{column} FROM {table} c JOIN runs r ON r.key = c.run WHERE r.repo = :repo ORDER BY 1"
    return [row[0] for row in reader.rows(sql, {"repo": reader.repo})]


def _conditions(run_filter: Filter, values: dict[str, Any]) -> list[str]:
    """The parts of the WHERE; what the user gave goes into ``values``."""
    conditions = ["r.repo = :repo"]
    if run_filter.status:
        marks = _bind(values, "status", sorted(status.value for status in run_filter.status))
        conditions.append(f"r.status IN ({marks})")
    if run_filter.notebook is not None:
        conditions.append(_path(values, run_filter.notebook))
    if run_filter.since is not None:
        conditions.append("r.created >= :since")
        values["since"] = run_filter.since
    if run_filter.name is not None:
        conditions.append(_like(values, "name", run_filter.name))
    for number, tag in enumerate(run_filter.tags):
        conditions.append(f"EXISTS (SELECT 1 FROM tags t WHERE t.run = r.key AND t.tag = :tag{number})")
        values[f"tag{number}"] = tag
    if run_filter.commit is not None:
        values["commit"], values["commit_end"] = run_filter.commit, run_filter.commit + "g"
        sides = (f'(r."{name}" >= :commit AND r."{name}" < :commit_end)' for name in ("id", "commit", "parent"))
        source = f"r.code_hash IN ({_bind(values, 'source', run_filter.sources)})" if run_filter.sources else "0 = 1"
        conditions.append(f"({' OR '.join([*sides, source])})")
    for column, value in _exact_columns(run_filter).items():
        if value is not None:
            conditions.append(f'r."{column}" = :is_{column}')
            values[f"is_{column}"] = value
    if run_filter.where is not None:
        conditions.append(f"({run_filter.where.sql})")
        values.update(run_filter.where.values)
    return conditions


def _exact_columns(run_filter: Filter) -> Mapping[str, str | None]:
    """The columns that must hold the very value."""
    return {
        "id": run_filter.id,
        "name": run_filter.exact_name,
        "group": run_filter.group,
        "code_hash": run_filter.code_hash,
    }


def _order(run_filter: Filter, values: dict[str, Any]) -> str:
    """The ORDER BY: what was asked for, then newest first; runs without the value come last."""
    direction = "ASC" if run_filter.ascending else "DESC"
    if run_filter.sort is None:
        return f"r.created {direction}, r.id {direction}"
    values.update(run_filter.sort.values)
    parts = [
        part
        for key in run_filter.sort.keys
        for part in (f"CASE WHEN {key} IS NULL THEN 1 ELSE 0 END", f"{key} {direction}")
    ]
    return ", ".join([*parts, "r.created DESC", "r.id DESC"])


def _path(values: dict[str, Any], notebook: str) -> str:
    """A notebook by its path from the top, or by the end of it."""
    return f"({_like(values, 'notebook', notebook)} OR {_like(values, 'notebook', '*/' + notebook, 'tail')})"


def _like(values: dict[str, Any], column: str, pattern: str, mark: str = "") -> str:
    """``column`` equals ``pattern``, or matches it where it holds ``*`` or ``?``."""
    key = f"{column}{mark}"
    if "*" not in pattern and "?" not in pattern:
        values[key] = pattern
        return f'r."{column}" = :{key}'
    values[key] = like(pattern).replace("*", "%").replace("?", "_")
    return f"r.\"{column}\" LIKE :{key} ESCAPE '!'"


def _bind(values: dict[str, Any], stem: str, items: Sequence[Any]) -> str:
    """Bind every item, and return their marks for an IN."""
    for number, item in enumerate(items):
        values[f"{stem}{number}"] = item
    return ", ".join(f":{stem}{number}" for number in range(len(items)))


def _with_children(reader: Reader, rows: Sequence[tuple[Any, ...]], *, cells: bool) -> list[Run]:
    """The runs of these rows with what belongs to them, in the same order."""
    runs = []
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        values: dict[str, Any] = {}
        marks = _bind(values, "k", [row[0] for row in part])
        params = _group_children(reader, "name, value", "params", marks, values)
        metrics = _group_children(reader, 'name, "last", "min", "max", steps', "metrics", marks, values)
        tags = _group_children(reader, "tag", "tags", marks, values)
        cells_by_run = (
            _group_children(reader, "number, label, state, seconds, cell_id", "cells", marks, values) if cells else {}
        )
        for row in part:
            key = row[0]
            runs.append(
                _run(row[1:], params.get(key, ()), metrics.get(key, ()), tags.get(key, ()), cells_by_run.get(key, ()))
            )
    return runs


Children = Mapping[int, list[tuple[Any, ...]]]


def _group_children(reader: Reader, columns: str, table: str, marks: str, values: Mapping[str, Any]) -> Children:
    order = "number" if table == "cells" else "position"
    groups: dict[int, list[tuple[Any, ...]]] = {}
    for key, *row in reader.rows(
        f"SELECT run, {columns} FROM {table} WHERE run IN ({marks}) ORDER BY run, {order}", values
    ):
        groups.setdefault(key, []).append(tuple(row))
    return groups


def _run(
    row: Sequence[Any],
    params: Sequence[tuple[Any, ...]],
    metrics: Sequence[tuple[Any, ...]],
    tags: Sequence[tuple[Any, ...]],
    cells: Sequence[tuple[Any, ...]],
) -> Run:
    data = dict(zip(FIELDS, row, strict=True))
    for name, decode in _DECODED:
        data[name] = decode(data[name])
    return Run(
        **data,
        params={name: json.loads(value) for name, value in params},
        metrics={name: Metric(_nan(last), _nan(low), _nan(high), steps) for name, last, low, high, steps in metrics},
        tags=tuple(tag for (tag,) in tags),
        cells=tuple(Cell(number, label, state, seconds, id) for number, label, state, seconds, id in cells),
    )


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value


@contextmanager
def faults(path: Path) -> Iterator[None]:
    """Turn what SQLite says into our kinds of error."""
    try:
        yield
    except sqlite3.Error as error:
        raise fault(str(error), str(path)) from error


def fault(message: str, path: str) -> SnaprunError:
    """The error that fits what SQLite said; Python 3.10 knows no error codes, so the words decide."""
    if (
        "malformed" in message
        or "not a database" in message
        or "no such table" in message
        or "no such column" in message
    ):
        return IndexGap("damaged", path)
    if "locked" in message or "busy" in message:
        return Busy(f"another process holds the index {path}", hint="try again in a moment")
    if "readonly" in message or "unable to open" in message or "permission" in message:
        return Denied(f"the index {path} cannot be opened: {message}", hint=f"ls -l {path}")
    if "full" in message or "I/O" in message:
        return WriteFault(f"the index {path}: {message}", hint="free some disk space, then try again")
    return DataFault(f"the index {path}: {message}", hint="snaprun reindex")
