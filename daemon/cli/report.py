"""``medasrd report``: how well what serves transcribes, over time."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.options import config_option, json_option, print_json
from daemon.cli.session import reading, say

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.report.overview import Overview

#: Exit code of --check when an alarm stands.
ALARM = 4

_file = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="Only from this local date on: 2026-01-31."
)
@click.option("--model", metavar="MODEL", help="Only of this model: serving, base, or a base model's name.")
@click.option("--dataset", metavar="DATASET", help="Only on this dataset: its name, or the beginning of its hash.")
@click.option("--html", type=_file, metavar="FILE", help="Write a page for a browser; it needs no network.")
@click.option("--png", type=_file, metavar="FILE", help="Write a picture.")
@click.option("--csv", type=_file, metavar="FILE", help="Write a line for each evaluation, for a spreadsheet.")
@click.option("--check", is_flag=True, help="Say the alarms that stand, and exit 4 if there is one.")
@config_option
@json_option
def report(
    config: Config,
    since: datetime | None,
    model: str | None,
    dataset: str | None,
    html: Path | None,
    png: Path | None,
    csv: Path | None,
    check: bool,
    as_json: bool,
) -> None:
    """How the models score over time, what that means, and what the service itself saw week by week.

    Evaluations are compared only where dataset, split, normalizer, lexicon and decoding are the same.
    """
    from daemon.report.overview import Chosen, read_overview

    chosen = Chosen(since=since.astimezone() if since else None, model=model, dataset=dataset)
    with reading(config) as session:
        overview = read_overview(config, session, chosen, now=datetime.now(UTC))
    written = _write_files(overview, html, png, csv)
    if as_json:
        from daemon.report.document import report_document

        print_json(report_document(overview), indent=None)
    elif check:
        _say_alarms(overview)
    elif not written:
        from daemon.cli.trend import print_overview

        print_overview(overview)
    if check and overview.standing:
        sys.exit(ALARM)


def _write_files(overview: Overview, html: Path | None, png: Path | None, csv: Path | None) -> bool:
    """Write what was asked for and say so, on stderr since stdout may be for a program; return whether anything was."""
    contents: dict[Path, bytes] = {}
    if html:
        from daemon.report.page import report_page

        contents[html] = report_page(overview).encode()
    if png:
        from daemon.report.picture import report_picture

        contents[png] = report_picture(overview)
    if csv:
        from daemon.report.spreadsheet import report_csv

        contents[csv] = report_csv(overview).encode("utf-8-sig")  # by this mark spreadsheets know the encoding
    for path, content in contents.items():
        _write(path, content)
        click.echo(f"written: {path}", err=True)
    return bool(contents)


def _write(path: Path, content: bytes) -> None:
    """Write for the user alone: what is said to patients shows in the terms."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        partial.replace(path)
    except (FileNotFoundError, NotADirectoryError):
        raise click.UsageError(f"{path.parent} is no folder; make it first") from None
    finally:
        partial.unlink(missing_ok=True)


def _say_alarms(overview: Overview) -> None:
    from daemon.report.words import alarm_sentence

    for alarm in overview.standing:
        say(alarm_sentence(alarm))
    if not overview.standing:
        say("no alarm stands" if overview.series else "nothing was evaluated yet, so no alarm stands")
