"""Record runs in an SQLite index that is ready, by the standard library alone.

Every run writes into the index twice, and importing SQLAlchemy for that takes longer than a short notebook does. What
must be made, upgraded or filled first, and every other database, is for ``store.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snaprun.index import runlist, writing
from snaprun.index.runlist import IndexGap, SqliteReader
from snaprun.model import Run


class _FileWriter:
    """A :class:`snaprun.index.writing.Writer` over the standard sqlite3."""

    def __init__(self, reader: SqliteReader) -> None:
        self.repo = reader.repo
        self._reader = reader

    def rows(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return self._reader.rows(sql, values)

    def change(self, sql: str, many: Sequence[Mapping[str, Any]]) -> None:
        with runlist.faults(self._reader.path):
            self._reader.connection.executemany(sql, many)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing. Begins IMMEDIATE: a read that turns into a write may fail at once."""
        connection = self._reader.connection
        with runlist.faults(self._reader.path):
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            with connection:  # commits, or rolls back
                yield


def record(state: Path, url: str | None, found: Sequence[Run]) -> bool:
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
                for run in found:
                    writing.put(writer, run)
    except IndexGap:
        return False
    return True
