"""The tables, as SQLAlchemy models; every "only once" is a constraint of the database.

::

    recordings 1 ── n arrivals        the same bytes may be dropped many times
    recordings 1 ── 1 audio_facts
    recordings 1 ── n jobs            at most one of them active
    recordings 1 ── n transcripts     one for each model version
    transcripts 1 ── n segments, term_hits
    model_versions 1 ── n evaluations
    evaluations 1 ── n evaluation_utterances
    adapters 1 ── n aliases           for each base and alias one, or the stock weights
    adapters 1 ── n gate_verdicts
    learning_runs                     what each run of the learning cycle came to
    schedule_runs                     one for each slot
    audit                             append-only, hash-chained

The full-text index ``transcript_search`` (FTS5) and the triggers that keep the audit trail append-only stand in the first
migration, since models cannot express them. The tables of the learning cycle stand in :mod:`daemon.store.learning_schema`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from daemon.store.base import Base, one_of
from daemon.store.learning_schema import AdapterRow, AliasRow, GateVerdictRow, LearningRunRow
from daemon.store.states import IN_WORK, WAITING, JobState, Priority

__all__ = [
    "AdapterRow",
    "AliasRow",
    "Arrival",
    "AudioFactsRow",
    "AuditRow",
    "Base",
    "EvaluationRow",
    "EvaluationUtteranceRow",
    "GateVerdictRow",
    "Job",
    "LearningRunRow",
    "ModelVersionRow",
    "Recording",
    "ScheduleRun",
    "SegmentRow",
    "TermHitRow",
    "TranscriptRow",
]


class Recording(Base):
    """One recording by its content: the same bytes are one recording, under however many names they arrive."""

    __tablename__ = "recordings"

    id: Mapped[str] = mapped_column(primary_key=True)  #: uuid4 as 32 hex digits; also the name of our copy in the spool
    sha256: Mapped[str] = mapped_column(unique=True)
    size: Mapped[int]  #: bytes
    name: Mapped[str]  #: as first dropped, escaped for display
    name_bytes: Mapped[bytes]  #: as first dropped, exactly
    label: Mapped[str] = mapped_column(default="")  #: sub-folder of the inbox
    output_name: Mapped[str] = mapped_column(unique=True)  #: stem of the files in outbox and quarantine
    sidecar: Mapped[dict[str, Any] | None]  #: metadata from NAME.json
    received_at: Mapped[datetime]

    facts: Mapped[AudioFactsRow | None] = relationship(cascade="all, delete-orphan")


class Arrival(Base):
    """A file that was in the inbox; duplicates point to the recording they repeat."""

    __tablename__ = "arrivals"
    __table_args__ = (Index("arrivals_by_identity", "device", "inode", "size", "mtime_ns"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    name_bytes: Mapped[bytes]
    label: Mapped[str] = mapped_column(default="")
    device: Mapped[int]
    inode: Mapped[int]
    size: Mapped[int]
    mtime_ns: Mapped[int]
    duplicate: Mapped[bool] = mapped_column(default=False)
    warning: Mapped[str | None]  #: LATE_BYTES, SIDECAR_MALFORMED ...
    arrived_at: Mapped[datetime]


class AudioFactsRow(Base):
    """What the recording turned out to be; see :class:`medasr.types.AudioFacts`."""

    __tablename__ = "audio_facts"

    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True)
    container: Mapped[str]
    encoding: Mapped[str]
    sample_rate: Mapped[int]
    channels: Mapped[int]
    frames: Mapped[int]
    declared_frames: Mapped[int | None]
    seconds: Mapped[float]
    rms_dbfs: Mapped[float]
    peak_dbfs: Mapped[float]
    dc_offset: Mapped[float]
    clipped_share: Mapped[float]
    snr_db: Mapped[float | None]
    gain_db: Mapped[float]
    warnings: Mapped[list[Any]]


class Job(Base):
    """One way of a recording through decode, transcribe and index."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(one_of("state", JobState), name="job_state"),
        CheckConstraint(f"priority IN ({', '.join(str(int(p)) for p in Priority)})", name="job_priority"),
        CheckConstraint("(state = 'quarantined') = (reason IS NOT NULL)", name="quarantine_has_reason"),
        CheckConstraint(f"({one_of('state', IN_WORK)}) = (lease_owner IS NOT NULL)", name="work_has_lease"),
        Index(
            "one_active_job",
            "recording_id",
            unique=True,
            sqlite_where=text(f"state IN ({', '.join(repr(str(s)) for s in (*WAITING, *IN_WORK))})"),
        ),
        Index("jobs_by_state", "state", "priority", "not_before", "id"),
        Index("jobs_undelivered", "state", "priority", "id", sqlite_where=text("delivered_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), index=True)
    state: Mapped[JobState] = mapped_column(Text)
    priority: Mapped[int] = mapped_column(default=Priority.ORDINARY)
    attempts: Mapped[int] = mapped_column(default=0)  #: counted before the work, so that a crash counts
    not_before: Mapped[datetime]  #: earliest next attempt
    lease_owner: Mapped[str | None]  #: boot id and process of the worker that holds the job
    lease_until: Mapped[datetime | None]
    reason: Mapped[str | None]  #: why it is quarantined: medasr.errors.Reason
    trouble: Mapped[str | None]  #: code of the last failed attempt
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    delivered_at: Mapped[datetime | None]  #: when the files in outbox or quarantine were complete

    recording: Mapped[Recording] = relationship()


class ModelVersionRow(Base):
    """A model that has transcribed; see :class:`medasr.types.ModelVersion`."""

    __tablename__ = "model_versions"
    __table_args__ = (
        UniqueConstraint(
            "base_id",
            "base_revision",
            "base_sha256",
            "adapter_sha256",
            "precision",
            "audio_context",
            name="model_version",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    base_id: Mapped[str]
    base_revision: Mapped[str]
    base_sha256: Mapped[str]
    adapter_sha256: Mapped[str] = mapped_column(default="")  #: empty for a stock model, since NULLs never collide
    precision: Mapped[str]
    audio_context: Mapped[str]
    first_used_at: Mapped[datetime]


class TranscriptRow(Base):
    """What a model version heard in a recording; see :class:`medasr.types.Transcript`."""

    __tablename__ = "transcripts"
    __table_args__ = (
        UniqueConstraint("recording_id", "model_version_id", name="one_transcript_per_model"),
        CheckConstraint(one_of("verdict", ("ok", "needs_review", "no_speech")), name="transcript_verdict"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"))
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), index=True)
    text: Mapped[str]
    text_sha256: Mapped[str]
    language: Mapped[str]
    verdict: Mapped[str]
    concerns: Mapped[list[Any]]  #: code, value, start, end of each reason to look
    speech: Mapped[list[Any]]  #: start and end of each stretch of speech, seconds
    speech_seconds: Mapped[float]
    device: Mapped[str]
    fallback: Mapped[str | None]  #: what the engine gave up to get through: a smaller batch, the CPU
    engine_seconds: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(index=True)

    model_version: Mapped[ModelVersionRow] = relationship()
    recording: Mapped[Recording] = relationship()
    segments: Mapped[list[SegmentRow]] = relationship(cascade="all, delete-orphan", order_by="SegmentRow.position")
    terms: Mapped[list[TermHitRow]] = relationship(cascade="all, delete-orphan", order_by="TermHitRow.position")


class SegmentRow(Base):
    """A time-stamped piece of a transcript; see :class:`medasr.types.Segment`."""

    __tablename__ = "segments"

    transcript_id: Mapped[int] = mapped_column(ForeignKey("transcripts.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)  #: 0, 1, 2 ...
    start: Mapped[float]
    end: Mapped[float]
    text: Mapped[str]
    mean_log_probability: Mapped[float]
    no_speech_probability: Mapped[float]
    compression_ratio: Mapped[float]
    concerns: Mapped[list[Any]]
    biased: Mapped[list[Any]] = mapped_column(default=list)  #: numbers of words of the text


class TermHitRow(Base):
    """A medical term heard; see :class:`medasr.types.TermHit`."""

    __tablename__ = "term_hits"
    __table_args__ = (Index("term_hits_by_term", "term", "category", "transcript_id", "confidence"),)

    transcript_id: Mapped[int] = mapped_column(ForeignKey("transcripts.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)  #: offset of the first character in the transcript's text
    length: Mapped[int]
    term: Mapped[str]
    category: Mapped[str]
    surface: Mapped[str]
    segment: Mapped[int]
    start: Mapped[float]
    end: Mapped[float]
    confidence: Mapped[float]


class EvaluationRow(Base):
    """A finished evaluation; see :class:`medasr.evaluation.EvaluationReport`."""

    __tablename__ = "evaluations"
    __table_args__ = (CheckConstraint("\"trigger\" IN ('manual', 'scheduled')", name="evaluation_trigger"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(unique=True)  #: what makes it the same evaluation when it is filed again
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), index=True)
    model_label: Mapped[str]
    trigger: Mapped[str]
    dataset: Mapped[str]  #: for people
    dataset_sha256: Mapped[str]
    recipe_sha256: Mapped[str] = mapped_column(index=True)
    recipe: Mapped[dict[str, Any]]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime] = mapped_column(index=True)
    device: Mapped[str]
    engine_seconds: Mapped[float]
    audio_seconds: Mapped[float]
    scores: Mapped[dict[str, Any]]  #: without those of single terms
    terms: Mapped[dict[str, Any]]  #: of each term, how often it was correct, missed and invented
    normalized_wer_by_normalizer: Mapped[dict[str, Any]]
    exclusions: Mapped[list[Any]]
    leaks: Mapped[list[Any]]
    versions: Mapped[dict[str, Any]]

    model_version: Mapped[ModelVersionRow] = relationship()


class EvaluationUtteranceRow(Base):
    """One utterance of an evaluation; see :class:`medasr.metrics.scores.ScoredUtterance`. Its texts are patients' words."""

    __tablename__ = "evaluation_utterances"

    evaluation_id: Mapped[int] = mapped_column(ForeignKey("evaluations.id", ondelete="CASCADE"), primary_key=True)
    utterance_id: Mapped[str] = mapped_column(primary_key=True)
    speaker: Mapped[str | None]
    seconds: Mapped[float]
    reference: Mapped[str]
    hypothesis: Mapped[str]
    normalized_reference: Mapped[str]
    normalized_hypothesis: Mapped[str]
    counts: Mapped[dict[str, Any]]  #: hits, substitutions, deletions, insertions of words and characters
    alignment: Mapped[list[Any]]  #: edit, words of the reference, words of the hypothesis
    terms: Mapped[list[Any]]  #: term, category, kind, words of the reference, words of the hypothesis


class ScheduleRun(Base):
    """A slot of the schedule that was taken; its key lets it be taken once."""

    __tablename__ = "schedule_runs"

    task: Mapped[str] = mapped_column(primary_key=True)
    slot: Mapped[datetime] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]


class AuditRow(Base):
    """Who did what to which recording, when; triggers refuse UPDATE and DELETE."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str]  #: "daemon", or the operating system's user of the command
    action: Mapped[str]
    recording_id: Mapped[str | None] = mapped_column(index=True)
    detail: Mapped[dict[str, Any]]  #: codes and counts, never text
    chain: Mapped[str]  #: sha256 over the previous line's chain and this line
