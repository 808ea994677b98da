"""How many GPUs a queued run waits for, so that runs without pass it by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column."""
    op.add_column("queue", sa.Column("gpus", sa.Integer))
