"""What an evaluation means, in sentences for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from daemon.report.alarms import WATCHED, Alarm
from daemon.report.history import SERVING, is_better, model_name
from medasr.metrics.scores import HEADLINE

if TYPE_CHECKING:
    from daemon.report.history import Change, Point, Series
    from daemon.store.evaluations import EvaluationSummary

#: What the metrics are called in sentences.
NAMES = {
    "wer": "WER",
    "normalized_wer": "normalized WER",
    "cer": "CER",
    "normalized_cer": "normalized CER",
    "mta": "MTA",
    "term_precision": "term precision",
}


def day(moment: datetime) -> str:
    """The local date of a moment."""
    return f"{moment.astimezone():%Y-%m-%d}"


def meaning(point: Point, alarms: Sequence[Alarm] = ()) -> tuple[str, ...]:
    """Given an evaluation with its changes and the alarms it raised, return what it means, a sentence or two each."""
    sentences = [alarm_sentence(alarm) for alarm in alarms]
    if point.last is None:
        return (*sentences, f"{_subject(point)} is the first with this recipe: nothing to compare it with yet.")
    sentences += _alarm_may_be_chance(point, alarms)
    sentences.append(_since_last(point, point.last))
    sentences += [sentence for sentence in (_since_best(point), _style(point)) if sentence]
    return tuple(sentences)


def alarm_sentence(alarm: Alarm) -> str:
    """An alarm in one sentence; it names the metric, the figures, the mark that was missed and the option."""
    option = "margin_wer" if alarm.metric == "normalized_wer" else "margin_mta"
    return (
        f"ALARM: {NAMES[alarm.metric]} of no. {alarm.evaluation} is {alarm.value:.1f}, {alarm.loss:.1f} points worse than the "
        f"{alarm.best:.1f} of no. {alarm.best_evaluation} ({day(alarm.when)}); evaluation.{option} allows {alarm.margin:g}."
    )


def _alarm_may_be_chance(point: Point, alarms: Sequence[Alarm]) -> list[str]:
    """What an alarm is worth where the intervals allow that nothing changed: margins are points, whatever the dataset's size."""
    lost = [point.since_best[alarm.metric] for alarm in alarms if alarm.metric in point.since_best]
    if not lost or any(change.beyond_noise for change in lost):
        return []
    return ["That is beyond the margin, and yet it may be chance: the intervals allow that nothing changed."]


def comparability(series: Series, before: Series) -> str:
    """Why no line leads from one series to the next."""
    return (
        f"The recipe is not that of {before.letter}: {'; '.join(series.changed)}. "
        f"Figures of {series.letter} and {before.letter} must not be compared, and no line connects them."
    )


def _subject(point: Point) -> str:
    return f"No. {point.evaluation.id} of {_described(point)}"


def _described(point: Point) -> str:
    name = model_name(point.evaluation.model)
    return f"what serves ({name})" if point.line == SERVING else f"{point.line} ({name})"


def _since_last(point: Point, last: EvaluationSummary) -> str:
    changes = [point.since_last[metric] for metric in WATCHED if metric in point.since_last]
    other = f", which was another model ({model_name(last.model)})" if point.other_model else ""
    against = f"no. {last.id} of {day(last.ended_at)}{other}"
    subject = _subject(point)
    if not changes:
        return f"{subject} has no figure in common with {against}."
    if all(change.better is None for change in point.since_last.values()):
        return f"{subject} scores the same as {against}."
    better = [change for change in changes if change.beyond_noise and change.better]
    worse = [change for change in changes if change.beyond_noise and change.better is False]
    rest = [change for change in changes if change not in better and change not in worse]
    if better and worse:
        found = f"is better than {against} in {_told(better)}, and worse in {_told(worse)}"
    elif better or worse:
        found = f"is {'better' if better else 'worse'} than {against}, beyond the noise: {_told(better or worse)}"
    else:
        return f"{subject} is not clearly better or worse than {against}: {_told(rest)}; {_doubt(rest, point, last)}."
    return f"{subject} {found}{f'; unclear: {_told(rest)}' if rest else ''}."


def _doubt(changes: Iterable[Change], point: Point, last: EvaluationSummary) -> str:
    """Why nothing can be said, and what would say more."""
    if all(change.low is None for change in changes):
        return "without confidence intervals nobody can tell noise from change"
    return (
        f"all within the noise (`medasrd evaluations compare {last.id} {point.evaluation.id}` sees smaller differences)"
    )


def _since_best(point: Point) -> str:
    """How it stands to the best, where that is not the last."""
    behind = [
        change
        for metric, change in point.since_best.items()
        if metric in WATCHED and change.better is False and change.earlier != point.last
    ]
    if behind:
        return f"Better before: {_list([f'{NAMES[c.metric]} {c.before:.1f} in no. {c.earlier.id}' for c in behind])}."
    ahead = [metric for metric in WATCHED if metric in point.since_best and _leads(point.since_best[metric])]
    return (
        f"It has the best {_list([NAMES[metric] for metric in ahead])} of all with this recipe so far." if ahead else ""
    )


def _leads(change: Change) -> bool:
    return change.better is True and is_better(change.metric, change.after, change.before)


def _style(point: Point) -> str:
    """Whether only the writing changed: raw rates did beyond the noise, the normalized ones did not at all."""
    raw, normalized = point.since_last.get("wer"), point.since_last.get("normalized_wer")
    if raw and normalized and raw.beyond_noise and normalized.better is None:
        return "Only the writing changed (punctuation, capitals, numerals): WER did, normalized WER did not."
    return ""


def _told(changes: Iterable[Change]) -> str:
    return _list(
        [
            f"{NAMES[change.metric]} {change.before:.1f} → {change.after:.1f} ({change.difference:+.1f})"
            for change in changes
        ]
    )


def _list(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


assert tuple(NAMES) == HEADLINE  # noqa: S101
