"""The tables of the learning cycle: versions, which of them serves, what the gate said, what each run came to."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from daemon.store.base import Base, one_of


class AdapterRow(Base):
    """A version: a LoRA adapter for one base, whose files lie in ``state/adapters/NAME`` until they are removed."""

    __tablename__ = "adapters"
    __table_args__ = (
        CheckConstraint(one_of("origin", ("embedded", "trained", "imported")), name="adapter_origin"),
        CheckConstraint(one_of("audio_context", ("full", "variable")), name="adapter_audio_context"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)  #: base and the first 8 hex digits of the weights' sha256
    base_id: Mapped[str]  #: as the installed base is called
    base_sha256: Mapped[str]
    adapter_sha256: Mapped[str] = mapped_column(unique=True)  #: of the weights: what ModelVersion carries
    origin: Mapped[str]
    audio_context: Mapped[str]
    manifest: Mapped[dict[str, Any]]  #: medasr.json, as it was when the version was installed
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]  #: when its files were removed


class AliasRow(Base):
    """What an alias of a base stands for; ``adapter_id`` is NULL for the stock weights."""

    __tablename__ = "aliases"
    __table_args__ = (
        CheckConstraint(one_of("alias", ("serving", "previous", "candidate", "pinned")), name="alias_name"),
    )

    base_id: Mapped[str] = mapped_column(primary_key=True)
    alias: Mapped[str] = mapped_column(primary_key=True)
    adapter_id: Mapped[int | None] = mapped_column(ForeignKey("adapters.id"))
    changed_at: Mapped[datetime]

    adapter: Mapped[AdapterRow | None] = relationship()


class GateVerdictRow(Base):
    """What the gate said about a candidate against what served; ``incumbent_id`` is NULL for the stock weights."""

    __tablename__ = "gate_verdicts"
    __table_args__ = (
        CheckConstraint(one_of("decision", ("PROMOTE", "REJECT")), name="gate_decision"),
        CheckConstraint("\"trigger\" IN ('manual', 'scheduled')", name="gate_trigger"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    adapter_id: Mapped[int] = mapped_column(ForeignKey("adapters.id"), index=True)
    incumbent_id: Mapped[int | None] = mapped_column(ForeignKey("adapters.id"))
    decision: Mapped[str]
    document: Mapped[dict[str, Any]]  #: the whole verdict: checks, figures, changed utterances, reasons
    created_at: Mapped[datetime] = mapped_column(index=True)
    trigger: Mapped[str]

    adapter: Mapped[AdapterRow] = relationship(foreign_keys=[adapter_id])
    incumbent: Mapped[AdapterRow | None] = relationship(foreign_keys=[incumbent_id])


class LearningRunRow(Base):
    """One run of the learning cycle: gather, train, evaluate, gate, promote or reject."""

    __tablename__ = "learning_runs"
    __table_args__ = (CheckConstraint("\"trigger\" IN ('manual', 'scheduled')", name="learning_trigger"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    trigger: Mapped[str]
    slot: Mapped[datetime | None]  #: of the schedule
    state: Mapped[str]
    reason: Mapped[str | None]  #: code of why it ended as it did
    detail: Mapped[dict[str, Any]]  #: codes and counts
    adapter_id: Mapped[int | None] = mapped_column(ForeignKey("adapters.id"))
    verdict_id: Mapped[int | None] = mapped_column(ForeignKey("gate_verdicts.id"))
    started_at: Mapped[datetime] = mapped_column(index=True)
    updated_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
