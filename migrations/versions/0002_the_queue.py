"""The queue: runs that wait for their turn, and how many may work at a time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Build the two tables."""
    op.create_table(
        "queues",
        sa.Column("repo", WORDS, primary_key=True),
        sa.Column("host", WORDS, primary_key=True),
        sa.Column("jobs", sa.Integer),
        sa.Column("paused", sa.Boolean, nullable=False),
    )
    op.create_table(
        "queue",
        sa.Column("repo", WORDS, primary_key=True),
        sa.Column("run", WORDS, primary_key=True),
        sa.Column("host", WORDS, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("state", WORDS, nullable=False),
        sa.Column("group", WORDS),
        sa.Column("jobs", sa.Integer),
        sa.Column("after", WORDS),
        sa.Column("retries", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("tip", WORDS),
        sa.Column("task", WORDS, nullable=False),
        sa.Column("env", WORDS, nullable=False),
        sa.Column("queued", WORDS, nullable=False),
        sa.Column("note", WORDS),
    )
    op.create_index("queue_order", "queue", ["repo", "host", "position"])
