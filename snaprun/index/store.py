"""Open the index and bring it to this version; record runs, forget them, build it anew: the gate to SQLAlchemy.

Writes and every database but SQLite go through SQLAlchemy here; the hot reads of SQLite are in ``runlist.py``.
"""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, delete, event, insert, select, text, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from snaprun import filelock, files
from snaprun.errors import (
    CannotCreate,
    DataFault,
    Denied,
    SettingsFault,
    SnaprunError,
    Unavailable,
    WriteFault,
    os_fault,
)
from snaprun.git.locate import make_private
from snaprun.index import recorder, rows, runlist
from snaprun.index.runlist import IndexGap
from snaprun.index.tables import queue, repos, runs
from snaprun.model import INDEX_VERSION, Run, utc
from snaprun.statuses import Status

ADVISORY_LOCK = 0x736E6170
"""The key of PostgreSQL's lock around a migration ("snap")."""

BATCH = 500
"""Runs written at a time when the index is built anew."""


class IndexStore:
    """The index, opened for one repository. Holds no connection between calls; not to be carried over a fork."""

    def __init__(self, engine: Engine, repo: str, *, path: Path | None = None) -> None:
        self.repo = repo
        self.path = path
        self.set_aside: Path | None = None
        """Where a damaged index file was moved when this one was opened; tell the user, and rebuild."""
        self._engine = engine

    @property
    def display_name(self) -> str:
        """The index as it may be told to the user: its file, or its address without the password."""
        return str(self.path) if self.path else self._engine.url.render_as_string(hide_password=True)

    @property
    def is_built(self) -> bool:
        """Whether the index holds every run of this repository; if not, call :meth:`rebuild`."""
        with self.transaction() as connection:
            return connection.scalar(select(repos.c.built).where(repos.c.repo == self.repo)) is not None

    def register(self, state: Path) -> None:
        """Make sure that the index knows this repository."""
        try:
            with self.transaction() as connection:
                if connection.scalar(select(repos.c.repo).where(repos.c.repo == self.repo)) is None:
                    connection.execute(insert(repos).values(repo=self.repo, path=rows.plain(str(state))))
        except IntegrityError:  # PostgreSQL: another process was faster
            pass

    def record(self, *new_runs: Run) -> None:
        """Write runs with everything that belongs to them, in one transaction.

        A run that is over is not put back to queued or running by a latecomer, except in a later attempt.
        """
        try:
            self._record(new_runs)
        except IntegrityError:  # PostgreSQL: another process inserted the same run in between
            self._record(new_runs)

    def add(self, connection: Connection, new_runs: Sequence[Run]) -> None:
        """Write many runs inside a caller's transaction, in place of what the index says of them."""
        for start in range(0, len(new_runs), BATCH):
            batch = list(new_runs[start : start + BATCH])
            condition = (runs.c.repo == self.repo) & runs.c.id.in_([run.id for run in batch])
            connection.execute(delete(runs).where(condition))  # a rebuild has met their refs already
            recorder.insert(_Writer(self.repo, connection), batch)

    def forget(self, ids: Iterable[str]) -> None:
        """Drop runs from the index."""
        with self.transaction() as connection:
            for id in ids:
                connection.execute(delete(runs).where(runs.c.repo == self.repo, runs.c.id == id))

    def rebuild(self, all_runs: Iterable[Run]) -> int:
        """Replace all rows of this repository by ``all_runs``, in one transaction; how many there are.

        Give a generator that reads the refs only when it is asked: no other process can record a run meanwhile.
        """
        total = 0
        with self.transaction() as connection:
            self.lock_repo(connection)
            source = iter(all_runs)
            batch = _next_batch(source)
            connection.execute(delete(runs).where(runs.c.repo == self.repo))
            while batch:
                total += len(batch)
                recorder.insert(_Writer(self.repo, connection), batch)
                batch = _next_batch(source)
            queued_ids = select(queue.c.run).where(queue.c.repo == self.repo)
            condition = (runs.c.repo == self.repo) & (runs.c.status == Status.LOST.value) & runs.c.id.in_(queued_ids)
            connection.execute(update(runs).where(condition).values(status=Status.QUEUED.value))
            connection.execute(update(repos).where(repos.c.repo == self.repo).values(built=utc(time.time())))
        return total

    def reader(self) -> EngineReader:
        """What :mod:`snaprun.index.runlist` asks where the index is no SQLite file."""
        if not self.is_built:
            raise IndexGap("unbuilt", self.display_name)
        return EngineReader(self)

    def lock_repo(self, connection: Connection) -> None:
        """Let no other process into a transaction like this one until it ends (SQLite's always are alone)."""
        connection.execute(select(repos.c.repo).where(repos.c.repo == self.repo).with_for_update())

    def _record(self, new_runs: Sequence[Run]) -> None:
        with self.transaction() as connection:
            statement = select(repos.c.repo).where(repos.c.repo == self.repo).with_for_update(read=True)
            connection.execute(statement)
            writer = _Writer(self.repo, connection)
            for run in new_runs:
                recorder.put(writer, run)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction, all of it or nothing. Raises the kind of error that fits what the database says."""
        with _faults(self.display_name), self._engine.begin() as connection:
            yield connection


class _Writer:
    """A :class:`snaprun.index.recorder.Writer` over SQLAlchemy."""

    def __init__(self, repo: str, connection: Connection) -> None:
        self.repo = repo
        self._connection = connection

    def rows(self, sql: str, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        return self._connection.execute(text(sql), values).all()

    def change(self, sql: str, parameter_sets: Sequence[Mapping[str, Any]]) -> None:
        self._connection.execute(text(sql), parameter_sets)


class EngineReader:
    """A :class:`snaprun.index.runlist.Reader` over SQLAlchemy."""

    def __init__(self, store: IndexStore) -> None:
        self.repo = store.repo
        self._store = store
        self._connection: Connection | None = None

    def rows(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Every row that ``sql`` gives, its ``:name`` marks bound to ``values``."""
        if self._connection is None:
            with self.steady():
                return self.rows(sql, values)
        return [tuple(row) for row in self._connection.execute(text(sql), runlist.plain_values(values))]

    @contextmanager
    def steady(self) -> Iterator[None]:
        """A stretch in which all queries see the same state of the index."""
        engine = self._store._engine
        with (
            _faults(self._store.display_name),
            engine.connect().execution_options(**_SNAPSHOT[engine.name]) as connection,
        ):
            self._connection = connection
            try:
                yield
            finally:
                self._connection = None


