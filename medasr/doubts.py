"""Drugs and doses that the model was not sure of: what a person should look at first, since a wrong one does harm and reads well."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from medasr.lexicon.doses import dose_start
from medasr.lexicon.matching import confidence_of, spoken_words, text_offsets
from medasr.quality import ConcernCode, verdict_on
from medasr.types import Concern

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from medasr.quality import QualityThresholds
    from medasr.types import TermHit, Transcript

_DRUG, _UNIT = "drug", "unit"


def mark_doubtful_terms(transcript: Transcript, terms: Sequence[TermHit], thresholds: QualityThresholds) -> Transcript:
    """Given a transcript and all its medical terms, return it with a concern for each drug and each dose that was a guess.

    These concerns stand before all others, and their code with the segments in which they begin. What a drug's confidence is:
    :func:`medasr.lexicon.find_terms`; a dose, a unit with its number, is no surer than the less sure of the two.
    """
    found = list(_doubtful(transcript, terms, thresholds.min_term_confidence))
    if not found:
        return transcript
    touched = {index for index, _ in found}
    code = str(ConcernCode.DOUBTFUL_TERM)
    return replace(
        transcript,
        segments=tuple(
            replace(one, concerns=(code, *one.concerns)) if one.index in touched else one for one in transcript.segments
        ),
        verdict=verdict_on(
            (*(concern for _, concern in found), *transcript.verdict.concerns), has_text=bool(transcript.segments)
        ),
    )


def _doubtful(transcript: Transcript, terms: Sequence[TermHit], least: float) -> Iterator[tuple[int, Concern]]:
    """The concerns in the order of the text, each with the index of its term's segment."""
    segments = transcript.segments
    offsets = text_offsets(segments)
    for term in terms:
        confidence, start = term.confidence, term.start
        if term.category == _UNIT:
            first = dose_start(transcript.text, term.position)
            if number := spoken_words(segments, offsets, first, term.position) if first < term.position else []:
                confidence, start = min(confidence, confidence_of(number)), number[0].start
        elif term.category != _DRUG:
            continue
        if confidence < least:
            yield (
                term.segment,
                Concern(code=ConcernCode.DOUBTFUL_TERM, value=confidence, start=start, end=term.end),
            )
