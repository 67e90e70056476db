"""What matters about a dataset, in sentences: each is computed, and left out where there is nothing to say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medasr.exploration.survey import Survey

#: A rank correlation beyond this is one.
_CORRELATED = 0.2


def findings(survey: Survey) -> tuple[str, ...]:
    """The most important first; no text of a recording and no speaker is named."""
    return tuple(
        sentence for part in (_phrases, _unusable, _dropped, _noise, _audio, _terms) for sentence in part(survey)
    )


def _phrases(survey: Survey) -> Iterator[str]:
    repeated = survey.recordings - survey.phrases
    if repeated > 0:
        yield (
            f"{survey.recordings:,} recordings say {survey.phrases:,} different phrases. Whoever splits them at random has phrases of "
            "the test part among the training phrases, and measures memory. Use the split phrase-and-speaker-disjoint."
        )
    for split in survey.splits:
        if split.warnings:
            yield f"The split {split.name} leaks: {'; '.join(split.warnings)}."
    for split in survey.splits:
        if split.name == "phrase-and-speaker-disjoint":
            test = split.parts["test"]
            yield (
                f"Split by phrases and speakers, {test.recordings:,} recordings ({test.seconds / 60:.1f} min) of "
                f"{_speakers(test.speakers)} test, and {split.unused:,} are unused, since they combine a speaker of one part with a phrase of another."
            )


def _speakers(count: int) -> str:
    return "1 speaker" if count == 1 else f"{count} speakers"


def _unusable(survey: Survey) -> Iterator[str]:
    if survey.unusable:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in survey.unusable.items())
        yield f"{sum(survey.unusable.values()):,} entries cannot be used at all: {counts}."


def _dropped(survey: Survey) -> Iterator[str]:
    entries, kept = survey.preparation.stages[0].before, len(survey.preparation.kept)
    stages = ", ".join(f"{stage.dropped:,} by {stage.name}" for stage in survey.preparation.stages if stage.dropped)
    yield f"The preparation keeps {kept:,} of {entries:,} entries{f' and drops {stages}' if stages else ''}."


def _noise(survey: Survey) -> Iterator[str]:
    view = survey.preparation.notebook
    if view.noisy:
        yield (
            f"Taking the loudest for the noisiest, as the notebook does, would drop {len(view.noisy):,} recordings; "
            f"{len(view.noisy_yet_clean):,} of these have a good signal-to-noise ratio: they are merely loud."
        )
    correlation = survey.noise.rank_correlation
    if correlation is not None and correlation > _CORRELATED:
        yield f"Here louder recordings are even the cleaner ones (rank correlation {correlation:+.2f})."


def _audio(survey: Survey) -> Iterator[str]:
    if survey.durations and survey.levels:
        rates = ", ".join(f"{rate / 1000:g} kHz" for rate in survey.sample_rates)
        yield (
            f"{survey.seconds / 3600:.2f} hours in all, half of the recordings shorter than {survey.durations.median:.1f} s; {rates}; "
            f"levels from {survey.levels.low:.0f} to {survey.levels.high:.0f} dBFS (5 % to 95 %)."
        )


def _terms(survey: Survey) -> Iterator[str]:
    terms = survey.terms
    share = 100 * terms.recordings / survey.recordings
    yield (
        f"{len(terms.terms):,} of the lexicon's {terms.lexicon_terms:,} terms occur, {terms.occurrences:,} times, in {share:.0f} % of "
        "the recordings."
    )
    drugs = sum(term.occurrences for term in terms.terms if term.category == "drug")
    if drugs < 20:
        yield f"Drugs are named {drugs} times: whatever is said of accuracy on drugs rests on that."
