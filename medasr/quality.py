"""Guards against what Whisper is known to do wrong: text on noise, loops, guesses, and speech passed over.

Each guard looks at one window's hypothesis and gives concerns with the figure behind them. About 1 % of Whisper's segments are
invented (Koenecke et al. 2024, https://arxiv.org/abs/2402.08021), and loops come with high confidence, so no single figure is enough.
The thresholds' defaults are those of openai/whisper's own fallback, but for the log-probability: -1 passes over most of what is badly
wrong. Of 223 real recordings with whisper-base, -0.5 names 15 with a word error rate of 41 %, and the rest has 6 %.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from medasr.phantoms import is_phantom
from medasr.types import Concern, SpeechSpan, Verdict, VerdictKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from medasr.types import Hypothesis

#: A phrase said this often in a row, and this many words long together, is a loop that compression does not show yet.
_LOOP_REPEATS = 4
_LOOP_WORDS = 8
_LOOP_LONGEST_PHRASE = 8

#: From here on a known phantom is suspicious. Where people gave thanks or took leave it was 0.33 at most, on sounds 0.5 and more.
_PHANTOM_NO_SPEECH = 0.4

#: From here on a guess is put down to another language, in windows of a second at least. Without a guess it says little: of 223 recordings
#: in English, many with an accent, 28 are beyond it with whisper-base.
_OTHER_LANGUAGE = 0.6
_OTHER_LANGUAGE_SECONDS = 1.0

#: Nobody who speaks for so long, pauses not counted, says so little: of a segment with less most was passed over. Of 28 windows of joined
#: recordings the slowest whole text has 10 characters a second, one that had begun in the middle 2.
_LEAST_CHARACTERS_PER_SECOND = 3.0
_SPARSE_SECONDS = 6.0

#: Shorter speech is taken to be this long when words per second are counted.
_LEAST_JUDGED_SECONDS = 1.0


class ConcernCode(StrEnum):
    """Why a person should look."""

    DOUBTFUL_TERM = "DOUBTFUL_TERM"  # a drug or a dose was a guess; see medasr.doubts
    NOT_SPEECH = "NOT_SPEECH"  # the model itself doubts that anybody spoke; its text was withheld
    LOOP = "LOOP"  # the text repeats itself
    LOW_CONFIDENCE = "LOW_CONFIDENCE"  # the model was guessing
    TOO_FAST = "TOO_FAST"  # more words than anybody can say in the time
    TRUNCATED = "TRUNCATED"  # the token limit came before the end of the text
    LOW_COVERAGE = "LOW_COVERAGE"  # speech without text, or with too little
    OUTSIDE_SPEECH = "OUTSIDE_SPEECH"  # text where nobody speaks
    PHANTOM = "PHANTOM"  # what the model is known to write where nobody speaks, and it doubts that anybody does
    OTHER_LANGUAGE = (
        "OTHER_LANGUAGE"  # the model was guessing, and it sounds like another language than the one configured
    )


#: Where a transcript has no text and no other concerns, nobody spoke.
_NO_WORDS = (ConcernCode.NOT_SPEECH, ConcernCode.PHANTOM)


@dataclass(frozen=True, kw_only=True)
class QualityThresholds:
    """Figures beyond which a person should look; the fields of the configuration's ``[quality]``."""

    max_compression_ratio: float = 2.4
    min_log_probability: float = -0.5  #: natural logarithm, mean over tokens
    max_no_speech_probability: float = 0.6
    max_words_per_second: float = 6.0
    max_uncovered_seconds: float = 1.5  #: the longest stretch of speech that may have no text
    min_term_confidence: float = 0.5  #: of a drug or a dose


def judge_window(
    window: SpeechSpan, hypothesis: Hypothesis, speech: Sequence[SpeechSpan], thresholds: QualityThresholds
) -> tuple[Concern, ...]:
    """Given a window, what was written for it and the recording's speech, return its concerns, times from the recording's start.

    A window that is not speech has no other concern, unless that its text is a known phantom: nothing of it is kept.
    """
    phantom = tuple(_phantom(window, hypothesis))
    if _is_not_speech(hypothesis, thresholds, suspicious=bool(phantom)):
        return (_concern(ConcernCode.NOT_SPEECH, hypothesis.no_speech_probability, window), *phantom)
    spoken = [part for span in speech if (part := _common(span, window))]
    written = [
        SpeechSpan(start=window.start + segment.start, end=window.start + segment.end)
        for segment in hypothesis.segments
        if has_words(segment.text)
    ]
    return (
        *phantom,
        *_whole_text(window, hypothesis, spoken, thresholds),
        *_guesses(window, hypothesis, thresholds),
        *(
            _concern(ConcernCode.OUTSIDE_SPEECH, piece.seconds, piece)
            for piece in written
            if spoken and not any(_common(span, piece) for span in spoken)
        ),
        *(
            _concern(ConcernCode.LOW_COVERAGE, gap.seconds, gap)
            for span in spoken
            for gap in _without(span, written)
            if gap.seconds > thresholds.max_uncovered_seconds
        ),
        *(() if phantom else _sparse(window, hypothesis, spoken)),
    )