_SNAPSHOT: Mapping[str, Mapping[str, Any]] = {
    "sqlite": {},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}


def open_store(state: Path, url: str | None = None) -> IndexStore:
    """Open the index of the repository whose state folder is ``state``, made and brought to this version where needed.

    A file that turns out damaged is moved aside; then :attr:`IndexStore.set_aside` says where, and it is to be built.

    Raises:
        SettingsFault: ``url`` makes no sense, or a newer snaprun wrote the index.
        Unavailable: the database does not answer, or its driver is not installed.
        Denied, CannotCreate, WriteFault: the file cannot be written.
    """
    repo = ensure_repo(state)
    path = runlist.sqlite_path(state, url)
    if path is None:
        engine = _server(url or "")
        _ready_server(engine)
        store = IndexStore(engine, repo)
        store.register(state)
        return store
    try:
        return _open_file(state, repo, path)
    except IndexGap:
        return mend(state, url)


def mend(state: Path, url: str | None = None) -> IndexStore:
    """Open the index after a thorough check: a damaged file is moved aside for an empty one.

    The check reads the whole file; what is not SQLite is only opened.
    """
    path = runlist.sqlite_path(state, url)
    if path is None:
        return open_store(state, url)
    set_aside = None
    with _file_lock(path):
        if not _is_sound(path):
            set_aside = move_aside(path)
    store = _open_file(state, ensure_repo(state), path)
    store.set_aside = set_aside
    return store


def _open_file(state: Path, repo: str, path: Path) -> IndexStore:
    engine = _sqlite(path)
    _ready_sqlite(engine, path)
    store = IndexStore(engine, repo, path=path)
    store.register(state)
    return store


def ensure_repo(state: Path) -> str:
    """The key of this repository in the index, made on first use; processes that start at once agree on it."""
    key = runlist.repo_key(state)
    if key:
        return key
    try:
        make_private(state)
        new_key = f"{uuid.uuid4()}\n".encode()
        try:
            files.write_new(state / "repo", new_key)
        except FileExistsError:
            if runlist.repo_key(state) is None:  # an empty file, left by a full disk
                files.write(state / "repo", new_key)
    except OSError as error:
        raise _write_error(error, state) from error
    return runlist.repo_key(state) or ensure_repo(state)


def _write_error(error: OSError, path: Path) -> SnaprunError:
    return os_fault(error, f"cannot write {path}", path.parent, otherwise=CannotCreate)


