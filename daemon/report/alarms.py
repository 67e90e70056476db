"""When the serving model has become worse than it was: pure arithmetic over what was measured of it.

Each evaluation is held against the best earlier one with an equal recipe, metric by metric, so a slow decline shows as a sudden one
does. Evaluations of other models neither raise an alarm nor set a mark to be reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from medasr.metrics.scores import HIGHER_IS_BETTER

if TYPE_CHECKING:
    from daemon.sections import Evaluation
    from daemon.store.measurements import Measurement

#: The metrics that raise an alarm.
WATCHED = ("normalized_wer", "mta", "term_precision")


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """A metric that is worse than the best comparable one by more than its margin; figures in percent and points."""

    metric: str
    value: float
    best: float
    when: datetime  #: of the best
    margin: float
    evaluation: int  #: number of the evaluation that raises it
    best_evaluation: int  #: number of the best

    @property
    def loss(self) -> float:
        """Points by which the metric is worse."""
        return abs(self.value - self.best)


def alarm_document(alarm: Alarm) -> dict[str, Any]:
    """An alarm as JSON."""
    return asdict(alarm) | {"when": alarm.when.isoformat(), "loss": round(alarm.loss, 9)}


def current_alarms(measurements: Sequence[Measurement], options: Evaluation) -> tuple[Alarm, ...]:
    """Given what was measured of the serving model, oldest first, and the margins, return the alarms that stand.

    They are those of the newest evaluation with the recipe of the schedule; where nothing was scheduled yet, of the newest at all. So
    a few utterances evaluated by hand do not silence an alarm, and an evaluation by hand with the schedule's recipe ends it when all
    is well again.
    """
    if not measurements:
        return ()
    recipe = ([one for one in measurements if one.scheduled] or measurements)[-1].recipe_sha256
    newest = [one for one in measurements if one.recipe_sha256 == recipe][-1]
    return alarms_by_evaluation(measurements, options).get(newest.evaluation, ())


def alarms_by_evaluation(measurements: Sequence[Measurement], options: Evaluation) -> dict[int, tuple[Alarm, ...]]:
    """Given what was measured of the serving model, oldest first, return by evaluation the alarms that each raised."""
    best: dict[tuple[str, str], tuple[float, Measurement]] = {}
    raised: dict[int, tuple[Alarm, ...]] = {}
    for one in measurements:
        found = []
        for metric in WATCHED:
            value: float | None = getattr(one, metric)
            if value is None:
                continue
            key = (one.recipe_sha256, metric)
            mark, holder = best.setdefault(key, (value, one))
            if _worse_by(metric, value, mark) > _margin(metric, options):
                found.append(_alarm(metric, value, one, mark, holder, _margin(metric, options)))
            if _worse_by(metric, value, mark) < 0:
                best[key] = (value, one)
        if found:
            raised[one.evaluation] = tuple(found)
    return raised


def _worse_by(metric: str, value: float, best: float) -> float:
    """Points; rounded, since 14.3 - 13.3 is more than 1 in binary."""
    return round(best - value if metric in HIGHER_IS_BETTER else value - best, 9)


def _margin(metric: str, options: Evaluation) -> float:
    return options.margin_wer if metric == "normalized_wer" else options.margin_mta


def _alarm(metric: str, value: float, one: Measurement, best: float, holder: Measurement, margin: float) -> Alarm:
    return Alarm(
        metric=metric,
        value=value,
        best=best,
        when=holder.at,
        margin=margin,
        evaluation=one.evaluation,
        best_evaluation=holder.evaluation,
    )
