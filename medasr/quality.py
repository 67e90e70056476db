"""Guards against what Whisper is known to do wrong: text on noise, loops, guesses, and speech passed over.

Each guard looks at one window's hypothesis and gives concerns with the figure behind them. The thresholds' defaults are those of
openai/whisper's own fallback where it has one; about 1 % of Whisper's segments are invented without help (Koenecke et al. 2024,
https://arxiv.org/abs/2402.08021), and loops come with high confidence, so no single figure is enough.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from medasr.types import Concern, Verdict, VerdictKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from medasr.types import Hypothesis, SpeechSpan

#: A phrase said this often in a row, and this many words long together, is a loop that compression does not show yet.
_LOOP_REPEATS = 4
_LOOP_WORDS = 8
_LOOP_LONGEST_PHRASE = 8

#: Shorter speech says nothing about how fast or how completely it was written down.
_MIN_JUDGED_SECONDS = 1.0


class ConcernCode(StrEnum):
    """Why a person should look."""

    NOT_SPEECH = "NOT_SPEECH"  # the model itself doubts that anybody spoke; its text was withheld
    LOOP = "LOOP"  # the text repeats itself
    LOW_CONFIDENCE = "LOW_CONFIDENCE"  # the model was guessing
    TOO_FAST = "TOO_FAST"  # more words than anybody can say in the time
    TRUNCATED = "TRUNCATED"  # the token limit came before the end of the text
    LOW_COVERAGE = "LOW_COVERAGE"  # speech without text
    OUTSIDE_SPEECH = "OUTSIDE_SPEECH"  # text where nobody speaks


@dataclass(frozen=True, kw_only=True)
class QualityThresholds:
    """Figures beyond which a person should look; the fields of the configuration's ``[quality]``."""

    max_compression_ratio: float = 2.4
    min_log_probability: float = -1.0  #: natural logarithm, mean over tokens
    max_no_speech_probability: float = 0.6
    max_words_per_second: float = 6.0
    min_coverage: float = 0.5  #: share of a window's speech that lies within text


def judge_window(
    window: SpeechSpan, hypothesis: Hypothesis, speech: Sequence[SpeechSpan], thresholds: QualityThresholds
) -> tuple[Concern, ...]:
    """Given a window, what was written for it and the recording's speech, return its concerns, times from the recording's start.

    A window that is not speech has no other concern: nothing of it is kept.
    """
    if (
        hypothesis.no_speech_probability > thresholds.max_no_speech_probability
        and hypothesis.mean_log_probability < thresholds.min_log_probability
    ):
        return (_concern(ConcernCode.NOT_SPEECH, hypothesis.no_speech_probability, window),)
    spoken = [(max(span.start, window.start), min(span.end, window.end)) for span in speech]
    spoken = [(start, end) for start, end in spoken if end > start]
    return (
        *_whole_window(window, hypothesis, spoken, thresholds),
        *_segments(window, hypothesis, spoken, thresholds),
    )


def verdict_on(concerns: Iterable[Concern], *, has_text: bool) -> Verdict:
    """The verdict that a transcript's concerns add up to."""
    concerns = tuple(concerns)
    withheld_only = all(concern.code == ConcernCode.NOT_SPEECH for concern in concerns)
    if not has_text and withheld_only:
        return Verdict(kind=VerdictKind.NO_SPEECH, concerns=concerns)
    return Verdict(kind=VerdictKind.NEEDS_REVIEW if concerns else VerdictKind.OK, concerns=concerns)


def compression_ratio(text: str) -> float:
    """UTF-8 bytes over zlib bytes, as openai/whisper counts it; 0 for no text."""
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded))


def longest_repetition(text: str) -> int:
    """How often a phrase of up to 8 words is said in a row, if that makes at least 8 words together; otherwise 1 (0 for no words)."""
    words = re.findall(r"[\w']+", text.lower())
    most = min(len(words), 1)
    for size in range(1, _LOOP_LONGEST_PHRASE + 1):
        run = 0  # words that equal the word one phrase earlier
        for index in range(size, len(words)):
            run = run + 1 if words[index] == words[index - size] else 0
            if run + size >= _LOOP_WORDS:
                most = max(most, (run + size) // size)
    return most


def _whole_window(
    window: SpeechSpan, hypothesis: Hypothesis, spoken: list[tuple[float, float]], thresholds: QualityThresholds
) -> Iterator[Concern]:
    seconds = sum(end - start for start, end in spoken)
    if hypothesis.truncated:
        yield _concern(ConcernCode.TRUNCATED, 1.0, window)
    if hypothesis.compression_ratio > thresholds.max_compression_ratio:
        yield _concern(ConcernCode.LOOP, hypothesis.compression_ratio, window)
    elif (repeats := longest_repetition(hypothesis.text)) >= _LOOP_REPEATS:
        yield _concern(ConcernCode.LOOP, repeats, window)
    if seconds < _MIN_JUDGED_SECONDS:
        return
    words_per_second = len(hypothesis.text.split()) / seconds
    if words_per_second > thresholds.max_words_per_second:
        yield _concern(ConcernCode.TOO_FAST, words_per_second, window)
    written = [
        (window.start + segment.start, window.start + segment.end) for segment in hypothesis.segments if segment.text
    ]
    coverage = sum(_overlap(span, piece) for span in spoken for piece in written) / seconds
    if coverage < thresholds.min_coverage:
        yield _concern(ConcernCode.LOW_COVERAGE, coverage, window)


def _segments(
    window: SpeechSpan, hypothesis: Hypothesis, spoken: list[tuple[float, float]], thresholds: QualityThresholds
) -> Iterator[Concern]:
    for segment in hypothesis.segments:
        start, end = window.start + segment.start, window.start + segment.end
        if segment.mean_log_probability < thresholds.min_log_probability:
            yield Concern(code=ConcernCode.LOW_CONFIDENCE, value=segment.mean_log_probability, start=start, end=end)
        if not any(_overlap(span, (start, end)) > 0 for span in spoken):
            yield Concern(code=ConcernCode.OUTSIDE_SPEECH, value=end - start, start=start, end=end)


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


def _concern(code: ConcernCode, value: float, window: SpeechSpan) -> Concern:
    return Concern(code=code, value=float(value), start=window.start, end=window.end)
