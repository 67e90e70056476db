"""One hypothesis against its reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medasr.dataset.utterance import Exclusion, ExclusionReason
from medasr.metrics.alignment import align_characters, align_words, collapse, count_edits, describe
from medasr.metrics.scores import ScoredUtterance, TermOutcomeKind
from medasr.metrics.terms import judge_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from medasr.lexicon import Lexicon


def score_utterance(
    *,
    id: str,  # noqa: A002 - the field's name
    speaker: str | None,
    seconds: float,
    reference: str,
    hypothesis: str,
    normalizer: Callable[[str], str],
    lexicon: Lexicon,
    confidences: Sequence[tuple[str, float]] = (),
) -> ScoredUtterance | Exclusion:
    """Score an utterance.

    Given the texts as they are, the length of the audio in seconds, what counts as the same text, and the terms to look for, return
    the counts; an exclusion where nothing is left of the reference after normalization. The hypothesis may be empty. Make the lexicon
    with :func:`medasr.metrics.vocabulary.normalize_lexicon`, once for all utterances, or terms that the normalizer changes are not found.
    ``confidences`` are those of the hypothesis's terms, with their names, in the order of the text, as :func:`medasr.lexicon.find_terms` gives them.
    """
    reference, hypothesis = collapse(reference), collapse(hypothesis)
    normalized_reference, normalized_hypothesis = collapse(normalizer(reference)), collapse(normalizer(hypothesis))
    if not normalized_reference:
        return Exclusion(id=id, reason=ExclusionReason.EMPTY_REFERENCE)
    alignment = align_words(normalized_reference, normalized_hypothesis)
    said, written = normalized_reference.split(), normalized_hypothesis.split()
    terms = judge_terms(lexicon, said, written, alignment, confidences)
    expected = [outcome.reference for outcome in terms if outcome.kind is not TermOutcomeKind.INVENTED]
    return ScoredUtterance(
        id=id,
        speaker=speaker,
        seconds=seconds,
        reference=reference,
        hypothesis=hypothesis,
        normalized_reference=normalized_reference,
        normalized_hypothesis=normalized_hypothesis,
        words=count_edits(align_words(reference, hypothesis)),
        characters=count_edits(align_characters(reference, hypothesis)),
        normalized_words=count_edits(alignment),
        normalized_characters=count_edits(align_characters(normalized_reference, normalized_hypothesis)),
        alignment=tuple(describe(alignment, said, written)),
        terms=terms,
        notebook_terms=(len(expected), sum(term in normalized_hypothesis for term in expected)),
    )
