"""The index: runs with their params, metrics, tags and cells, and the view ``run_list`` over them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

PLAIN = """repo, id, name, notebook, status, reason, exit_code, engine, launcher, "group", seed"""
REST = """message, created, started, ended, seconds, "commit", parent, branch, dirty, host, "user", attempts,
  code_hash"""


def _number(column: str) -> str:
    """A metric's value for SQLite's JSON, which has no infinity; PostgreSQL writes the same words by itself."""
    big = f"CASE WHEN {column} > 0 THEN 'Infinity' WHEN {column} < 0 THEN '-Infinity' END"
    return f"CASE WHEN abs({column}) < 9e999 THEN {column} ELSE {big} END"


VIEW_SQLITE = f"""
CREATE VIEW run_list AS SELECT {PLAIN},
  (SELECT json_group_object(name, json(value)) FROM
    (SELECT name, value FROM params WHERE run = runs.key ORDER BY position)) AS params,
  (SELECT json_group_object(name, json_object(
      'last', {_number('"last"')},
      'min', {_number('"min"')},
      'max', {_number('"max"')},
      'steps', steps)) FROM
    (SELECT * FROM metrics WHERE run = runs.key ORDER BY position)) AS metrics,
  (SELECT json_group_array(tag) FROM
    (SELECT tag FROM tags WHERE run = runs.key ORDER BY position)) AS tags,
  {REST}
FROM runs
"""

VIEW_POSTGRESQL = f"""
CREATE VIEW run_list AS SELECT {PLAIN},
  COALESCE((SELECT json_object_agg(name, CAST(value AS json) ORDER BY position)
    FROM params WHERE run = runs.key), '{{}}') AS params,
  COALESCE((SELECT json_object_agg(name, json_build_object('last', "last", 'min', "min", 'max', "max", 'steps', steps)
    ORDER BY position) FROM metrics WHERE run = runs.key), '{{}}') AS metrics,
  COALESCE((SELECT json_agg(tag ORDER BY position) FROM tags WHERE run = runs.key), '[]') AS tags,
  {REST}
FROM runs
"""


def upgrade() -> None:
    """Build the five tables, their indexes, and the view."""
    op.create_table(
        "repos",
        sa.Column("repo", WORDS, primary_key=True),
        sa.Column("path", WORDS, nullable=False),
        sa.Column("built", WORDS),
    )
    op.create_table(
        "runs",
        sa.Column("key", KEY, primary_key=True),
        *(sa.Column(name, WORDS, nullable=False) for name in ("repo", "id", "commit", "notebook", "status")),
        sa.Column("reason", WORDS),
        sa.Column("exit_code", sa.Integer),
        sa.Column("name", WORDS),
        sa.Column("message", WORDS),
        sa.Column("engine", WORDS, nullable=False),
        sa.Column("launcher", WORDS, nullable=False),
        sa.Column("group", WORDS),
        sa.Column("seed", sa.BigInteger),
        sa.Column("created", WORDS, nullable=False),
        sa.Column("started", WORDS),
        sa.Column("ended", WORDS),
        sa.Column("seconds", sa.Double),
        sa.Column("parent", WORDS),
        sa.Column("branch", WORDS),
        sa.Column("dirty", sa.Boolean, nullable=False),
        sa.Column("host", WORDS, nullable=False),
        sa.Column("user", WORDS, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("code_hash", WORDS, nullable=False),
        sa.UniqueConstraint("repo", "id", name="runs_repo_id"),
    )
    op.create_index("runs_repo_created", "runs", ["repo", "created", "id"])
    op.create_index("runs_repo_commit", "runs", ["repo", "commit"])
    op.create_index("runs_repo_status", "runs", ["repo", "status", "created"])
    op.create_index("runs_repo_group", "runs", ["repo", "group"])
    op.create_index("runs_repo_code", "runs", ["repo", "code_hash"])
    _child(
        "params",
        sa.Column("name", WORDS, primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("value", WORDS, nullable=False),
        sa.Column("number", sa.Double),
        sa.Column("text", WORDS, nullable=False),
    )
    _child(
        "metrics",
        sa.Column("name", WORDS, primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Double) for name in ("last", "min", "max")),
        sa.Column("steps", sa.BigInteger, nullable=False),
    )
    _child(
        "tags",
        sa.Column("tag", WORDS, primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
    )
    _child(
        "cells",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("label", WORDS, nullable=False),
        sa.Column("state", WORDS, nullable=False),
        sa.Column("seconds", sa.Double),
        sa.Column("cell_id", WORDS),
    )
    op.execute(VIEW_SQLITE if op.get_bind().dialect.name == "sqlite" else VIEW_POSTGRESQL)


def _child(name: str, *columns: sa.Column) -> None:
    owner = sa.Column("run", KEY, sa.ForeignKey("runs.key", ondelete="CASCADE"), primary_key=True)
    op.create_table(name, owner, *columns, sqlite_with_rowid=False)
