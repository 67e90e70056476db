"""What the gate says about a candidate, with every figure it rests on; stored whole, and shown by `medasrd gate show`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from medasr.metrics.scores import Estimate


class Decision(StrEnum):
    """What becomes of a candidate."""

    PROMOTE = "PROMOTE"
    REJECT = "REJECT"


class CheckName(StrEnum):
    """What is asked of a candidate; all must be answered well."""

    ANOTHER = "another"  # it is another model than what serves
    UNHEARD = "unheard"  # it learned nothing of what it is measured on
    SIZE = "size"  # enough was measured to tell
    COMPLETE = "complete"  # it transcribed whatever the other did
    WER = "normalized_wer"  # better, with the configured probability
    MTA = "mta"  # not worse beyond the margin
    PRECISION = "term_precision"
    GENERAL = "general_speech"  # normalized WER on other speech, not worse beyond the margin
    REPETITION = "repetition"  # hard bounds
    LENGTH = "length"
    DELETIONS = "deletions"
    SILENCE = "silence"


@dataclass(frozen=True, kw_only=True)
class GateOptions:
    """How strict the gate is; percent and percentage points. The fields of the configuration's ``[gate]``."""

    probability: float = 0.9  #: with which normalized WER has to be better
    risk: float = 0.4  #: probability with which a loss may be larger than its margin
    margin_mta: float = 1.0
    margin_precision: float = 2.0  #: on medical and general speech together
    margin_general: float = 1.0  #: of normalized WER on general speech; half of it against the stock model
    min_utterances: int = 20
    min_terms: int = 20
    max_repetition_rise: float = 1.0  #: of the share of text that loops
    max_deletion_rise: float = 1.0  #: of deleted words in a hundred
    min_length_ratio: float = 0.8  #: words written for a word said
    max_length_ratio: float = 1.25


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A recording in which nobody speaks, and how many words were written for it."""

    name: str
    words: int  #: by the candidate
    words_before: int | None = (
        None  #: by the other model; None where that was not asked, since the candidate wrote nothing
    )


@dataclass(frozen=True, kw_only=True)
class Check:
    """A question to the candidate and its answer."""

    name: CheckName
    trial: str  #: what it was tested on; empty where that is plain
    passed: bool
    value: float | None
    limit: float | None
    detail: str  #: in words, with the figures


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A metric of both models on the same utterances, percent; None where nothing could be counted."""

    metric: str
    before: float | None
    after: float | None
    difference: Estimate  #: points, candidate minus the other
    probability_better: float | None


@dataclass(frozen=True, kw_only=True)
class ChangedCounts:
    """An utterance that the two wrote differently; the texts stand in the evaluations."""

    id: str
    more_errors: int
    fewer_terms: int


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """Candidate and another model on one set."""

    trial: str  #: medical or general
    against: str  #: serving or base
    dataset: str  #: for people
    utterances: int
    left_out: int  #: utterances that the other model has learned from
    terms: int
    speakers: int
    hours: float
    resampled: str  #: what the bootstrap draws
    evaluations: tuple[int, int] | None  #: numbers, of the other and of the candidate
    figures: tuple[Figure, ...]
    changed: tuple[ChangedCounts, ...]  #: worst for the candidate first

    @property
    def name(self) -> str:
        """What is compared, in words."""
        return f"{self.trial} against {self.against}"

    def figure(self, metric: str) -> Figure | None:
        """The figures of a metric, if it was counted."""
        return next((one for one in self.figures if one.metric == metric), None)


@dataclass(frozen=True, kw_only=True)
class GateVerdict:
    """The whole judgement."""

    decision: Decision
    checks: tuple[Check, ...]
    trials: tuple[TrialResult, ...]
    sounds: tuple[Sound, ...]
    options: GateOptions
    notes: tuple[str, ...]  #: circumstances, in words

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that speak against the candidate."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it was decided so, a sentence each."""
        decisive = self.failed or tuple(check for check in self.checks if check.name == CheckName.WER)
        return tuple(check.detail for check in decisive)
