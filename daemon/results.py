"""What the model finished, with its medical terms, into the store: the end of a recording's work."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from daemon.crashpoint import crash_point
from daemon.store import jobs, transcripts
from medasr.doubts import mark_doubtful_terms
from medasr.lexicon import Lexicon, find_terms

if TYPE_CHECKING:
    from daemon.engine.protocol import Completed
    from daemon.store.connection import Store
    from medasr.quality import QualityThresholds

logger = logging.getLogger(__name__)


def store_result(
    store: Store,
    lexicon: Lexicon,
    thresholds: QualityThresholds,
    event: Completed,
    *,
    recording_id: str,
    owner: str,
    now: Callable[[], datetime],
) -> None:
    """Store a transcript, its doubtful terms marked, and end its job, unless a person cancelled it meanwhile.

    Raise TransientError when the database does not take it now.
    """
    job_id = int(event.id)
    terms = tuple(find_terms(lexicon, event.transcript.segments, event.transcript.text))
    transcript = mark_doubtful_terms(event.transcript, terms, thresholds)
    result = transcripts.Result(
        transcript=transcript,
        terms=terms,
        model=event.version,
        device=event.device,
        fallback=event.fallback or None,
        engine_seconds=event.seconds,
    )
    crash_point("before_complete")
    with store.write() as session:
        if jobs.is_held(session, job_id, owner):
            transcripts.complete(session, job_id, recording_id, result, now=now())
    crash_point("after_complete")
    figures = {"segments": len(transcript.segments), "terms": len(result.terms), "seconds": round(event.seconds, 2)}
    what = {"job": job_id, "recording": recording_id, "state": transcript.verdict.kind, "device": event.device}
    logger.info("transcribed", extra=what | figures)
