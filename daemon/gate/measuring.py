"""What a model writes for the gate's sets: measured over the path that serves, or read where the very same was measured before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from daemon.evaluation.evaluation import evaluate_with, workbench
from daemon.evaluation.versions import package_versions
from daemon.registry.serving import adapter_identity
from daemon.store import evaluations
from daemon.store.connection import Store
from medasr.dataset.utterance import ExclusionReason
from medasr.gate import SERVING
from medasr.packs import locate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.orm import Session

    from daemon.config import Config
    from daemon.evaluation.plan import EvaluationPlan
    from daemon.store.evaluations import EvaluationSummary
    from medasr.metrics.scores import ScoredUtterance

    #: Hears what is measured, and how many of how many recordings are done.
    Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A model on a set."""

    summary: EvaluationSummary
    utterances: tuple[ScoredUtterance, ...]

    @property
    def setting(self) -> tuple[str, str]:
        """The precision and device that were really used: two models are comparable only where they are equal."""
        return self.summary.model.precision, self.summary.device


def measure(
    config: Config, plans: Sequence[EvaluationPlan], progress: Progress, must_wait: Callable[[], bool], *, reuse: bool
) -> list[Measured]:
    """Measure one model by several plans, and store each as an evaluation.

    With ``reuse`` what was stored before under the same circumstances is taken instead: the same samples, weights and packages
    write the same text. Raise what :func:`daemon.evaluation.run.run_evaluation` raises.
    """
    found: list[Measured | None] = [_known(config, plan) if reuse else None for plan in plans]
    if any(one is None for one in found):
        with workbench(plans[0].engine, lambda _done, _total: None, must_wait) as bench:
            for place, plan in enumerate(plans):
                if found[place] is None:
                    own = replace(bench, progress=_told(progress, plan))
                    found[place] = _read(config, evaluate_with(config, plan, own))
    return [one for one in found if one is not None]


def _told(progress: Progress, plan: EvaluationPlan) -> Callable[[int, int], None]:
    what = f"{plan.request.model} on {plan.request.name or plan.dataset.source}"
    return lambda done, total: progress(what, done, total)


def _read(config: Config, number: int) -> Measured:
    store = Store(config.paths.database, writable=False)
    try:
        with store.read() as session:
            return _measured(session, evaluations.find(session, str(number)))
    finally:
        store.close()


def _known(config: Config, plan: EvaluationPlan) -> Measured | None:
    """The newest evaluation that this plan would only repeat."""
    if not config.paths.database.is_file():
        return None
    store = Store(config.paths.database, writable=False)
    try:
        with store.read() as session:
            model = plan.engine.model
            for summary in evaluations.same_model(
                session,
                base_sha256=locate(plan.engine.models, model.base).weights_sha256,
                adapter_sha256=adapter_identity(model),
                dataset_sha256=plan.dataset.sha256,
            ):
                measured = _measured(session, summary)
                if _repeats(plan, measured):
                    return measured
            return None
    finally:
        store.close()


def _repeats(plan: EvaluationPlan, measured: Measured) -> bool:
    """Whether the plan would give this again: the same recordings, recipe, precision and packages, and no recording failed."""
    summary, scored = measured.summary, {one.id for one in measured.utterances}
    wordless = {one.id for one in summary.exclusions if one.reason is ExclusionReason.EMPTY_REFERENCE}
    model, labelled = plan.engine.model, summary.model_label == plan.request.model
    return (
        set(plan.ids) - wordless == scored
        and summary.recipe.sha256 == plan.recipe(scored).sha256
        and summary.versions == package_versions()
        and model.precision in ("auto", summary.model.precision)
        and (labelled or plan.request.model != SERVING)  # its line in the report needs a point of its own
    )


def _measured(session: Session, summary: EvaluationSummary) -> Measured:
    return Measured(summary=summary, utterances=tuple(evaluations.scored_utterances(session, summary.id)))
