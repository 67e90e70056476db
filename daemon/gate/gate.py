"""A candidate's way through the gate: both models measured over the path that serves, judged, and the verdict stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from daemon import home
from daemon.evaluation.courtesy import stand_back
from daemon.evaluation.plan import plan_for
from daemon.gate.contest import plan_contest
from daemon.gate.filing import file_verdict
from daemon.gate.measuring import measure
from daemon.gate.sounds import as_sounds, words_on_sounds
from daemon.store import verdicts
from daemon.store.connection import Store
from daemon.store.verdicts import NewVerdict, StoredVerdict
from medasr.errors import TransientError
from medasr.gate import BASE, SERVING, Trial, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from daemon.config import Config
    from daemon.evaluation.plan import EvaluationPlan
    from daemon.gate.contest import Contest, Pairing
    from daemon.gate.measuring import Measured, Progress
    from medasr.verdict import GateVerdict, Sound

    #: What each model scored on each set, by the model's label and the set's name.
    Results = dict[tuple[str, str], Measured]


def _silent(_what: str, _done: int, _total: int) -> None:
    """Hears nothing."""


def run_gate(
    config: Config,
    candidate: str,
    trigger: str = "manual",
    *,
    progress: Progress = _silent,
    must_wait: Callable[[], bool] | None = None,
) -> StoredVerdict:
    """Hold a version against what serves, and store the verdict.

    Interrupted, it goes on where it was: what was transcribed and measured is not done again.

    Args:
        config: of the home.
        candidate: the version's name, the beginning of its hash, or an alias.
        trigger: "manual" or "scheduled".
        progress: hears what is measured, and how many of how many recordings are done.
        must_wait: whether recordings of the inbox want the machine; by default they come first.

    Returns:
        The verdict as it was stored. Nothing is promoted here.

    Raises:
        ConfigurationError: without ``evaluation.dataset``.
        ModelError: when the candidate is no version of the base that serves, or cannot be loaded.
        TransientError: when memory ran out on the way; and whatever an evaluation raises.
    """
    home.prepare(config)
    contest = plan_contest(config, candidate)
    verdict = _judged(config, contest, progress, must_wait or stand_back(config))
    new = NewVerdict(
        key=uuid4().hex,
        candidate=contest.candidate,
        incumbent_sha256=contest.incumbent_sha256,
        trigger=trigger,
        created_at=datetime.now(UTC),
        verdict=verdict,
    )
    number = file_verdict(config, new)
    store = Store(config.paths.database, writable=False)
    try:
        with store.read() as session:
            return verdicts.find(session, str(number))
    finally:
        store.close()


def _judged(config: Config, contest: Contest, progress: Progress, must_wait: Callable[[], bool]) -> GateVerdict:
    options = config.gate.strictness()
    if contest.identical or contest.heard:
        return judge([], (), options, heard=contest.heard, identical=contest.identical, notes=contest.notes)
    results = _measure_all(config, contest, progress, must_wait, reuse=True)
    if not _alike(results):  # e.g. measured on a GPU before, and on the processor now
        results = _measure_all(config, contest, progress, must_wait, reuse=False)
    if not _alike(results):
        raise TransientError(
            "the two models did not run alike: memory ran out for one of them; free the memory, or set model.device, "
            "model.precision or model.batch_size, and have the gate judge again"
        )
    sounds = _sounds(config, contest.pairings[0].candidate, progress, must_wait)
    return judge([_trial(one, results) for one in contest.pairings], sounds, options, notes=contest.notes)


def _measure_all(
    config: Config, contest: Contest, progress: Progress, must_wait: Callable[[], bool], *, reuse: bool
) -> Results:
    """Measure model by model, the candidate last: once it is promoted, its score is the newest of what serves."""
    results: Results = {}
    for label in (SERVING, BASE, contest.candidate):
        plans = {}
        for pairing in contest.pairings:
            plan = pairing.candidate if label == contest.candidate else pairing.other
            if label in (contest.candidate, pairing.against):
                plans[pairing.set] = plan
        if plans:
            measured = measure(config, list(plans.values()), progress, must_wait, reuse=reuse)
            results |= {(label, name): one for name, one in zip(plans, measured, strict=True)}
    return results


def _alike(results: Results) -> bool:
    """Whether all ran with the same precision on the same device."""
    return len({one.setting for one in results.values()}) == 1


def _sounds(
    config: Config, candidate: EvaluationPlan, progress: Progress, must_wait: Callable[[], bool]
) -> tuple[Sound, ...]:
    """What the candidate writes where nobody speaks; only if it writes anything, what serves is asked too."""

    def told(done: int, total: int) -> None:
        progress("sounds without speech", done, total)

    words = words_on_sounds(config, candidate, told, must_wait)
    if not any(words.values()):
        return as_sounds(words, None)
    serving = plan_for(config, candidate, SERVING)
    return as_sounds(words, words_on_sounds(config, serving, told, must_wait))


def _trial(pairing: Pairing, results: Results) -> Trial:
    other = results[pairing.against, pairing.set]
    own = results[pairing.candidate.request.model, pairing.set]
    before, after = (
        tuple(scored for scored in one.utterances if scored.id not in pairing.left_out) for one in (other, own)
    )
    return Trial(
        name=pairing.set,
        against=pairing.against,
        dataset=own.summary.recipe.dataset,
        before=before,
        after=after,
        left_out=len(pairing.left_out),
        evaluations=(other.summary.id, own.summary.id),
    )
