"""Evaluations: what a model scored, how, and every utterance of it."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    """
    CREATE TABLE evaluations (
        id INTEGER NOT NULL,
        uid TEXT NOT NULL,
        model_version_id INTEGER NOT NULL,
        model_label TEXT NOT NULL,
        "trigger" TEXT NOT NULL,
        dataset TEXT NOT NULL,
        dataset_sha256 TEXT NOT NULL,
        recipe_sha256 TEXT NOT NULL,
        recipe JSON NOT NULL,
        started_at TEXT NOT NULL,
        ended_at TEXT NOT NULL,
        device TEXT NOT NULL,
        engine_seconds DOUBLE NOT NULL,
        audio_seconds DOUBLE NOT NULL,
        scores JSON NOT NULL,
        terms JSON NOT NULL,
        normalized_wer_by_normalizer JSON NOT NULL,
        exclusions JSON NOT NULL,
        leaks JSON NOT NULL,
        versions JSON NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT evaluation_trigger CHECK ("trigger" IN ('manual', 'scheduled')),
        UNIQUE (uid),
        FOREIGN KEY(model_version_id) REFERENCES model_versions (id)
    )
    """,
    """
    CREATE TABLE evaluation_utterances (
        evaluation_id INTEGER NOT NULL,
        utterance_id TEXT NOT NULL,
        speaker TEXT,
        seconds DOUBLE NOT NULL,
        reference TEXT NOT NULL,
        hypothesis TEXT NOT NULL,
        normalized_reference TEXT NOT NULL,
        normalized_hypothesis TEXT NOT NULL,
        counts JSON NOT NULL,
        alignment JSON NOT NULL,
        terms JSON NOT NULL,
        PRIMARY KEY (evaluation_id, utterance_id),
        FOREIGN KEY(evaluation_id) REFERENCES evaluations (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_evaluations_ended_at ON evaluations (ended_at)",
    "CREATE INDEX ix_evaluations_recipe_sha256 ON evaluations (recipe_sha256)",
    "CREATE INDEX ix_evaluations_model_version_id ON evaluations (model_version_id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
