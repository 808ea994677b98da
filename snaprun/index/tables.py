"""The tables of the index, in SQLAlchemy's words; ``migrations/`` builds them, ``run_list`` is the view for others.

Text sorts by code point in every database (collation ``C`` in PostgreSQL), so that a listing has one order everywhere.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA_VERSION = 3
"""Number of the newest migration; SQLite keeps it in ``PRAGMA user_version``, alembic as ``0003``."""

metadata = MetaData()

Words = Text().with_variant(Text(collation="C"), "postgresql")
Key = BigInteger().with_variant(Integer(), "sqlite")  # only INTEGER PRIMARY KEY is SQLite's own row id


def _owner() -> Column[int]:
    return Column("run", Key, ForeignKey("runs.key", ondelete="CASCADE"), primary_key=True)


repos = Table(
    "repos",
    metadata,
    Column("repo", Words, primary_key=True),
    Column("path", Words, nullable=False),
    Column("built", Words),  # when the rows were last built from all refs; NULL: not known to be complete
)

runs = Table(
    "runs",
    metadata,
    Column("key", Key, primary_key=True),
    Column("repo", Words, nullable=False),
    Column("id", Words, nullable=False),
    Column("commit", Words, nullable=False),
    Column("notebook", Words, nullable=False),
    Column("status", Words, nullable=False),
    Column("reason", Words),
    Column("exit_code", Integer),
    Column("name", Words),
    Column("message", Words),
    Column("engine", Words, nullable=False),
    Column("launcher", Words, nullable=False),
    Column("group", Words),
    Column("seed", BigInteger),
    Column("created", Words, nullable=False),
    Column("started", Words),
    Column("ended", Words),
    Column("seconds", Double),
    Column("parent", Words),
    Column("branch", Words),
    Column("dirty", Boolean, nullable=False),
    Column("host", Words, nullable=False),
    Column("user", Words, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("code_hash", Words, nullable=False),
    UniqueConstraint("repo", "id", name="runs_repo_id"),
    Index("runs_repo_created", "repo", "created", "id"),
    Index("runs_repo_commit", "repo", "commit"),
    Index("runs_repo_status", "repo", "status", "created"),
    Index("runs_repo_group", "repo", "group"),
    Index("runs_repo_code", "repo", "code_hash"),
)

params = Table(
    "params",
    metadata,
    _owner(),
    Column("name", Words, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("value", Words, nullable=False),  # JSON, as in .snaprun/params.json
    Column("number", Double),  # for comparing and sorting; NULL where the value is no number
    Column("text", Words, nullable=False),  # a string as it is, anything else as JSON
    sqlite_with_rowid=False,
)

metrics = Table(
    "metrics",
    metadata,
    _owner(),
    Column("name", Words, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("last", Double),  # NULL stands for NaN, which SQLite cannot hold
    Column("min", Double),
    Column("max", Double),
    Column("steps", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

tags = Table(
    "tags",
    metadata,
    _owner(),
    Column("tag", Words, primary_key=True),
    Column("position", Integer, nullable=False),
    sqlite_with_rowid=False,
)

cells = Table(
    "cells",
    metadata,
    _owner(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("label", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("seconds", Double),
    Column("cell_id", Words),
    sqlite_with_rowid=False,
)

queues = Table(
    "queues",
    metadata,
    Column("repo", Words, primary_key=True),
    Column("host", Words, primary_key=True),
    Column("jobs", Integer),  # how many may work at a time, whatever they asked for; NULL: not limited so
    Column("paused", Boolean, nullable=False),
)

queue = Table(
    "queue",
    metadata,
    Column("repo", Words, primary_key=True),
    Column("run", Words, primary_key=True),
    Column("host", Words, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("state", Words, nullable=False),  # waiting, or claimed: it is being started, or it runs
    Column("group", Words),
    Column("jobs", Integer),  # how many of its group may work at a time
    Column("after", Words),  # a run that must have succeeded first
    Column("retries", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("tip", Words),  # the result commit of the attempt before
    Column("task", Words, nullable=False),  # order.json of its live folder
    Column("env", Words, nullable=False),  # names the file with its environment
    Column("queued", Words, nullable=False),
    Column("note", Words),  # why it could not be started
    Column("gpus", Integer),  # how many it wants to have for itself
    Index("queue_order", "repo", "host", "position"),
)