def verdict_on(concerns: Iterable[Concern], *, has_text: bool) -> Verdict:
    """The verdict that a transcript's concerns add up to."""
    concerns = tuple(concerns)
    withheld_only = all(concern.code in _NO_WORDS for concern in concerns)
    if not has_text and withheld_only:
        return Verdict(kind=VerdictKind.NO_SPEECH, concerns=concerns)
    return Verdict(kind=VerdictKind.NEEDS_REVIEW if concerns else VerdictKind.OK, concerns=concerns)


def has_words(text: str) -> bool:
    """Whether there is more than punctuation, which Whisper writes for breath and noise."""
    return any(map(str.isalnum, text))


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


def is_loop(text: str, thresholds: QualityThresholds) -> bool:
    """Whether a text of a window's length repeats itself; of longer ones zlib finds more to save than a window has."""
    return compression_ratio(text) > thresholds.max_compression_ratio or longest_repetition(text) >= _LOOP_REPEATS


def _is_not_speech(hypothesis: Hypothesis, thresholds: QualityThresholds, *, suspicious: bool) -> bool:
    """Whether the model doubts that anybody spoke, and its text looks like it: on noise it guesses or loops, and loops confidently.

    A suspicious phantom needs no more than one of the two, doubt or a guess.
    """
    doubted = hypothesis.no_speech_probability > thresholds.max_no_speech_probability
    guessed = hypothesis.mean_log_probability < thresholds.min_log_probability
    if suspicious:
        return doubted or guessed
    return doubted and (guessed or _loops(hypothesis, thresholds))


def _phantom(window: SpeechSpan, hypothesis: Hypothesis) -> Iterator[Concern]:
    if hypothesis.no_speech_probability > _PHANTOM_NO_SPEECH and is_phantom(hypothesis.text):
        yield _concern(ConcernCode.PHANTOM, hypothesis.no_speech_probability, window)


def _loops(hypothesis: Hypothesis, thresholds: QualityThresholds) -> bool:
    return (
        hypothesis.compression_ratio > thresholds.max_compression_ratio
        or longest_repetition(hypothesis.text) >= _LOOP_REPEATS
    )


def _whole_text(
    window: SpeechSpan, hypothesis: Hypothesis, spoken: Sequence[SpeechSpan], thresholds: QualityThresholds
) -> Iterator[Concern]:
    if hypothesis.truncated:
        yield _concern(ConcernCode.TRUNCATED, len(hypothesis.text), window)
    if _loops(hypothesis, thresholds):
        yield _concern(ConcernCode.LOOP, hypothesis.compression_ratio, window)
    seconds = max(sum(span.seconds for span in spoken), _LEAST_JUDGED_SECONDS)
    words_per_second = len(hypothesis.text.split()) / seconds
    if words_per_second > thresholds.max_words_per_second:
        yield _concern(ConcernCode.TOO_FAST, words_per_second, window)


def _sparse(window: SpeechSpan, hypothesis: Hypothesis, spoken: Sequence[SpeechSpan]) -> Iterator[Concern]:
    """Segments that cover their speech by their times only."""
    for segment in hypothesis.segments:
        place = SpeechSpan(start=window.start + segment.start, end=window.start + segment.end)
        seconds = sum(part.seconds for span in spoken if (part := _common(span, place)))
        few = len(segment.text) < _LEAST_CHARACTERS_PER_SECOND * seconds
        if few and seconds >= _SPARSE_SECONDS and has_words(segment.text):
            yield _concern(ConcernCode.LOW_COVERAGE, seconds, place)


def _guesses(window: SpeechSpan, hypothesis: Hypothesis, thresholds: QualityThresholds) -> Iterator[Concern]:
    guessed = [one for one in hypothesis.segments if one.mean_log_probability < thresholds.min_log_probability]
    for segment in guessed:
        place = SpeechSpan(start=window.start + segment.start, end=window.start + segment.end)
        yield _concern(ConcernCode.LOW_CONFIDENCE, segment.mean_log_probability, place)
    foreign = hypothesis.other_language_probability > _OTHER_LANGUAGE and window.seconds >= _OTHER_LANGUAGE_SECONDS
    if guessed and foreign:
        yield _concern(ConcernCode.OTHER_LANGUAGE, hypothesis.other_language_probability, window)


def _common(one: SpeechSpan, other: SpeechSpan) -> SpeechSpan | None:
    """Where two spans overlap, if they do."""
    start, end = max(one.start, other.start), min(one.end, other.end)
    return SpeechSpan(start=start, end=end) if end > start else None


def _without(span: SpeechSpan, pieces: Sequence[SpeechSpan]) -> Iterator[SpeechSpan]:
    """What is left of a span when pieces, in order, are taken out."""
    start = span.start
    for piece in pieces:
        if start < piece.start < span.end:
            yield SpeechSpan(start=start, end=piece.start)
        start = max(start, piece.end)
    if start < span.end:
        yield SpeechSpan(start=start, end=span.end)


def _concern(code: ConcernCode, value: float, place: SpeechSpan) -> Concern:
    return Concern(code=code, value=float(value), start=place.start, end=place.end)
