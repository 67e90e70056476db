"""What `medasrd status` shows, the same document whether the daemon answers or only its store can be read."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from daemon.intake.names import printable_name
from daemon.learning.lock import run_in_work
from daemon.report.alarms import alarm_document, current_alarms
from daemon.report.words import alarm_sentence
from daemon.store.measurements import failed_schedule, last_learning, served_measurements
from daemon.store.states import JobState, doubtful_jobs, job_counts, urgent_jobs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.config import Config
    from daemon.intake.reception import IntakeStatus
    from daemon.report.alarms import Alarm
    from daemon.store.measurements import LastLearning

#: Names listed at most; all are counted.
LISTED = 20


def status_document(
    config: Config, *, daemon: dict[str, Any] | None = None, intake: IntakeStatus | None = None
) -> dict[str, Any]:
    """Given what the daemon knows of itself (None when none runs), return the whole as JSON."""
    counts = job_counts(config.paths.database)
    free = shutil.disk_usage(config.paths.state).free
    alarms = current_alarms(served_measurements(config.paths.database), config.evaluation)
    enough = free >= config.intake.min_free_bytes
    learning = last_learning(config.paths.database)
    return {
        "daemon": daemon,
        "jobs": {str(state): counts[state] for state in JobState},
        "urgent": urgent_jobs(config.paths.database),
        "inbox": _inbox_part(config, intake),
        "disk": {"free_bytes": free, "enough": enough},
        "learning": _learning_part(config, learning),
        "alarms": [alarm_document(alarm) for alarm in alarms],
        "attention": [
            *attention(counts, daemon, intake, enough_space=enough, doubtful=doubtful_jobs(config.paths.database)),
            *_learning_trouble(learning),
            *accuracy(alarms, failed_schedule(config.paths.database) if config.evaluation.dataset else None),
        ],
    }


def accuracy(alarms: Sequence[Alarm], failed: str | None) -> list[str]:
    """What a person should know about how well is transcribed; ``failed`` is how the last scheduled evaluation failed."""
    found = [f"{alarm_sentence(alarm)} See `medasrd report`" for alarm in alarms]
    if failed:
        found.append(f"the scheduled evaluation failed ({failed}); `medasrd evaluate` says why")
    return found


def _learning_part(config: Config, learning: LastLearning | None) -> dict[str, Any] | None:
    if learning is None:
        return None
    working = run_in_work(config.paths.trainings) == learning.run
    return vars(learning) | {"started_at": learning.started_at.isoformat(), "working": working}


def _learning_trouble(learning: LastLearning | None) -> list[str]:
    if learning is None or learning.state != "failed":
        return []
    return [f"the last training failed ({learning.reason}); `medasrd learn --now` says why"]


def _inbox_part(config: Config, intake: IntakeStatus | None) -> dict[str, Any]:
    path = str(config.paths.inbox)
    if intake is None:
        return {"path": path}
    left = [{"name": printable_name(item.name_bytes), "code": str(item.code)} for item in intake.left[:LISTED]]
    return {
        "path": path,
        "problem": intake.problem or None,
        "watching": str(intake.watching),
        "settling": intake.followed,
        "left": left,
        "left_counts": intake.left_counts,
    }


def attention(
    counts: dict[JobState, int],
    daemon: dict[str, Any] | None,
    intake: IntakeStatus | None,
    *,
    enough_space: bool,
    doubtful: int = 0,
) -> list[str]:
    """What a person should look at, in words with the next step; in ``doubtful`` of what is to review a drug or a dose was a guess."""
    found = []
    if daemon is None:
        found.append("no daemon runs here; start it with `medasrd run` or systemctl start medasrd")
    elif daemon["engine"] == "resting":
        found.append("the model process keeps dying; `medasrd doctor` looks for the cause")
    if daemon and daemon["trouble"] == "DELIVERY":
        found.append(
            "finished files wait for outbox or quarantine, which is away, full or read-only; see `medasrd doctor`"
        )
    elif daemon and daemon["trouble"]:
        found.append(f"the worker waits ({daemon['trouble']}); disk full, database in use or a folder away")
    if intake and intake.problem:
        found.append(f"the inbox is not served: {intake.problem}; see `medasrd doctor`")
    if not enough_space:
        found.append("too little free space (intake.min_free_bytes); nothing more is taken in")
    if counts[JobState.QUARANTINED]:
        found.append(f"{counts[JobState.QUARANTINED]} in quarantine; see `medasrd quarantine list`")
    if counts[JobState.NEEDS_REVIEW]:
        first = f" ({doubtful} of them for a doubtful drug or dose)" if doubtful else ""
        found.append(f"{counts[JobState.NEEDS_REVIEW]} to review{first}; see `medasrd jobs list --state needs_review`")
    return found
