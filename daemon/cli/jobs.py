"""``medasrd jobs``: the queue, job by job."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.options import config_option, json_option, print_json
from daemon.cli.session import local, operate_each, reading, say
from daemon.cli.tables import print_table

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.store.schema import Job

STATES = ("received", "decoding", "transcribing", "retry", "done", "needs_review", "no_speech", "quarantined")
COLORS = {"done": "green", "needs_review": "yellow", "no_speech": "cyan", "quarantined": "red", "retry": "yellow"}
#: Fields of a job that are moments: ISO 8601 in UTC for programs, local time for people.
MOMENTS = frozenset({"created", "updated", "not_before", "delivered"})


@click.group()
def jobs() -> None:
    """The queue: list, show, retry, cancel."""


@jobs.command("list")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(STATES), help="Only jobs in this state; may be repeated."
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many, newest first."
)
@config_option
@json_option
def list_jobs(config: Config, states: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List jobs, newest first."""
    from daemon.store import jobs as queue
    from daemon.store.states import JobState

    with reading(config) as session:
        found = queue.listing(session, states=[JobState(state) for state in states], limit=limit)
        documents = [document(job) for job in found]
    if as_json:
        print_json(documents)
    elif documents:
        _print(documents)
    elif states:
        say(f"No job is {' or '.join(states)}.")
    else:
        say(f"No jobs yet. Drop a recording into {config.paths.inbox}")


def _print(documents: list[dict[str, Any]]) -> None:
    """Jobs as a table for people."""
    rows, styles = [], {}
    for item in documents:
        why = item["reason"] or (item["trouble"] if item["state"] == "retry" else None)
        notes = [note for note in ("urgent" if item["priority"] == "urgent" else None, why) if note]
        state = item["state"] + (f" ({', '.join(notes)})" if notes else "")
        styles[state] = COLORS.get(item["state"], "")
        updated = _moment(item["updated"])
        rows.append((str(item["job"]), item["recording"][:8], state, str(item["attempts"]), updated, item["name"]))
    print_table(("job", "recording", "state", "tries", "updated", "name"), rows, styles=styles)


def _moment(text: str) -> str:
    return local(datetime.fromisoformat(text))


def document(job: Job) -> dict[str, Any]:
    """A job as JSON."""
    from daemon.store.states import Priority

    return {
        "job": job.id,
        "recording": job.recording_id,
        "name": job.recording.name,
        "label": job.recording.label,
        "state": str(job.state),
        "priority": Priority(job.priority).name.lower(),
        "attempts": job.attempts,
        "reason": job.reason,
        "trouble": job.trouble,
        "created": job.created_at.isoformat(),
        "updated": job.updated_at.isoformat(),
        "not_before": job.not_before.isoformat(),
        "delivered": job.delivered_at.isoformat() if job.delivered_at else None,
        "output_name": job.recording.output_name,
    }


@jobs.command()
@click.argument("identifier", metavar="ID")
@config_option
@json_option
def show(config: Config, identifier: str, as_json: bool) -> None:
    """One job with its history. ID is a job's number or the beginning of a recording's id."""
    from daemon.store import audit, recordings
    from daemon.store import jobs as queue

    with reading(config) as session:
        job = queue.find(session, identifier)
        found = document(job)
        found["arrivals"] = [
            {
                "name": arrival.name,
                "at": arrival.arrived_at.isoformat(),
                "duplicate": arrival.duplicate,
                "warning": arrival.warning,
            }
            for arrival in recordings.arrivals(session, job.recording_id)
        ]
        found["history"] = [
            {"at": line.at.isoformat(), "by": line.actor, "what": line.action, "detail": line.detail}
            for line in audit.of_recording(session, job.recording_id)
        ]
    if as_json:
        print_json(found)
        return
    for key, value in found.items():
        if not isinstance(value, list) and value not in (None, ""):
            say(f"{key:>12}  {_moment(value) if key in MOMENTS else value}")
    for arrival in found["arrivals"]:
        note = " (duplicate)" if arrival["duplicate"] else ""
        say(f"     arrived  {_moment(arrival['at'])}  {arrival['name']}{note} {arrival['warning'] or ''}".rstrip())
    for line in found["history"]:
        detail = " ".join(f"{key}={value}" for key, value in line["detail"].items() if key != "job")
        say(f"     history  {_moment(line['at'])}  {line['what']} by {line['by']}  {detail}".rstrip())


@jobs.command()
@click.argument("identifiers", metavar="ID...", nargs=-1, required=True)
@config_option
def retry(config: Config, identifiers: tuple[str, ...]) -> None:
    """Try again now: quarantined recordings, or such as wait for their next attempt."""
    operate_each(config, "retry", identifiers)


@jobs.command()
@click.argument("identifiers", metavar="ID...", nargs=-1, required=True)
@config_option
def cancel(config: Config, identifiers: tuple[str, ...]) -> None:
    """Take recordings out of the queue; they go to the quarantine as CANCELLED."""
    operate_each(config, "cancel", identifiers)
