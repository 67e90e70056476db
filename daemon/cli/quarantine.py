"""``medasrd quarantine``: recordings that could not be transcribed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from daemon.cli.options import config_option, console, json_option, print_json
from daemon.cli.session import local, operate_each, reading, say
from daemon.cli.tables import print_table

if TYPE_CHECKING:
    from daemon.config import Config


@click.group()
def quarantine() -> None:
    """Recordings that could not be transcribed: list, release."""


@quarantine.command("list")
@config_option
@json_option
def list_quarantined(config: Config, as_json: bool) -> None:
    """List them with the reason and what can be done."""
    from daemon.documents import REMEDIES, error_document
    from daemon.store import jobs
    from daemon.store.states import JobState
    from medasr.errors import Reason

    with reading(config) as session:
        held = jobs.listing(session, states=[JobState.QUARANTINED])
        documents = [error_document(job) for job in held]
        rows = [(job.recording_id[:8], str(job.reason), local(job.updated_at), job.recording.name) for job in held]
    if as_json:
        print_json(documents)
        return
    if not rows:
        say("The quarantine is empty.")
        return
    from rich.text import Text

    print_table(("recording", "reason", "since", "name"), rows, styles=dict.fromkeys((row[1] for row in rows), "red"))
    output = console()
    output.print()
    for reason in sorted({row[1] for row in rows}):
        output.print(Text(f"{reason}: {REMEDIES[Reason(reason)]}"), soft_wrap=True)


@quarantine.command()
@click.argument("identifiers", metavar="ID...", nargs=-1, required=True)
@config_option
def release(config: Config, identifiers: tuple[str, ...]) -> None:
    """Put recordings back into the queue. ID is a job's number or the beginning of a recording's id."""
    operate_each(config, "release", identifiers)
