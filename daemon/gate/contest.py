"""Who is held against whom on what: the candidate against what serves, and against the stock model where that says more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.engine.options import engine_options
from daemon.evaluation.plan import EvaluationPlan, EvaluationRequest, plan_evaluation, plan_for
from daemon.gate.options import EMBEDDED_SPEECH
from daemon.registry.naming import is_version_name
from daemon.registry.serving import adapter_identity, model_name
from medasr.errors import ConfigurationError, ModelError
from medasr.gate import BASE, GENERAL, MEDICAL, SERVING
from medasr.speech_sets import SPEECH_LANGUAGE, UNLIKE, path_of
from medasr.whisper.manifest import heard_of, read_heard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.config import Config

#: The split that promises other speakers than those trained on.
_BY_SPEAKER = "phrase-and-speaker-disjoint"


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """One comparison to be made."""

    set: str  #: MEDICAL or GENERAL
    against: str  #: SERVING or BASE
    other: EvaluationPlan
    candidate: EvaluationPlan
    left_out: frozenset[str]  #: ids that do not count, since the other model has learned from them


@dataclass(frozen=True, kw_only=True)
class Contest:
    """All comparisons of a candidate."""

    candidate: str  #: the version's name
    incumbent_sha256: str  #: of the adapter that serves; empty for stock weights
    identical: bool  #: the candidate serves already: there is nothing to compare
    pairings: tuple[Pairing, ...]
    heard: int  #: utterances of the medical set that the candidate should not have learned from, and did
    notes: tuple[str, ...]


def plan_contest(config: Config, name: str) -> Contest:
    """Settle who is measured on what.

    Given a version's name, the beginning of its hash, or an alias. Raise ModelError when it is no version or belongs to another base
    than what serves, and what :func:`plan_evaluation` raises.
    """
    own, serving = engine_options(config, name).model, engine_options(config).model
    candidate = model_name(config, own)
    if not is_version_name(candidate):
        raise ModelError(f"the gate judges versions, and {name} is none; `medasrd models list` shows them")
    if own.base != serving.base:
        raise ModelError(
            f"{candidate} belongs to {own.base}, and {serving.base} serves; the gate compares versions of one base"
        )
    incumbent = adapter_identity(serving)
    if adapter_identity(own) == incumbent:
        return Contest(candidate=candidate, incumbent_sha256=incumbent, identical=True, pairings=(), heard=0, notes=())
    notes: list[str] = []
    plans = _sets(config, candidate)
    if GENERAL not in plans:
        what = "is configured" if not config.gate.general else f"in {config.model.language} comes with medasr"
        notes.append(f"No general speech {what} (gate.general), so nobody knows whether other speech was forgotten.")
    heard, voices = plans[MEDICAL].heard, _voices(plans[MEDICAL])
    if config.evaluation.split == _BY_SPEAKER:
        heard |= voices
    elif voices:
        notes.append(
            f"{len(voices)} of {len(plans[MEDICAL].ids)} test utterances are by speakers whom the candidate has heard: new voices may "
            "fare worse."
        )
    pairings = [
        *_medical(config, plans[MEDICAL], notes, alone=GENERAL not in plans),
        *(_general(config, plans[GENERAL], notes) if GENERAL in plans else ()),
    ]
    return Contest(
        candidate=candidate,
        incumbent_sha256=incumbent,
        identical=False,
        pairings=tuple(pairings),
        heard=len(heard),
        notes=tuple(notes),
    )


def _voices(plan: EvaluationPlan) -> frozenset[str]:
    """The ids of the utterances by speakers from whom the model has learned."""
    heard = read_heard(Path(plan.engine.model.adapter)).speakers
    wanted = set(plan.ids)
    return frozenset(one.id for one in plan.dataset if one.id in wanted and heard & heard_of([one]).speakers)


def require_test_set(config: Config) -> None:
    """Raise ConfigurationError where the gate has no medical speech to measure on."""
    if not config.evaluation.dataset:
        raise ConfigurationError(
            "the gate has nothing to measure on; set evaluation.dataset, whose test part a new version must not have learned from"
        )


def _sets(config: Config, candidate: str) -> dict[str, EvaluationPlan]:
    options = config.evaluation
    require_test_set(config)
    request = EvaluationRequest(dataset=options.dataset, split=options.split, model=candidate)
    plans = {MEDICAL: plan_evaluation(config, request)}
    source = config.gate.general
    embedded = source == EMBEDDED_SPEECH
    if source and (not embedded or config.model.language == SPEECH_LANGUAGE):
        request = EvaluationRequest(
            dataset=str(path_of(UNLIKE)) if embedded else source,
            split="all",
            model=candidate,
            name="general speech" if embedded else "",
        )
        plans[GENERAL] = plan_evaluation(config, request)
    return plans


def _medical(config: Config, candidate: EvaluationPlan, notes: list[str], *, alone: bool) -> Iterator[Pairing]:
    """Against what serves; where that has learned from too much of the test set, against the stock model.

    But not if this is all there is (``alone``): a version must not replace one that it was never held against, so too few recordings count.
    """
    serving = plan_for(config, candidate, SERVING)
    heard, total = len(serving.heard), len(serving.ids)
    against, other, left_out = SERVING, serving, serving.heard
    if heard and total - heard < config.gate.min_utterances and not alone:
        against, other, left_out = BASE, plan_for(config, candidate, BASE), frozenset()
        notes.append(
            f"What serves has learned from {heard} of {total} test recordings, so it cannot be measured on them: the candidate is "
            "held against the stock model there, and against what serves on general speech only."
        )
    elif heard:
        notes.append(f"What serves has learned from {heard} of {total} test recordings; these are left out for both.")
    yield Pairing(set=MEDICAL, against=against, other=other, candidate=candidate, left_out=left_out)


def _general(config: Config, candidate: EvaluationPlan, notes: list[str]) -> Iterator[Pairing]:
    """Against what serves, and against the stock model too: losses within the margin must not add up from version to version."""
    serving = plan_for(config, candidate, SERVING)
    left_out = candidate.heard | serving.heard
    if left_out:
        notes.append(
            f"{len(left_out)} of {len(serving.ids)} recordings of general speech were learned from, and left out."
        )
    tuned = bool(serving.engine.model.adapter)
    if not tuned or len(left_out) < len(serving.ids):
        yield Pairing(set=GENERAL, against=SERVING, other=serving, candidate=candidate, left_out=left_out)
    if tuned:
        base = plan_for(config, candidate, BASE)
        yield Pairing(set=GENERAL, against=BASE, other=base, candidate=candidate, left_out=candidate.heard)
