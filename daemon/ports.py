"""What the worker needs from a decoder and an engine; the real ones run in processes of their own, tests bring others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from daemon.decode.server import DecodeLimits
    from daemon.engine.protocol import EngineEvent, Ready
    from medasr.types import AudioFacts


class Decoder(Protocol):
    """Turns our copy of a recording into normalized samples; see :class:`daemon.decode.host.DecodeServer`."""

    def decode(self, source: int, sink: int, limits: DecodeLimits) -> AudioFacts:
        """Given two open descriptors, write normalized 16 kHz float32 samples to the sink."""


class Engine(Protocol):
    """Turns samples into transcripts; see :class:`daemon.engine.host.EngineHost`."""

    @property
    def in_flight(self) -> set[str]:
        """Ids handed over and not yet answered."""

    @property
    def healthy(self) -> bool:
        """False while it rests because it keeps dying."""

    def submit(self, recording: str, pcm: Path, *, urgent: bool = False, terms: str = "") -> None:
        """Hand a recording over, with the name of its list of terms; an urgent one is transcribed before those that are not."""

    def cancel(self, recording: str) -> None:
        """Forget a recording."""

    def poll(self, timeout: float = 0.0) -> Sequence[EngineEvent]:
        """Return what happened, waiting at most so many seconds for it."""


class LoadableEngine(Engine, Protocol):
    """An engine that tells what it has loaded."""

    @property
    def ready(self) -> Ready | None:
        """What is loaded; None while nothing is."""

    def ensure_started(self) -> Sequence[EngineEvent]:
        """Begin to load, if that has not begun."""
