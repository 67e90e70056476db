"""Jobs have a priority: urgent recordings come before all others that wait."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = (
    """
    ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 1
        CONSTRAINT job_priority CHECK (priority IN (0, 1))
    """,
    "DROP INDEX jobs_by_state",
    "CREATE INDEX jobs_by_state ON jobs (state, priority, not_before, id)",
    "DROP INDEX jobs_undelivered",
    "CREATE INDEX jobs_undelivered ON jobs (state, priority, id) WHERE delivered_at IS NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
