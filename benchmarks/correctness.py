"""How right a transcript is: the word error rate as medasr's evaluations count it, what was left out, and how much speech has text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.programs.written import Written
from medasr.metrics.alignment import align_words, collapse, count_edits
from medasr.text.normalizers import text_normalizer
from medasr.types import SpeechSpan

_NORMALIZER = text_normalizer("clinical-en")


@dataclass(frozen=True, kw_only=True)
class Correctness:
    """Over all recordings of a set, in percent."""

    word_error_rate: float  #: after normalization
    dropped: float  #: share of the words said in whose place nothing is written
    coverage: (
        float | None
    )  #: share of the speech that lies within the times of what is written; None where there are no times


def judge(references: Sequence[str], written: Sequence[Written], speech: Sequence[Sequence[SpeechSpan]]) -> Correctness:
    """Hold what was written of each recording against what is said in it, and where."""
    counts = [
        count_edits(align_words(collapse(_NORMALIZER(reference)), collapse(_NORMALIZER(one.text))))
        for reference, one in zip(references, written, strict=True)
    ]
    words = sum(one.reference_length for one in counts)
    return Correctness(
        word_error_rate=100 * sum(one.errors for one in counts) / words,
        dropped=100 * sum(one.deletions for one in counts) / words,
        coverage=_coverage(written, speech),
    )


def _coverage(written: Sequence[Written], speech: Sequence[Sequence[SpeechSpan]]) -> float | None:
    if not any(one.spans for one in written):
        return None
    covered = sum(_overlap(span, one.spans) for one, spans in zip(written, speech, strict=True) for span in spans)
    return 100 * covered / sum(span.seconds for spans in speech for span in spans)


def _overlap(speech: SpeechSpan, spans: Sequence[tuple[float, float]]) -> float:
    """Seconds of a stretch of speech that lie within any of the spans."""
    seconds, reached = 0.0, speech.start
    for start, end in sorted(spans):
        seconds += max(0.0, min(end, speech.end) - max(start, reached))
        reached = max(reached, min(end, speech.end))
    return seconds
