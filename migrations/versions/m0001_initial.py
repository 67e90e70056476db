"""Recordings, arrivals, jobs, transcripts, segments, term hits, model versions, audit trail and full-text search."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

#: Written out rather than taken from daemon.store.schema, which moves on while a released migration never changes.
STATEMENTS = (
    """
    CREATE TABLE recordings (
        id TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        size INTEGER NOT NULL,
        name TEXT NOT NULL,
        name_bytes BLOB NOT NULL,
        label TEXT NOT NULL,
        output_name TEXT NOT NULL,
        sidecar JSON,
        received_at TEXT NOT NULL,
        PRIMARY KEY (id),
        UNIQUE (sha256),
        UNIQUE (output_name)
    )
    """,
    """
    CREATE TABLE model_versions (
        id INTEGER NOT NULL,
        base_id TEXT NOT NULL,
        base_revision TEXT NOT NULL,
        base_sha256 TEXT NOT NULL,
        adapter_sha256 TEXT NOT NULL,
        precision TEXT NOT NULL,
        audio_context TEXT NOT NULL,
        first_used_at TEXT NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT model_version UNIQUE (base_id, base_revision, base_sha256, adapter_sha256, precision, audio_context)
    )
    """,
    """
    CREATE TABLE audit (
        id INTEGER NOT NULL,
        at TEXT NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        recording_id TEXT,
        detail JSON NOT NULL,
        chain TEXT NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE arrivals (
        id INTEGER NOT NULL,
        recording_id TEXT NOT NULL,
        name TEXT NOT NULL,
        name_bytes BLOB NOT NULL,
        label TEXT NOT NULL,
        device INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        duplicate BOOLEAN NOT NULL,
        warning TEXT,
        arrived_at TEXT NOT NULL,
        PRIMARY KEY (id),
        FOREIGN KEY(recording_id) REFERENCES recordings (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE audio_facts (
        recording_id TEXT NOT NULL,
        container TEXT NOT NULL,
        encoding TEXT NOT NULL,
        sample_rate INTEGER NOT NULL,
        channels INTEGER NOT NULL,
        frames INTEGER NOT NULL,
        declared_frames INTEGER,
        seconds DOUBLE NOT NULL,
        rms_dbfs DOUBLE NOT NULL,
        peak_dbfs DOUBLE NOT NULL,
        dc_offset DOUBLE NOT NULL,
        clipped_share DOUBLE NOT NULL,
        snr_db DOUBLE,
        gain_db DOUBLE NOT NULL,
        warnings JSON NOT NULL,
        PRIMARY KEY (recording_id),
        FOREIGN KEY(recording_id) REFERENCES recordings (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE jobs (
        id INTEGER NOT NULL,
        recording_id TEXT NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        not_before TEXT NOT NULL,
        lease_owner TEXT,
        lease_until TEXT,
        reason TEXT,
        trouble TEXT,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        delivered_at TEXT,
        PRIMARY KEY (id),
        CONSTRAINT job_state CHECK (state IN ('received', 'decoding', 'transcribing', 'retry', 'done', 'needs_review', 'no_speech', 'quarantined')),
        CONSTRAINT quarantine_has_reason CHECK ((state = 'quarantined') = (reason IS NOT NULL)),
        CONSTRAINT work_has_lease CHECK ((state IN ('decoding', 'transcribing')) = (lease_owner IS NOT NULL)),
        FOREIGN KEY(recording_id) REFERENCES recordings (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE transcripts (
        id INTEGER NOT NULL,
        recording_id TEXT NOT NULL,
        model_version_id INTEGER NOT NULL,
        text TEXT NOT NULL,
        text_sha256 TEXT NOT NULL,
        language TEXT NOT NULL,
        verdict TEXT NOT NULL,
        concerns JSON NOT NULL,
        speech JSON NOT NULL,
        speech_seconds DOUBLE NOT NULL,
        device TEXT NOT NULL,
        fallback TEXT,
        engine_seconds DOUBLE NOT NULL,
        created_at TEXT NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT one_transcript_per_model UNIQUE (recording_id, model_version_id),
        CONSTRAINT transcript_verdict CHECK (verdict IN ('ok', 'needs_review', 'no_speech')),
        FOREIGN KEY(recording_id) REFERENCES recordings (id) ON DELETE CASCADE,
        FOREIGN KEY(model_version_id) REFERENCES model_versions (id)
    )
    """,
    """
    CREATE TABLE segments (
        transcript_id INTEGER NOT NULL,
        position INTEGER NOT NULL,
        start DOUBLE NOT NULL,
        "end" DOUBLE NOT NULL,
        text TEXT NOT NULL,
        mean_log_probability DOUBLE NOT NULL,
        no_speech_probability DOUBLE NOT NULL,
        compression_ratio DOUBLE NOT NULL,
        concerns JSON NOT NULL,
        PRIMARY KEY (transcript_id, position),
        FOREIGN KEY(transcript_id) REFERENCES transcripts (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE term_hits (
        transcript_id INTEGER NOT NULL,
        position INTEGER NOT NULL,
        length INTEGER NOT NULL,
        term TEXT NOT NULL,
        category TEXT NOT NULL,
        surface TEXT NOT NULL,
        segment INTEGER NOT NULL,
        start DOUBLE NOT NULL,
        "end" DOUBLE NOT NULL,
        confidence DOUBLE NOT NULL,
        PRIMARY KEY (transcript_id, position),
        FOREIGN KEY(transcript_id) REFERENCES transcripts (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_audit_recording_id ON audit (recording_id)",
    """
    CREATE TABLE schedule_runs (
        task TEXT NOT NULL,
        slot TEXT NOT NULL,
        started_at TEXT NOT NULL,
        ended_at TEXT,
        outcome TEXT,
        PRIMARY KEY (task, slot)
    )
    """,
    "CREATE INDEX ix_audit_at ON audit (at)",
    "CREATE INDEX ix_arrivals_recording_id ON arrivals (recording_id)",
    "CREATE INDEX arrivals_by_identity ON arrivals (device, inode, size, mtime_ns)",
    "CREATE UNIQUE INDEX one_active_job ON jobs (recording_id) WHERE state IN ('received', 'retry', 'decoding', 'transcribing')",
    "CREATE INDEX jobs_by_state ON jobs (state, not_before, id)",
    "CREATE INDEX ix_jobs_recording_id ON jobs (recording_id)",
    "CREATE INDEX jobs_undelivered ON jobs (state, id) WHERE delivered_at IS NULL",
    "CREATE INDEX ix_transcripts_created_at ON transcripts (created_at)",
    "CREATE INDEX ix_transcripts_model_version_id ON transcripts (model_version_id)",
    "CREATE INDEX term_hits_by_term ON term_hits (term, category, transcript_id, confidence)",
    "CREATE VIRTUAL TABLE transcript_search USING fts5(text, content='transcripts', content_rowid='id', tokenize=\"unicode61 remove_diacritics 2\")",
    "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
    "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