def _sqlite(path: Path) -> Engine:
    """An engine over the file. Every transaction begins IMMEDIATE: a read that turns into a write may fail at once.

    The journal stays in DELETE mode with full syncs: WAL can corrupt a file before SQLite 3.51.3, and needs a disk.
    """
    engine = create_engine(
        URL.create("sqlite", database=str(path)), poolclass=NullPool, connect_args={"timeout": runlist.BUSY_SECONDS}
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def _begin_immediate(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _ready_sqlite(engine: Engine, path: Path) -> None:
    """Make and upgrade the file under a lock, after looking again."""
    if _version(path) == INDEX_VERSION:
        return
    with _file_lock(path):
        _create(path)
        version = _version(path)
        if version > INDEX_VERSION:
            raise runlist.newer_version_error(str(path))
        if version < INDEX_VERSION:
            with _faults(str(path)), engine.begin() as connection:
                _upgrade(connection, str(path))
                connection.exec_driver_sql(f"PRAGMA user_version = {INDEX_VERSION}")


def _version(path: Path) -> int:
    """The version of an index file, 0 where there is none yet."""
    return int(_query_value(path, "PRAGMA user_version")) if path.exists() else 0


def _is_sound(path: Path) -> bool:
    """Whether the file is a whole database with our tables in it, or not made yet."""
    try:
        if not path.exists() or _query_value(path, "PRAGMA user_version") == 0:
            return True
        _query_value(path, "SELECT count(*) FROM run_list")  # raises where a table is missing
        return str(_query_value(path, "PRAGMA quick_check(1)")) == "ok"
    except IndexGap:
        return False


def _query_value(path: Path, sql: str) -> Any:
    """The one value that a query gives."""
    with runlist.faults(path):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=runlist.BUSY_SECONDS)
        try:
            return connection.execute(sql).fetchone()[0]
        finally:
            connection.close()


def move_aside(path: Path) -> Path:
    """Rename a damaged index file, with its journal, so that a new one can be made."""
    target = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:6]}")
    try:
        for suffix in ("-journal", "-wal", "-shm"):
            extra = path.with_name(path.name + suffix)
            if extra.exists():
                extra.rename(target.with_name(target.name + suffix))
        path.rename(target)
    except OSError as error:
        raise _write_error(error, path) from error
    return target


def _create(path: Path) -> None:
    """Make the file, readable for its owner alone; its journal takes the same mode."""
    try:
        make_private(path.parent)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise _write_error(error, path) from error


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    """Hold the lock of an index file: one process makes, upgrades or replaces it."""
    with ExitStack() as stack:
        try:
            make_private(path.parent)
            stack.enter_context(filelock.hold(path.with_name(path.name + ".lock")))
        except OSError as error:
            raise _write_error(error, path) from error
        yield


def _server(url: str) -> Engine:
    """An engine over a database server; ``postgresql://`` means psycopg 3."""
    try:
        address = make_url(url)
        if address.drivername in ("postgresql", "postgres"):
            address = address.set(drivername="postgresql+psycopg")
        if address.get_backend_name() != "postgresql":
            raise SettingsFault(
                f"the index cannot live in {address.get_backend_name()}", hint="index-url takes sqlite: or postgresql:"
            )
        return create_engine(address, poolclass=NullPool, connect_args={"connect_timeout": 10})
    except (ArgumentError, NoSuchModuleError) as error:
        raise SettingsFault("index-url is not a database URL", hint="snaprun config shows where it is set") from error
    except ModuleNotFoundError as error:
        raise Unavailable(f"{error.name} is not installed", hint="pip install 'snaprun[postgresql]'") from error


def _ready_server(engine: Engine) -> None:
    """Upgrade the database, one process at a time."""
    display_name = engine.url.render_as_string(hide_password=True)
    with _faults(display_name), engine.begin() as connection:
        if _server_version(connection) == f"{INDEX_VERSION:04}":
            return
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        version = _server_version(connection)
        if version is not None and version > f"{INDEX_VERSION:04}":
            raise runlist.newer_version_error(display_name)
        if version != f"{INDEX_VERSION:04}":
            _upgrade(connection, display_name)


def _server_version(connection: Connection) -> str | None:
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    version = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return str(version) if version is not None else None


def _upgrade(connection: Connection, display_name: str) -> None:
    """Load alembic only now: an index that is current never pays for it."""
    from snaprun.index.migrate import upgrade  # alembic

    upgrade(connection, display_name)


def _next_batch(source: Iterator[Run]) -> list[Run]:
    """The next batch, each run once: the last one given counts."""
    batch: dict[str, Run] = {}
    for run in source:
        batch[run.id] = run
        if len(batch) == BATCH:
            break
    return list(batch.values())


@contextmanager
def _faults(display_name: str) -> Iterator[None]:
    """Turn what the database says into our kinds of error."""
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        lines = str(error.orig).strip().splitlines()
        raise _fault(error, lines[0] if lines else type(error.orig).__name__, display_name) from error


def _fault(error: DBAPIError, message: str, display_name: str) -> SnaprunError:
    if isinstance(error.orig, sqlite3.Error):
        return runlist.fault(message, display_name)
    state = str(getattr(error.orig, "sqlstate", "") or "")
    if state.startswith(("42501", "28")):
        return Denied(f"the index {display_name}: {message}", hint="check the user and its rights in index-url")
    if state.startswith("53"):
        return WriteFault(
            f"the index {display_name}: {message}", hint="free disk space or connections on the database server"
        )
    if not state or state.startswith(("08", "57")):
        return Unavailable(
            f"the index {display_name} does not answer: {message}", hint="start the database, or check index-url"
        )
    return DataFault(f"the index {display_name}: {message}", hint="snaprun reindex")
