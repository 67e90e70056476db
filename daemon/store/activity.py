"""What the service itself saw, week by week: a drift in it shows between evaluations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from daemon.store.base import UtcDateTime

#: So many of a week's terms are named.
TOP_TERMS = 5


@dataclass(frozen=True, kw_only=True)
class Week:
    """What was transcribed between a Monday and the next, in local time."""

    monday: date
    recordings: int
    hours: float  #: of audio
    rtfx: float | None  #: seconds of audio transcribed in one second of the model process
    review_share: float  #: of the recordings, 0..1
    confidence: (
        float | None
    )  #: 0..1: geometric mean probability of what was written, weighted by time; None without text
    top_terms: tuple[tuple[str, int], ...]  #: medical terms with how often they were heard, most frequent first


#: The Monday of a moment, as SQLite computes it: the Sunday on or after it, six days back.
_MONDAY = "date(transcripts.created_at, 'localtime', 'weekday 0', '-6 days')"

_WORK = text(f"""
    SELECT {_MONDAY} AS monday, count(DISTINCT transcripts.recording_id) AS recordings,
        coalesce(sum(audio_facts.seconds), 0.0) AS seconds, sum(engine_seconds) AS engine_seconds,
        avg(verdict = 'needs_review') AS review_share
    FROM transcripts LEFT JOIN audio_facts USING (recording_id)
    WHERE transcripts.created_at >= :since GROUP BY monday ORDER BY monday
""")  # noqa: S608 - nothing comes from outside

_CONFIDENCE = text(f"""
    SELECT {_MONDAY} AS monday, sum(mean_log_probability * (end - start)) / sum(end - start) AS mean_log_probability
    FROM transcripts JOIN segments ON segments.transcript_id = transcripts.id
    WHERE transcripts.created_at >= :since AND end > start GROUP BY monday
""")  # noqa: S608 - nothing comes from outside

_TERMS = text(f"""
    SELECT monday, term, hits FROM (
        SELECT monday, term, hits, row_number() OVER (PARTITION BY monday ORDER BY hits DESC, term) AS place FROM (
            SELECT {_MONDAY} AS monday, term, count(*) AS hits
            FROM transcripts JOIN term_hits ON term_hits.transcript_id = transcripts.id
            WHERE transcripts.created_at >= :since GROUP BY monday, term
        )
    ) WHERE place <= :top ORDER BY monday, place
""")  # noqa: S608 - nothing comes from outside


def weeks(session: Session, *, since: datetime) -> list[Week]:
    """Return the weeks from the one of a moment on in which something was transcribed, oldest first."""
    local = since.astimezone()
    midnight = (local - timedelta(days=local.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    moment = midnight.replace(tzinfo=None).astimezone()  # the zone's offset may have been another one then
    parameters = {"since": UtcDateTime().process_bind_param(moment, session.get_bind().dialect)}
    confidences = {row.monday: row.mean_log_probability for row in session.execute(_CONFIDENCE, parameters)}
    terms: dict[str, list[tuple[str, int]]] = {}
    for row in session.execute(_TERMS, parameters | {"top": TOP_TERMS}):
        terms.setdefault(row.monday, []).append((row.term, row.hits))
    return [
        Week(
            monday=date.fromisoformat(row.monday),
            recordings=row.recordings,
            hours=row.seconds / 3600,
            rtfx=row.seconds / row.engine_seconds if row.engine_seconds else None,
            review_share=row.review_share,
            confidence=math.exp(confidences[row.monday]) if row.monday in confidences else None,
            top_terms=tuple(terms.get(row.monday, ())),
        )
        for row in session.execute(_WORK, parameters)
    ]
