"""Puts together what the model wrote for a recording's windows: one transcript, times from the recording's start, with a verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from medasr.quality import ConcernCode, has_words, judge_window, verdict_on
from medasr.types import Segment, Transcript

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from medasr.quality import QualityThresholds
    from medasr.types import Concern, Hypothesis, SpeechSpan, Word


def assemble(
    windows: Sequence[SpeechSpan],
    hypotheses: Sequence[Hypothesis],
    speech: Sequence[SpeechSpan],
    language: str,
    thresholds: QualityThresholds,
) -> Transcript:
    """Given a recording's windows in order, one hypothesis for each, and its speech, return the transcript.

    The text of a window that is not speech is withheld. Without speech, or with nothing left, the verdict is NO_SPEECH.
    """
    segments: list[Segment] = []
    concerns: list[Concern] = []
    for window, hypothesis in zip(windows, hypotheses, strict=True):
        found = judge_window(window, hypothesis, speech, thresholds)
        concerns += found
        if not any(concern.code == ConcernCode.NOT_SPEECH for concern in found):
            segments += _segments(window, hypothesis, found, len(segments))
    return Transcript(
        text=" ".join(segment.text for segment in segments),
        language=language,
        segments=tuple(segments),
        speech=tuple(speech),
        verdict=verdict_on(concerns, has_text=bool(segments)),
    )


def _segments(
    window: SpeechSpan, hypothesis: Hypothesis, concerns: Sequence[Concern], first_index: int
) -> Iterator[Segment]:
    written = [segment for segment in hypothesis.segments if has_words(segment.text)]
    for index, segment in enumerate(written, first_index):
        start, end = window.start + segment.start, min(window.start + segment.end, window.end)
        yield Segment(
            index=index,
            start=start,
            end=end,
            text=segment.text,
            mean_log_probability=segment.mean_log_probability,
            no_speech_probability=hypothesis.no_speech_probability,
            compression_ratio=hypothesis.compression_ratio,
            words=tuple(_moved(word, window) for word in segment.words),
            biased=segment.biased,
            concerns=tuple(
                dict.fromkeys(
                    str(concern.code) for concern in concerns if concern.start <= start and end <= concern.end
                )
            ),
        )


def _moved(word: Word, window: SpeechSpan) -> Word:
    """A word of a window with times from the recording's start."""
    return replace(word, start=window.start + word.start, end=min(window.start + word.end, window.end))
