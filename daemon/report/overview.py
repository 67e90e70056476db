"""All that a report shows, read from the store at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from daemon.report.alarms import Alarm, alarms_by_evaluation, current_alarms
from daemon.report.history import Series, histories, recipe_changes
from daemon.report.milestones import Milestone, milestones
from daemon.store import activity, evaluations, verdicts
from daemon.store.measurements import served_measurements

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.orm import Session

    from daemon.config import Config
    from daemon.report.history import Point
    from daemon.store.activity import Week

#: The weeks that are shown when nobody says since when.
WEEKS = 12


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Which evaluations a report is about; None for any."""

    since: datetime | None = None
    model: str | None = None  #: as it was asked for (serving, base ...), or the base model's name
    dataset: str | None = None  #: its name, or the beginning of its hash

    def __bool__(self) -> bool:
        """Whether anything is left out."""
        return (self.since, self.model, self.dataset) != (None, None, None)


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Evaluations by recipe, and what the service saw."""

    made_at: datetime
    chosen: Chosen
    series: tuple[Series, ...]  #: the one that was measured last at the end
    standing: tuple[Alarm, ...]  #: alarms that stand now, whatever was chosen
    alarms: dict[int, tuple[Alarm, ...]]  #: those that each evaluation raised when it was made
    weeks: tuple[Week, ...]
    milestones: tuple[Milestone, ...]  #: what the gate said and which versions came to serve, oldest first


def read_overview(config: Config, session: Session, chosen: Chosen, *, now: datetime) -> Overview:
    """Read a report's content. What is left out is still what the rest is compared with: a best of last year stays the best."""
    measured = served_measurements(config.paths.database)
    everything = histories(evaluations.summaries(session, dataset=chosen.dataset))
    return Overview(
        made_at=now,
        chosen=chosen,
        series=_shown(everything, lambda point: _is_chosen(point, chosen)),
        standing=current_alarms(measured, config.evaluation),
        alarms=alarms_by_evaluation(measured, config.evaluation),
        weeks=tuple(activity.weeks(session, since=chosen.since or now - timedelta(weeks=WEEKS))),
        milestones=milestones(
            verdicts.stored_verdicts(session, since=chosen.since), verdicts.serving_changes(session, since=chosen.since)
        ),
    )


def _is_chosen(point: Point, chosen: Chosen) -> bool:
    one = point.evaluation
    recent = chosen.since is None or one.ended_at >= chosen.since
    return recent and (chosen.model is None or chosen.model in (one.model_label, one.model.base_id))


def _shown(everything: Sequence[Series], is_chosen: Callable[[Point], bool]) -> tuple[Series, ...]:
    """The series with their chosen points; each names what is different from the one that is shown before it."""
    shown: list[Series] = []
    for series in everything:
        points = tuple(filter(is_chosen, series.points))
        if points:
            changed = recipe_changes(shown[-1].points[-1].evaluation, points[-1].evaluation) if shown else ()
            shown.append(replace(series, points=points, changed=changed))
    return tuple(shown)
