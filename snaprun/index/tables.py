"""Describe the tables of the index to SQLAlchemy; ``migrations/`` makes them, and the view ``run_list`` for others.

Text sorts by code point in every database (collation ``C`` in PostgreSQL), so that a listing has one order everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
from sqlalchemy.types import TypeEngine

from snaprun.model import RUN_FIELDS

metadata = MetaData()

TextType = Text().with_variant(Text(collation="C"), "postgresql")
KeyType = BigInteger().with_variant(Integer(), "sqlite")  # only INTEGER PRIMARY KEY is SQLite's own row id

_TYPES: Mapping[str, TypeEngine[Any]] = {
    "text": TextType,
    "oid": TextType,
    "status": TextType,
    "time": TextType,
    "duration": Double(),
    "integer": Integer(),
    "big integer": BigInteger(),
    "flag": Boolean(),
}
"""How each kind of field of a run is stored."""


def _run_column() -> Column[int]:
    return Column("run", KeyType, ForeignKey("runs.key", ondelete="CASCADE"), primary_key=True)


repos = Table(
    "repos",
    metadata,
    Column("repo", TextType, primary_key=True),
    Column("path", TextType, nullable=False),
    Column("built", TextType),  # when the rows were last built from all refs; NULL: not known to be complete
)

runs = Table(
    "runs",
    metadata,
    Column("key", KeyType, primary_key=True),
    Column("repo", TextType, nullable=False),
    *(Column(item.name, _TYPES[item.kind], nullable=item.optional) for item in RUN_FIELDS if item.is_column),
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
    _run_column(),
    Column("name", TextType, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("value", TextType, nullable=False),  # JSON, as in .snaprun/params.json
    Column("number", Double),  # for comparing and sorting; NULL where the value is no number
    Column("text", TextType, nullable=False),  # a string as it is, anything else as JSON
    sqlite_with_rowid=False,
)

metrics = Table(
    "metrics",
    metadata,
    _run_column(),
    Column("name", TextType, primary_key=True),
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
    _run_column(),
    Column("tag", TextType, primary_key=True),
    Column("position", Integer, nullable=False),
    sqlite_with_rowid=False,
)

cells = Table(
    "cells",
    metadata,
    _run_column(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("label", TextType, nullable=False),
    Column("state", TextType, nullable=False),
    Column("seconds", Double),
    Column("cell_id", TextType),
    sqlite_with_rowid=False,
)

queues = Table(
    "queues",
    metadata,
    Column("repo", TextType, primary_key=True),
    Column("host", TextType, primary_key=True),
    Column("jobs", Integer),  # how many may work at a time, whatever they asked for; NULL: not limited so
    Column("paused", Boolean, nullable=False),
)

queue = Table(
    "queue",
    metadata,
    Column("repo", TextType, primary_key=True),
    Column("run", TextType, primary_key=True),
    Column("host", TextType, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("state", TextType, nullable=False),  # waiting, or claimed: it is being started, or it runs
    Column("group", TextType),
    Column("jobs", Integer),  # how many of its group may work at a time
    Column("after", TextType),  # a run that must have succeeded first
    Column("retries", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("tip", TextType),  # the result commit of the attempt before
    Column("task", TextType, nullable=False),  # order.json of its live folder
    Column("env", TextType, nullable=False),  # names the file with its environment
    Column("queued", TextType, nullable=False),
    Column("note", TextType),  # why it could not be started
    Column("gpus", Integer),  # how many it wants to have for itself
    Index("queue_order", "repo", "host", "position"),
)
