"""``medasrd show``, ``search`` and ``terms``: what was heard."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.options import config_option, console, json_option, print_json
from daemon.cli.session import duration, local, reading, say
from daemon.cli.tables import print_table

if TYPE_CHECKING:
    from daemon.config import Config

CATEGORIES = ("symptom", "anatomy", "condition", "drug", "procedure", "test", "unit")


@click.command()
@click.argument("identifier", metavar="ID")
@config_option
@json_option
def show(config: Config, identifier: str, as_json: bool) -> None:
    """One recording with its transcript and medical terms. ID is a job's number or the beginning of a recording's id."""
    from daemon.documents import error_document, transcript_document
    from daemon.store import jobs, transcripts

    with reading(config) as session:
        job = jobs.find(session, identifier)
        transcript = transcripts.latest(session, job.recording_id)
        if transcript is not None:
            document = transcript_document(transcript)
        elif job.state == "quarantined":
            document = error_document(job)
        else:
            document = {"recording": {"id": job.recording_id, "name": job.recording.name}, "state": str(job.state)}
    if as_json:
        print_json(document)
    elif "segments" in document:
        print_transcript(document)
    else:
        say(f"{document['recording']['name']}: {document.get('reason') or document['state']}")
        say(document.get("meaning", "It is not transcribed yet."))


def print_transcript(document: dict[str, Any]) -> None:
    """A transcript for people: what it is, who said what when, the terms, and why somebody should look."""
    from rich.text import Text

    output = console()
    audio, model = document["audio"] or {}, document["model"]
    output.print(Text(document["recording"]["name"], style="bold"))
    facts = [f"recording {document['recording']['id'][:8]}", duration(audio.get("seconds", 0.0)), document["language"]]
    output.print(Text(f"{'  '.join(facts)}  by {model['base']} ({model['precision']}, {model['device']})", style="dim"))
    concerns = document["verdict"]["concerns"]
    for concern in concerns:
        where = f"{concern['start']:.1f}-{concern['end']:.1f} s"
        output.print(Text(f"look at {where}: {concern['code']} ({concern['value']:.2f})", style="yellow"))
    if not document["segments"]:
        output.print(Text("no speech", style="cyan"))
    for segment in document["segments"]:
        words = (segment["text"], "yellow" if segment["concerns"] else "")
        output.print(Text.assemble((f"{_minutes(segment['start'])}  ", "dim"), words), soft_wrap=True)
    if document["terms"]:
        output.print()
        print_terms(document["terms"])


def print_terms(terms: list[dict[str, Any]]) -> None:
    """Term hits, grouped by category."""
    from rich.text import Text

    for category in CATEGORIES:
        heard = dict.fromkeys(term["term"] for term in terms if term["category"] == category)
        if heard:
            console().print(Text.assemble((f"{category:>10}  ", "bold"), ", ".join(heard)), soft_wrap=True)


@click.command()
@click.argument("query", nargs=-1, required=True)
@click.option("--limit", default=20, show_default=True, help="At most so many, best first.")
@config_option
@json_option
def search(config: Config, query: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Find transcripts that hold all the words of QUERY; "a phrase" in quotes stands together."""
    from daemon.store import transcripts

    with reading(config) as session:
        found = transcripts.search(session, " ".join(query), limit=limit)
    if as_json:
        print_json(
            [
                {
                    "recording": item.recording_id,
                    "name": item.name,
                    "label": item.label,
                    "created_at": item.created_at.isoformat(),
                    "excerpt": re.sub("[\x02\x03]", "", item.excerpt),
                }
                for item in found
            ]
        )
        return
    if not found:
        say("Nothing found.")
    from rich.text import Text

    for item in found:
        head = Text.assemble((f"{item.recording_id[:8]}  {local(item.created_at)}  ", "dim"), (item.name, "bold"))
        console().print(head, soft_wrap=True)
        console().print(_highlighted(item.excerpt), soft_wrap=True)


def _highlighted(excerpt: str) -> Any:
    from rich.text import Text

    line = Text("          ")
    for part in re.split("(\x02[^\x03]*\x03)", excerpt.replace("\n", " ")):
        matched = part.startswith("\x02")
        line.append(part.strip("\x02\x03") if matched else part, style="bold yellow" if matched else "")
    return line


@click.command()
@click.argument("term", required=False)
@click.option("--category", type=click.Choice(CATEGORIES), help="Only terms of this category.")
@click.option(
    "--days", type=click.FloatRange(min=0, min_open=True), help="Only what was heard in the last so many days."
)
@click.option("--limit", default=50, show_default=True, help="At most so many.")
@config_option
@json_option
def terms(
    config: Config, term: str | None, category: str | None, days: float | None, limit: int, as_json: bool
) -> None:
    """Medical terms heard, how often and when; with TERM, every place where it was heard."""
    if term is None:
        _count_terms(config, category, days, limit, as_json=as_json)
    else:
        _find_term(config, term, limit, as_json=as_json)


def _count_terms(config: Config, category: str | None, days: float | None, limit: int, *, as_json: bool) -> None:
    from dataclasses import asdict

    from daemon.store import transcripts

    since = timedelta(days=days) if days else None
    with reading(config) as session:
        counts = transcripts.term_counts(session, category=category, since=since, now=datetime.now(UTC), limit=limit)
    if as_json:
        print_json(
            [{**asdict(count), "first": count.first.isoformat(), "last": count.last.isoformat()} for count in counts]
        )
        return
    if not counts:
        say("No medical terms heard yet.")
        return
    columns = ("term", "category", "heard", "recordings", "last")
    rows = [(count.term, count.category, str(count.hits), str(count.recordings), local(count.last)) for count in counts]
    print_table(columns, rows, right=frozenset({"heard", "recordings"}))


def _find_term(config: Config, term: str, limit: int, *, as_json: bool) -> None:
    from daemon.documents import term_part
    from daemon.store import transcripts

    with reading(config) as session:
        places = [
            {"recording": recording.id, "name": recording.name, **term_part(hit)}
            for hit, recording in transcripts.occurrences(session, term, limit=limit)
        ]
    if as_json:
        print_json(places)
    elif not places:
        say("Not heard yet. `medasrd terms` lists the terms that were.")
    else:
        for place in places:
            say(
                f"{place['recording'][:8]}  {_minutes(place['start'])}  {place['confidence']:4.0%}  {place['surface']}  {place['name']}"
            )


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes):3d}:{rest:04.1f}"
