"""Segments tell which of their words stand there because of a list of terms."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("ALTER TABLE segments ADD COLUMN biased JSON NOT NULL DEFAULT '[]'")
