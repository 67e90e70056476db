"""``medasrd doctor``: everything a new installation gets wrong, with the remedy."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from daemon.cli.options import config_option, console, json_option, print_json

if TYPE_CHECKING:
    from daemon.config import Config

_MARKS = {"ok": ("green", "ok"), "warning": ("yellow", "look"), "problem": ("red", "mend")}


@click.command()
@config_option
@json_option
def doctor(config: Config, as_json: bool) -> None:
    """Check versions, folders, mounts, disk, database, model, GPU and memory. Exit 1 if something has to be mended."""
    from dataclasses import asdict

    from rich.text import Text

    from daemon.diagnosis import examine

    worst = "ok"
    findings = []
    for finding in examine(config):
        findings.append(finding)
        worst = max(worst, finding.level, key=list(_MARKS).index)
        if not as_json:
            style, mark = _MARKS[finding.level]
            console().print(
                Text.assemble((f"{mark:>5}  ", style), f"{finding.subject}: {finding.text}"), soft_wrap=True
            )
            if finding.remedy:
                console().print(Text(f"       {finding.remedy}", style="dim"), soft_wrap=True)
    if as_json:
        print_json({"worst": worst, "findings": [asdict(finding) for finding in findings]})
    sys.exit(1 if worst == "problem" else 0)
