"""What is counted when a hypothesis is held against its reference. Rates are in percent; the definitions: docs/metrics.md."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: The metrics every evaluation shows, in this order; names of the fields of :class:`Scores`.
HEADLINE = ("wer", "normalized_wer", "cer", "normalized_cer", "mta", "term_precision")

#: Of these a larger value is better; of all others a smaller one.
HIGHER_IS_BETTER = frozenset({"mta", "term_precision", "drug_mta", "drug_precision", "macro_mta", "notebook_mta"})


@dataclass(frozen=True, kw_only=True)
class EditCounts:
    """How words (or characters) of a hypothesis differ from the reference's, over a minimal alignment."""

    hits: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def reference_length(self) -> int:
        """Words or characters in the reference."""
        return self.hits + self.substitutions + self.deletions


class Edit(StrEnum):
    """What became of a stretch of words."""

    EQUAL = "equal"
    SUBSTITUTE = "substitute"
    DELETE = "delete"
    INSERT = "insert"


@dataclass(frozen=True, kw_only=True)
class AlignedWords:
    """A stretch of the word alignment between normalized reference and normalized hypothesis."""

    edit: Edit
    reference: str  #: words joined by spaces; empty for an insertion
    hypothesis: str  #: empty for a deletion


class TermOutcomeKind(StrEnum):
    """What became of a medical term."""

    CORRECT = "correct"
    MISSED = "missed"  # in the reference, not in the aligned hypothesis
    INVENTED = "invented"  # in the hypothesis, not in the aligned reference: the dangerous error


@dataclass(frozen=True, kw_only=True)
class TermOutcome:
    """One occurrence of a medical term, in the reference, the hypothesis or both."""

    term: str  #: the lexicon's canonical form
    category: str
    kind: TermOutcomeKind
    reference: str  #: the words at this place of the normalized reference; empty when nothing is aligned
    hypothesis: str  #: the words at this place of the normalized hypothesis; empty when nothing is aligned
    confidence: float | None = None  #: 0..1, of the written term; None where none was written, or nobody noted it


@dataclass(frozen=True, kw_only=True)
class ScoredUtterance:
    """A hypothesis held against its reference."""

    id: str
    speaker: str | None
    seconds: float  #: of audio
    reference: str
    hypothesis: str
    normalized_reference: str
    normalized_hypothesis: str
    words: EditCounts  #: of the texts as they are
    characters: EditCounts
    normalized_words: EditCounts
    normalized_characters: EditCounts
    alignment: tuple[AlignedWords, ...]
    terms: tuple[TermOutcome, ...]
    notebook_terms: tuple[
        int, int
    ]  #: terms of the reference, and those of them that the hypothesis contains anywhere as text


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure in percent with its 95 % confidence interval; all three None where nothing could be counted."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class TermCounts:
    """Occurrences of terms of one kind."""

    correct: int
    missed: int
    invented: int

    @property
    def accuracy(self) -> float | None:
        """Share of the references' occurrences that were recognized (MTA), percent."""
        occurrences = self.correct + self.missed
        return 100 * self.correct / occurrences if occurrences else None

    @property
    def precision(self) -> float | None:
        """Share of the hypotheses' occurrences that were said, percent."""
        written = self.correct + self.invented
        return 100 * self.correct / written if written else None


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """What had about the same confidence."""

    count: int
    confidence: float  #: mean, 0..1
    accuracy: float  #: share that was right, 0..1


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far confidences are from what came true; :func:`medasr.metrics.calibration.calibration` makes it."""

    error: float  #: expected calibration error, 0..1: the gap between confidence and accuracy, averaged over what was counted
    bins: tuple[ReliabilityBin, ...]  #: from the least sure to the surest; at least one

    @property
    def count(self) -> int:
        """How many confidences were counted."""
        return sum(one.count for one in self.bins)

    @property
    def confidence(self) -> float:
        """Mean of them, 0..1."""
        return sum(one.count * one.confidence for one in self.bins) / self.count

    @property
    def accuracy(self) -> float:
        """Share that was right, 0..1."""
        return sum(one.count * one.accuracy for one in self.bins) / self.count


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The metrics over a set of utterances."""

    wer: Estimate
    normalized_wer: Estimate
    cer: Estimate
    normalized_cer: Estimate
    mta: Estimate
    term_precision: Estimate
    drug_mta: Estimate
    drug_precision: Estimate
    macro_mta: Estimate  #: MTA of each distinct term, averaged over the terms
    notebook_mta: Estimate  #: share of the references' terms that the hypothesis contains anywhere, for comparison with the notebook
    invented_per_hour: float | None  #: terms that nobody said, per hour of audio
    words: EditCounts
    normalized_words: EditCounts
    categories: dict[str, TermCounts]
    terms: dict[str, TermCounts]
    n_utterances: int
    n_terms: int  #: occurrences in the references
    n_speakers: int  #: 0 where speakers are unknown
    hours: float
    resampled: str  #: what the bootstrap draws; see medasr.metrics.bootstrap.Resamples
    calibration: Calibration | None = (
        None  #: of written terms: confidence against whether they were said; None where no confidence is known
    )
