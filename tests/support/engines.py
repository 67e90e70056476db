"""An engine that writes what a test says, and fails as engines fail; everything happens within ``poll``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from daemon.engine.protocol import Completed, EngineEvent, EngineFailure, Failed, Ready
from medasr.types import ModelVersion, Segment, Transcript, Verdict, VerdictKind, Word

#: Of every word that a scripted engine writes.
CONFIDENCE = 0.75
VERSION = ModelVersion(
    base_id="whisper-tiny.en", base_revision="1", base_sha256="ab" * 32, adapter_sha256=None, precision="fp32"
)


class ScriptedEngine:
    """Writes ``texts`` by recording; those it has no text for make it fail. Implements :class:`daemon.ports.LoadableEngine`."""

    def __init__(
        self, texts: Mapping[str, str], *, dies_after: int | None = None, version: ModelVersion = VERSION
    ) -> None:
        self.texts = texts
        self.version = version
        self.dies_after = dies_after
        self.lowered_after: int | None = None  #: from then on it is another precision, as after a fall back to the CPU
        self.submitted: list[str] = []
        self.terms: dict[str, str] = {}
        self.completed = 0
        self._waiting: list[str] = []
        self.ready: Ready | None = None

    @property
    def in_flight(self) -> set[str]:
        return set(self._waiting)

    @property
    def healthy(self) -> bool:
        return self.dies_after is None or self.completed < self.dies_after

    def ensure_started(self) -> Sequence[EngineEvent]:
        self.ready = self.ready or Ready(version=self.version, device="cpu", load_seconds=0.1)
        return []

    def submit(self, recording: str, pcm: Path, *, urgent: bool = False, terms: str = "") -> None:
        assert not urgent
        assert pcm.stat().st_size > 0
        self.submitted.append(recording)
        self.terms[recording] = terms
        self._waiting.append(recording)

    def cancel(self, recording: str) -> None:
        self._waiting.remove(recording)

    def poll(self, timeout: float = 0.0) -> Sequence[EngineEvent]:
        del timeout
        if not self._waiting or not self.healthy:
            return []
        recording = self._waiting.pop(0)
        if recording not in self.texts:
            return [Failed(id=recording, blame=True, kind=EngineFailure.CRASHED)]
        self.completed += 1
        lowered = self.lowered_after is not None and self.completed > self.lowered_after
        version = replace(self.version, precision="bf16") if lowered else self.version
        return [_completed(recording, self.texts[recording], version)]


def _completed(recording: str, text: str, version: ModelVersion) -> Completed:
    words = tuple(
        Word(start=float(place), end=place + 1.0, text=word, confidence=CONFIDENCE)
        for place, word in enumerate(text.split())
    )
    segment = Segment(
        index=0,
        start=0.0,
        end=float(len(words)),
        text=text,
        mean_log_probability=-0.1,
        no_speech_probability=0.0,
        compression_ratio=1.0,
        words=words,
    )
    segments = (segment,) if text else ()
    transcript = Transcript(
        text=text, language="en", segments=segments, speech=(), verdict=Verdict(kind=VerdictKind.OK)
    )
    return Completed(id=recording, transcript=transcript, version=version, device="cpu", batch_size=1, seconds=0.5)
