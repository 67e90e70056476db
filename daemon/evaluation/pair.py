"""Two stored evaluations of the same recipe, held against each other."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from daemon.evaluation.document import evaluation_document
from daemon.report.history import recipe_changes
from daemon.store import evaluations
from medasr.errors import NotComparable
from medasr.metrics.comparison import Comparison, compare
from medasr.metrics.scores import TermCounts

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from daemon.store.evaluations import EvaluationSummary


@dataclass(frozen=True, kw_only=True)
class ChangedTerm:
    """A term that the two models did not hear equally well."""

    term: str
    first: TermCounts
    second: TermCounts

    @property
    def more_errors(self) -> int:
        """Times it was missed or invented by the second beyond the first."""
        return self.second.missed + self.second.invented - self.first.missed - self.first.invented


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two evaluations and what is different."""

    first: EvaluationSummary
    second: EvaluationSummary
    comparison: Comparison
    terms: tuple[ChangedTerm, ...]  #: worst for the second first


def read_pair(session: Session, first: str, second: str) -> Pair:
    """Given the numbers of two evaluations, compare them.

    Raise NotComparable, saying what differs, unless their recipes are equal but for lists of terms; FatalError when there is no such
    evaluation.
    """
    one, other = evaluations.find(session, first), evaluations.find(session, second)
    if one.recipe.without_bias().sha256 != other.recipe.without_bias().sha256:
        different = "; ".join(recipe_changes(one, other))
        raise NotComparable(
            f"evaluations {one.id} and {other.id} were not made the same way ({different}), so a difference between them says "
            "nothing about the models; evaluate both with the same options"
        )
    scored = [evaluations.scored_utterances(session, each.id) for each in (one, other)]
    return Pair(first=one, second=other, comparison=compare(*scored), terms=_changed_terms(one, other))


def pair_document(pair: Pair) -> dict[str, Any]:
    """A comparison as JSON; the keys are documented in docs/evaluation.md."""
    return {
        "first": evaluation_document(pair.first),
        "second": evaluation_document(pair.second),
        "differences": {
            name: asdict(one.points) | {"probability_better": one.probability_better}
            for name, one in pair.comparison.differences.items()
        },
        "terms": [
            {"term": one.term, "more_errors": one.more_errors, "first": asdict(one.first), "second": asdict(one.second)}
            for one in pair.terms
        ],
        "utterances": [
            {
                "id": one.first.id,
                "more_errors": one.more_errors,
                "fewer_terms": one.fewer_terms,
                "reference": one.first.reference,
                "first": one.first.hypothesis,
                "second": one.second.hypothesis,
            }
            for one in pair.comparison.changed
        ],
    }


def _changed_terms(one: EvaluationSummary, other: EvaluationSummary) -> tuple[ChangedTerm, ...]:
    none = TermCounts(correct=0, missed=0, invented=0)
    before, after = one.scores.terms, other.scores.terms
    terms = [
        ChangedTerm(term=term, first=before.get(term, none), second=after.get(term, none))
        for term in before.keys() | after.keys()
    ]
    changed = [term for term in terms if term.first != term.second]
    return tuple(sorted(changed, key=lambda term: (-term.more_errors, term.term)))
