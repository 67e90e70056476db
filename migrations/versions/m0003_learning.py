"""Adapters and which of them serves, what the gate said about them, and the runs of the learning cycle."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = (
    """
    CREATE TABLE adapters (
        id INTEGER NOT NULL,
        name TEXT NOT NULL,
        base_id TEXT NOT NULL,
        base_sha256 TEXT NOT NULL,
        adapter_sha256 TEXT NOT NULL,
        origin TEXT NOT NULL,
        audio_context TEXT NOT NULL,
        manifest JSON NOT NULL,
        created_at TEXT NOT NULL,
        removed_at TEXT,
        PRIMARY KEY (id),
        CONSTRAINT adapter_origin CHECK (origin IN ('embedded', 'trained', 'imported')),
        CONSTRAINT adapter_audio_context CHECK (audio_context IN ('full', 'variable')),
        UNIQUE (name),
        UNIQUE (adapter_sha256)
    )
    """,
    """
    CREATE TABLE aliases (
        base_id TEXT NOT NULL,
        alias TEXT NOT NULL,
        adapter_id INTEGER,
        changed_at TEXT NOT NULL,
        PRIMARY KEY (base_id, alias),
        CONSTRAINT alias_name CHECK (alias IN ('serving', 'previous', 'candidate', 'pinned')),
        FOREIGN KEY(adapter_id) REFERENCES adapters (id)
    )
    """,
    """
    CREATE TABLE gate_verdicts (
        id INTEGER NOT NULL,
        adapter_id INTEGER NOT NULL,
        incumbent_id INTEGER,
        decision TEXT NOT NULL,
        document JSON NOT NULL,
        created_at TEXT NOT NULL,
        "trigger" TEXT NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT gate_decision CHECK (decision IN ('PROMOTE', 'REJECT')),
        CONSTRAINT gate_trigger CHECK ("trigger" IN ('manual', 'scheduled')),
        FOREIGN KEY(adapter_id) REFERENCES adapters (id),
        FOREIGN KEY(incumbent_id) REFERENCES adapters (id)
    )
    """,
    """
    CREATE TABLE learning_runs (
        id INTEGER NOT NULL,
        "trigger" TEXT NOT NULL,
        slot TEXT,
        state TEXT NOT NULL,
        reason TEXT,
        detail JSON NOT NULL,
        adapter_id INTEGER,
        verdict_id INTEGER,
        started_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        ended_at TEXT,
        PRIMARY KEY (id),
        CONSTRAINT learning_trigger CHECK ("trigger" IN ('manual', 'scheduled')),
        FOREIGN KEY(adapter_id) REFERENCES adapters (id),
        FOREIGN KEY(verdict_id) REFERENCES gate_verdicts (id)
    )
    """,
    "CREATE INDEX ix_gate_verdicts_adapter_id ON gate_verdicts (adapter_id)",
    "CREATE INDEX ix_gate_verdicts_created_at ON gate_verdicts (created_at)",
    "CREATE INDEX ix_learning_runs_started_at ON learning_runs (started_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
