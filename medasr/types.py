"""What flows through medasr while it transcribes: frozen, keyword-only dataclasses, in the order in which the data moves.

What flows while it is measured stands in :mod:`medasr.dataset.utterance`, :mod:`medasr.metrics.scores` and :mod:`medasr.evaluation`.

Times are seconds from the start of the recording, levels are dB relative to full scale (dBFS), probabilities lie in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    #: Mono samples at :data:`SAMPLE_RATE`, float32, finite, within ±1, shape ``[n]``.
    Waveform = NDArray[np.float32]

#: Whisper's sampling rate, Hz.
SAMPLE_RATE = 16_000

#: The longest window Whisper's encoder takes, seconds.
WINDOW_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class AudioFacts:
    """What a recording turned out to be, measured on the original before anything was changed.

    Given by :func:`medasr.audio.normalize`; stored with the recording.
    """

    container: str  #: libsndfile's major format: WAV, WAVEX, RF64, FLAC, OGG, MP3 ...
    encoding: str  #: libsndfile's subtype: PCM_16, FLOAT, VORBIS ...
    sample_rate: int  #: Hz
    channels: int
    frames: int  #: frames decoded
    declared_frames: int | None  #: frames the header promises; None where the header does not say
    seconds: float
    rms_dbfs: float  #: of the mono mix, before any gain
    peak_dbfs: float
    dc_offset: float  #: mean of the mono mix, removed from the output
    clipped_share: float  #: share of samples at full scale in runs of three or more
    snr_db: float | None  #: estimated from frame energies; None when there is no level difference to estimate it from
    gain_db: float  #: applied to the output
    warnings: tuple[str, ...] = ()  #: codes such as CLIPPED, PHASE_INVERTED, DEAD_CHANNEL, TRUNCATED


@dataclass(frozen=True, kw_only=True)
class SpeechSpan:
    """A stretch of a recording in which somebody speaks."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """The span's length."""
        return self.end - self.start


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """Everything about the model that decides what it would write: two transcripts are comparable only if these are equal."""

    base_id: str  #: pack name, hub id or directory name
    base_revision: str  #: 40-hex hub commit, or the pack's version
    base_sha256: str  #: of the safetensors weights
    adapter_sha256: str | None  #: of the LoRA weights; None for a stock model
    precision: str  #: nf4, bf16, fp16 or fp32: what the weights were really loaded as
    audio_context: str = "full"  #: full (30 s windows) or variable (windows as long as the speech)


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word as it was written, with the punctuation behind it; times count as those of the segment it stands in."""

    start: float
    end: float
    text: str
    confidence: float  #: geometric mean of the probabilities of its tokens


@dataclass(frozen=True, kw_only=True)
class HypothesisSegment:
    """One time-stamped piece of what the model wrote for one window; times count from the window's start."""

    start: float
    end: float
    text: str
    mean_log_probability: float  #: natural logarithm, mean over the segment's tokens
    words: tuple[Word, ...] = ()  #: all of the text, in order; empty where they were not timed
    biased: tuple[int, ...] = ()  #: which of the text's words, parted by spaces, stand there because of a list of terms


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """What the model wrote for one window of at most 30 s."""

    text: str
    segments: tuple[HypothesisSegment, ...]
    mean_log_probability: float
    no_speech_probability: float
    compression_ratio: float  #: UTF-8 bytes over zlib bytes, as openai/whisper counts it; above 2.4 it is a loop
    truncated: bool = False  #: the token limit was reached before the end of the text
    other_language_probability: float = 0.0  #: that of all languages but the one the model was told


@dataclass(frozen=True, kw_only=True)
class TermLists:
    """Lists of terms by name, and what a term of any of them earns: natural logarithms, for each token and at most."""

    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    weight: float = 1.0
    maximum: float = 4.0


class VerdictKind(StrEnum):
    """What may be done with a transcript."""

    OK = "ok"
    NEEDS_REVIEW = "needs_review"
    NO_SPEECH = "no_speech"


@dataclass(frozen=True, kw_only=True)
class Concern:
    """A reason why a person should look: a code, the figure behind it, and where in the recording."""

    code: str  #: LOOP, LOW_CONFIDENCE, NOT_SPEECH, TOO_FAST, LOW_COVERAGE ...
    value: float
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The judgement over a whole transcript, with every concern that led to it."""

    kind: VerdictKind
    concerns: tuple[Concern, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One piece of a finished transcript; times count from the recording's start."""

    index: int
    start: float
    end: float
    text: str
    mean_log_probability: float
    no_speech_probability: float
    compression_ratio: float
    concerns: tuple[str, ...] = ()  #: codes of the concerns that touch this segment
    words: tuple[Word, ...] = ()  #: all of the text, in order; empty where they were not timed
    biased: tuple[int, ...] = ()  #: which of the text's words, parted by spaces, stand there because of a list of terms


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """What was said in one recording."""

    text: str  #: the segments' texts joined by single spaces
    language: str
    segments: tuple[Segment, ...]
    speech: tuple[SpeechSpan, ...]
    verdict: Verdict

    @property
    def speech_seconds(self) -> float:
        """How long somebody speaks, in seconds."""
        return sum(span.seconds for span in self.speech)


@dataclass(frozen=True, kw_only=True)
class TermHit:
    """A medical term heard in a transcript."""

    term: str  #: the lexicon's canonical form
    category: str  #: symptom, anatomy, condition, drug, procedure, test or unit
    surface: str  #: the words as they stand in the transcript
    segment: int  #: index of the segment in which the term begins
    position: int  #: offset of the first character in the transcript's text
    length: int  #: characters
    start: float  #: seconds, of the first word; interpolated within the segment where words were not timed
    end: float
    confidence: float  #: geometric mean of the probabilities of its words; of the segment where words were not timed
