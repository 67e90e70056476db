"""``medasrd status``: what the daemon is doing, and what needs a person."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from daemon import control
from daemon.cli.options import config_option, console, json_option, print_json
from daemon.cli.session import local
from daemon.learning.lock import in_words

if TYPE_CHECKING:
    from daemon.config import Config


@click.command()
@config_option
@json_option
def status(config: Config, as_json: bool) -> None:
    """What the daemon is doing, and what needs a person."""
    try:
        document = control.call(config.paths.state, "status")
    except (ConnectionError, FileNotFoundError):
        from daemon.status import status_document

        document = status_document(config)
    if as_json:
        print_json(document)
    else:
        _print(document)


def _print(document: dict[str, Any]) -> None:
    from rich.text import Text

    output = console()
    for name, value in _lines(document):
        output.print(Text.assemble((f"{name:>10}  ", "bold"), value), soft_wrap=True)
    left = sorted(document["inbox"].get("left", []), key=lambda item: str(item["name"]))
    for item in left:
        output.print(Text(f"{'left':>10}  {item['name']}  ({item['code']})", style="yellow"), soft_wrap=True)
    if (more := sum(document["inbox"].get("left_counts", {}).values()) - len(left)) > 0:
        output.print(Text(f"{'left':>10}  and {more} more", style="yellow"))
    for line in document["attention"]:
        output.print(Text(f"{'look':>10}  {line}", style="yellow"), soft_wrap=True)


def _lines(document: dict[str, Any]) -> list[tuple[str, str]]:
    daemon, inbox, counts = document["daemon"], document["inbox"], document["jobs"]
    lines = []
    if daemon:
        model = daemon["model"]
        served = daemon.get("serves", "")
        loaded = (
            f"{model['version']} ({model['precision']}, {model['device']})" if model else f"{served} {daemon['engine']}"
        )
        since = local(datetime.fromisoformat(daemon["since"]))
        lines += [("daemon", f"running since {since}, pid {daemon['pid']}"), ("model", loaded.strip())]
    where = inbox["path"]
    if daemon:
        settling = f", {inbox['settling']} settling or waiting" if inbox["settling"] else ""
        where += f"  ({inbox['problem'] or inbox['watching'].lower()}{settling})"
    lines.append(("inbox", where))
    waiting = counts["received"] + counts["retry"]
    in_work = counts["decoding"] + counts["transcribing"]
    urgent = f"; {document['urgent']} of them urgent" if document["urgent"] else ""
    lines.append(("queue", f"{waiting} waiting, {in_work} in work{urgent}"))
    words = {"done": "done", "needs_review": "to review", "no_speech": "without speech", "quarantined": "in quarantine"}
    lines.append(("ended", ", ".join(f"{counts[state]} {word}" for state, word in words.items())))
    if learning := document.get("learning"):
        since = local(datetime.fromisoformat(learning["started_at"]))
        state, working = learning["state"], learning["working"]
        if working and state == "training" and learning["step"]:
            state += f", step {learning['step']} of {learning['steps']}"
        if not learning["ended"]:
            state = in_words(state, working=working)
        why = f" ({learning['reason']})" if learning["reason"] else ""
        lines.append(("learning", f"{state}{why}, begun {since}"))
    lines.append(("disk", f"{document['disk']['free_bytes'] / 2**30:.1f} GiB free"))
    return lines
