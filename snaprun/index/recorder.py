"""Record runs in an SQLite index that is ready, by the standard library alone.

Every run writes into the index twice, and importing SQLAlchemy for that takes longer than a short notebook does. What
must be made, upgraded or filled first, and every other database, is for ``store.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from snaprun.index import rows, runlist
from snaprun.index.runlist import IndexGap, SqliteReader
from snaprun.model import Run
from snaprun.statuses import Status

_RUN_CONDITION = "repo = :repo AND id = :id"


class _FileWriter:
    """A :class:`snaprun.index.recorder.Writer` over the standard sqlite3."""

    def __init__(self, reader: SqliteReader) -> None:
        self.repo = reader.repo
        self._reader = reader

    def rows(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return self._reader.rows(sql, values)

    def change(self, sql: str, parameter_sets: Sequence[Mapping[str, Any]]) -> None:
        with runlist.faults(self._reader.path):
            self._reader.connection.executemany(sql, parameter_sets)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing. Begins IMMEDIATE: a read that turns into a write may fail at once."""
        connection = self._reader.connection
        with runlist.faults(self._reader.path):
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            with connection:  # commits, or rolls back
                yield


def record(state: Path, url: str | None, runs: Sequence[Run]) -> bool:
    """Write runs with everything that belongs to them, in one transaction; False where the index is not ready for it.

    Raises:
        SnaprunError: the file cannot be written, or another process held it for too long.
    """
    if runlist.sqlite_path(state, url) is None:
        return False
    try:
        with runlist.connect(state, url) as reader:
            writer = _FileWriter(reader)
            with writer.transaction():
                for run in runs:
                    put(writer, run)
    except IndexGap:
        return False
    return True


class Writer(Protocol):
    """A database inside one transaction, for the runs of one repository."""

    @property
    def repo(self) -> str:
        """The key of the repository in the index."""

    def rows(self, sql: str, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Every row that ``sql`` gives, its ``:name`` marks bound to ``values``."""

    def change(self, sql: str, parameter_sets: Sequence[Mapping[str, Any]]) -> None:
        """Carry ``sql`` out once for each of ``parameter_sets``, which bind its marks."""


def put(writer: Writer, run: Run) -> None:
    """Write a run with everything that belongs to it, in place of what the index says of it.

    A run that is over is not put back to queued or running by a latecomer, except in a later attempt.
    """
    values = {"repo": writer.repo, "id": run.id}
    stored_rows = writer.rows(f"SELECT key, status, attempts FROM runs WHERE {_RUN_CONDITION}", values)
    if not stored_rows:
        insert(writer, [run])
        return
    key, status, attempts = stored_rows[0]
    if not run.status.over and Status(status).over and run.attempts <= attempts:
        return
    row = rows.of_run(writer.repo, run)
    changes = ", ".join(f'"{name}" = :{name}' for name in row)
    writer.change(f"UPDATE runs SET {changes} WHERE {_RUN_CONDITION}", [row])
    for table in rows.CHILDREN:
        writer.change(f"DELETE FROM {table} WHERE run = :run", [{"run": key}])
    _insert_children(writer, {key: run})


def insert(writer: Writer, batch: Sequence[Run]) -> None:
    """Write runs that the index does not know, each once in ``batch``."""
    _insert(writer, "runs", [rows.of_run(writer.repo, run) for run in batch])
    ids = {run.id: run for run in batch}
    id_range = {"repo": writer.repo, "low": min(ids), "high": max(ids)}
    pairs = writer.rows("SELECT key, id FROM runs WHERE repo = :repo AND id >= :low AND id <= :high", id_range)
    _insert_children(writer, {key: ids[id] for key, id in pairs if id in ids})


def _insert_children(writer: Writer, keys: Mapping[int, Run]) -> None:
    for table in rows.CHILDREN:
        _insert(writer, table, [row for key, run in keys.items() for row in rows.of_children(table, key, run)])


def _insert(writer: Writer, table: str, table_rows: Sequence[Mapping[str, Any]]) -> None:
    if table_rows:
        names = list(table_rows[0])
        writer.change(f"INSERT INTO {table} ({_column_list(names)}) VALUES ({_mark_list(names)})", table_rows)


def _column_list(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _mark_list(names: Iterable[str]) -> str:
    return ", ".join(f":{name}" for name in names)
