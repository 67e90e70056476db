"""An evaluation from its plan to its report, over the very path that serves: the same decoder, spans, engine and settings."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.decode.host import decode_limits
from daemon.engine.protocol import Completed, Failed
from daemon.evaluation.hypotheses import Beginning, Heard, Hypotheses, Refused, opened
from daemon.evaluation.versions import package_versions
from medasr.dataset.utterance import Exclusion, ExclusionReason
from medasr.errors import EngineError, RecordingError, TransientError
from medasr.evaluation import EvaluationReport
from medasr.lexicon import find_terms
from medasr.metrics.rates import word_error_rate
from medasr.metrics.scoring import score_utterance
from medasr.metrics.summary import summarize
from medasr.metrics.vocabulary import normalize_lexicon
from medasr.text.normalizers import NORMALIZERS, text_normalizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from daemon.config import Config
    from daemon.engine.protocol import EngineEvent
    from daemon.evaluation.plan import EvaluationPlan
    from daemon.ports import Decoder, LoadableEngine
    from medasr.dataset.utterance import Utterance
    from medasr.lexicon import Lexicon
    from medasr.metrics.scores import ScoredUtterance
    from medasr.text.normalizers import TextNormalizer

#: Recordings decoded ahead of the model: enough to fill its batches, few enough that waiting ones of the inbox get their turn soon.
AHEAD = 16
#: How long one look at the model takes at most, and one wait for the inbox.
TURN_SECONDS = 0.5
#: A recording on which the model process died is handed over so often in all.
ATTEMPTS = 2


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """What an evaluation works with."""

    decoder: Decoder
    engine: LoadableEngine
    now: Callable[[], datetime]
    must_wait: Callable[[], bool]  #: whether recordings of the inbox want the machine
    progress: Callable[[int, int], None]  #: hears how many of how many utterances are done


def run_evaluation(config: Config, plan: EvaluationPlan, bench: Workbench) -> EvaluationReport:
    """Transcribe what is missing, score everything.

    What was transcribed before an interruption is used again if model and packages are the same. Raise EngineError when the model process
    keeps dying, ModelError when it cannot be loaded, AlreadyRunning when another process is at it, TransientError when memory made
    the model another one in the middle, and DatasetError when nothing can be scored.
    """
    with opened(config.paths.evaluations / plan.key) as hypotheses:
        _load(bench, hypotheses)
        _transcribe(config, plan, bench, hypotheses)
        return _report(plan, hypotheses, bench.now())


def transcribe(config: Config, plan: EvaluationPlan, bench: Workbench) -> dict[str, Heard | Refused]:
    """Transcribe what is missing, score nothing, and return by id what became of each recording. Raise as :func:`run_evaluation`."""
    with opened(config.paths.evaluations / plan.key) as hypotheses:
        _load(bench, hypotheses)
        _transcribe(config, plan, bench, hypotheses)
        return dict(hypotheses.results)


def _load(bench: Workbench, hypotheses: Hypotheses) -> None:
    """Have the model loaded, since what it is decides whether earlier hypotheses are its own."""
    while bench.engine.ready is None:
        bench.engine.ensure_started()
        bench.engine.poll(TURN_SECONDS)
        _require_health(bench)
    ready = bench.engine.ready
    hypotheses.begin(Beginning(started_at=bench.now(), model=ready.version, device=ready.device))


def _transcribe(config: Config, plan: EvaluationPlan, bench: Workbench, hypotheses: Hypotheses) -> None:
    wanted = set(plan.ids) - hypotheses.results.keys()
    waiting = _by_row(plan, wanted)
    done = len(plan.ids) - len(wanted)
    bench.progress(done, len(plan.ids))
    seconds: dict[str, float] = {}
    attempts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=config.paths.evaluations / plan.key) as name:
        folder = Path(name)
        names = {identifier: f"{number}" for number, identifier in enumerate(sorted(wanted))}
        more = True
        while more or bench.engine.in_flight:
            while more and len(bench.engine.in_flight) < AHEAD and not bench.must_wait():
                utterance = next(waiting, None)
                more = utterance is not None
                if utterance is None:
                    break
                refused = _hand_over(config, plan, bench, utterance, folder / names[utterance.id], seconds)
                if refused:
                    hypotheses.add(refused)
            for event in bench.engine.poll(TURN_SECONDS):
                if isinstance(event, Failed):
                    attempts[event.id] += 1
                    if attempts[event.id] < ATTEMPTS:
                        bench.engine.submit(event.id, folder / names[event.id], terms=plan.terms)
                        continue
                result = _result(event, plan.lexicon, hypotheses, seconds)
                if result:
                    hypotheses.add(result)
                    (folder / names[result.id]).unlink()
            _require_health(bench)
            if (now_done := len(hypotheses.results)) != done:
                done = now_done
                bench.progress(done, len(plan.ids))


def _by_row(plan: EvaluationPlan, wanted: set[str]) -> Iterator[Utterance]:
    return (utterance for utterance in plan.dataset if utterance.id in wanted)


def _hand_over(
    config: Config,
    plan: EvaluationPlan,
    bench: Workbench,
    utterance: Utterance,
    samples: Path,
    seconds: dict[str, float],
) -> Refused | None:
    """Decode a recording and hand it to the model; say why where that is impossible."""
    sink = os.open(samples, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with plan.dataset.open_audio(utterance) as source:
            facts = bench.decoder.decode(source.fileno(), sink, decode_limits(config))
    except RecordingError as error:
        samples.unlink()
        return Refused(id=utterance.id, reason=ExclusionReason.NO_HYPOTHESIS, detail=str(error.reason))
    finally:
        os.close(sink)
    seconds[utterance.id] = facts.seconds
    bench.engine.submit(utterance.id, samples, terms=plan.terms)
    return None


def _result(
    event: EngineEvent, lexicon: Lexicon, hypotheses: Hypotheses, seconds: Mapping[str, float]
) -> Heard | Refused | None:
    """What an event settles for a recording, if anything."""
    if isinstance(event, Completed):
        _require_same(event, hypotheses)
        text = event.transcript.text
        return Heard(
            id=event.id,
            seconds=seconds[event.id],
            text=text,
            engine_seconds=event.seconds,
            terms=tuple((hit.term, hit.confidence) for hit in find_terms(lexicon, event.transcript.segments, text)),
        )
    if isinstance(event, Failed):
        return Refused(id=event.id, reason=ExclusionReason.NO_HYPOTHESIS, detail=str(event.kind))
    return None


def _require_same(event: Completed, hypotheses: Hypotheses) -> None:
    """Refuse to mix what two precisions wrote in one score."""
    beginning = hypotheses.beginning
    if beginning and (event.version, event.device) != (beginning.model, beginning.device):
        raise TransientError(
            f"memory ran out and the model went on as {event.version.precision} on {event.device}; a score of both would mean "
            "nothing: free the memory, or set model.device or model.batch_size, and evaluate again"
        )


def _require_health(bench: Workbench) -> None:
    if not bench.engine.healthy:
        raise EngineError("the model process keeps dying; `medasrd doctor` looks for the cause")


def _report(plan: EvaluationPlan, hypotheses: Hypotheses, ended_at: datetime) -> EvaluationReport:
    beginning = hypotheses.beginning
    assert beginning is not None  # noqa: S101 - written when the model was ready
    scored, excluded = _score(plan, hypotheses)
    pairs = [(one.reference, one.hypothesis) for one in scored]
    heard = [result for result in hypotheses.results.values() if isinstance(result, Heard)]
    return EvaluationReport(
        model=beginning.model,
        model_label=plan.request.model,
        recipe=plan.recipe(one.id for one in scored),
        trigger=plan.request.trigger,
        started_at=beginning.started_at,
        ended_at=ended_at,
        device=beginning.device,
        engine_seconds=sum(one.engine_seconds for one in heard),
        scores=summarize(scored),
        normalized_wer_by_normalizer={name: word_error_rate(pairs, text_normalizer(name)) for name in NORMALIZERS},
        exclusions=(*plan.dataset.exclusions, *excluded),
        leaks=plan.leaks,
        versions=package_versions(),
        utterances=tuple(scored),
    )


@lru_cache(maxsize=1)
def _adapted(lexicon: Lexicon, normalizer: TextNormalizer) -> Lexicon:
    """The lexicon in the normalizer's words; kept, since it takes a second and several evaluations in a row need the same."""
    return normalize_lexicon(lexicon, normalizer)


def _score(plan: EvaluationPlan, hypotheses: Hypotheses) -> tuple[list[ScoredUtterance], list[Exclusion]]:
    """Hold each hypothesis against its reference; what has none, or no reference, is counted apart."""
    lexicon = _adapted(plan.lexicon, plan.normalizer)
    scored: list[ScoredUtterance] = []
    excluded: list[Exclusion] = []
    for utterance in _by_row(plan, set(plan.ids)):
        result = hypotheses.results[utterance.id]
        if isinstance(result, Refused):
            excluded.append(Exclusion(id=result.id, reason=result.reason, detail=result.detail))
            continue
        outcome = score_utterance(
            id=utterance.id,
            speaker=utterance.speaker,
            seconds=result.seconds,
            reference=utterance.reference,
            hypothesis=result.text,
            normalizer=plan.normalizer,
            lexicon=lexicon,
            confidences=result.terms,
        )
        if isinstance(outcome, Exclusion):
            excluded.append(outcome)
        else:
            scored.append(outcome)
    return scored, excluded
