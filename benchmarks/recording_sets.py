"""What the programs transcribe: many short recordings and consultations, real and invented ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.consultations import join
from benchmarks.options import Options
from benchmarks.programs.written import LONG, SHORT
from benchmarks.speech import Normalized, Spoken, invented, normalized, recordings, sample_recordings, spread
from medasr.audio import read_normalized
from medasr.dataset.utterance import Utterance
from medasr.speech import SpeechDetector, SpeechOptions
from medasr.types import SpeechSpan
from medasr.whisper.manifest import read_heard

#: Of the invented recordings, those from this length on are whole consultations.
_CONSULTATION_SECONDS = 60.0
_JOINED_SECONDS = 600.0
_HOUR_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True)
class RecordingSet:
    """Recordings that are transcribed in one go."""

    name: str
    way: str  #: as short or as long ones
    recordings: tuple[Normalized, ...]
    speech: tuple[tuple[SpeechSpan, ...], ...]  #: of each recording, as medasr's detector finds it
    sources: tuple[Spoken, ...]  #: what they were made of
    rounds: int
    part: RecordingSet | None = None  #: what the slow programs transcribe in place of it; None for nothing

    @property
    def seconds(self) -> float:
        return sum(one.seconds for one in self.recordings)

    @property
    def references(self) -> list[str]:
        return [one.spoken.reference for one in self.recordings]

    def learned(self, adapter: str) -> bool:
        """Whether an adapter has learned from any of it; never without one."""
        return bool(adapter and read_heard(Path(adapter)).overlap(_utterance(one) for one in self.sources))


def recording_sets(options: Options, folder: Path) -> list[RecordingSet]:
    """All sets, decoded into a folder, those of short recordings first."""
    detector = SpeechDetector(SpeechOptions())

    def made(
        name: str,
        way: str,
        decoded: Sequence[Normalized],
        rounds: int,
        sources: Sequence[Spoken] = (),
        part: Sequence[Normalized] = (),
    ) -> RecordingSet:
        return RecordingSet(
            name=name,
            way=way,
            recordings=tuple(decoded),
            speech=tuple(tuple(detector.detect(read_normalized(one.pcm))) for one in decoded),
            sources=tuple(sources) or tuple(one.spoken for one in decoded),
            rounds=options.pick(rounds, 1),
            part=made(name, way, part, 1) if part else None,
        )

    real = normalized(recordings(options, 48, 4), folder / "real")
    brief = spread(invented(0.0, _CONSULTATION_SECONDS), options.pick(24, 4))
    talks = spread([*invented(_CONSULTATION_SECONDS), *sample_recordings()], options.pick(9, 1))
    clips = recordings(options, 10_000, 4)
    decoded = normalized(clips, folder / "clips")
    consultation, third, hour = (
        partial(join, decoded, seconds, folder / name)
        for name, seconds in (
            ("consultation", options.pick(_JOINED_SECONDS, 40.0)),
            ("third", options.pick(_JOINED_SECONDS / 3, 20.0)),
            ("hour", options.pick(_HOUR_SECONDS, 80.0)),
        )
    )
    sets = [
        made("short recordings", SHORT, real, 3, part=real[::3]),
        made("short recordings, invented", SHORT, normalized(brief, folder / "brief"), 1),
        made("a consultation, joined", LONG, [consultation()], 2, clips, part=[third()]),
        made("consultations, invented", LONG, normalized(talks, folder / "talks"), 1),
    ]
    return [*sets, made("an hour, joined", LONG, [hour()], 1, clips)] if options.hour else sets


def _utterance(spoken: Spoken) -> Utterance:
    """As an adapter recognizes it: by its bytes and its text."""
    return Utterance(
        id=str(spoken.path),
        reference=spoken.reference,
        speaker=None,
        prompt=None,
        part=None,
        audio_sha256=hashlib.sha256(spoken.path.read_bytes()).hexdigest(),
    )
