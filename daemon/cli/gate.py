"""``medasrd gate``: whether a version may replace what serves, and why not."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from daemon.cli.options import config_option, json_option, print_json
from daemon.cli.progress import staged_progress
from daemon.cli.scores import METRIC_NAMES, figure, heading, interval, line
from daemon.cli.session import local, reading, say
from daemon.cli.tables import print_table

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.store.verdicts import StoredVerdict
    from medasr.verdict import Check, TrialResult

#: Exit code of `gate run` when the version was rejected.
REJECTED = 4
_STYLES = {"passed": "green", "failed": "bold red", "PROMOTE": "green", "REJECT": "red"}


@click.group()
def gate() -> None:
    """Whether a version may replace what serves: run, show, list."""


@gate.command()
@click.argument("version", metavar="VERSION", default="candidate")
@config_option
@json_option
def run(config: Config, version: str, as_json: bool) -> None:
    """Hold VERSION (default: the candidate) against what serves, and store the verdict. Exit 0 for PROMOTE, 4 for REJECT.

    Both are measured on the test part of evaluation.dataset and on general speech, in the mode in which they serve; what was
    measured before is not measured again. Nothing is promoted by this: see `medasrd models promote`.
    """
    from daemon.gate.document import verdict_document
    from daemon.gate.gate import run_gate

    os.umask(0o077)
    with staged_progress() as progress:
        stored = run_gate(config, version, progress=progress)
    if as_json:
        print_json(verdict_document(stored))
    else:
        print_verdict(stored, limit=5)
    if stored.verdict.failed:
        sys.exit(REJECTED)


@gate.command()
@click.argument("identifier", metavar="NUMBER|latest", default="latest")
@click.option("--limit", type=click.IntRange(min=0), default=10, show_default=True, help="So many changed utterances.")
@config_option
@json_option
def show(config: Config, identifier: str, limit: int, as_json: bool) -> None:
    """Show a verdict: every check, the figures of both models, and the utterances that changed most."""
    from daemon.gate.document import verdict_document
    from daemon.store import verdicts

    with reading(config) as session:
        stored = verdicts.find(session, identifier)
    if as_json:
        print_json(verdict_document(stored))
    else:
        print_verdict(stored, limit=limit)


@gate.command(name="list")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The newest so many.")
@config_option
@json_option
def list_verdicts(config: Config, limit: int, as_json: bool) -> None:
    """Show what the gate has said, newest first."""
    from daemon.gate.document import verdict_summary
    from daemon.store import verdicts

    with reading(config) as session:
        found = verdicts.stored_verdicts(session, limit=limit)
    if as_json:
        print_json([verdict_summary(one) for one in found])
        return
    if not found:
        say("the gate has judged nothing yet; `medasrd gate run VERSION` has it judge")
        return
    rows = [
        (
            str(one.id),
            local(one.created_at)[:16],
            str(one.verdict.decision),
            one.candidate,
            incumbent_name(one),
            ", ".join(dict.fromkeys(str(check.name) for check in one.verdict.failed)),
        )
        for one in found
    ]
    columns = ("no.", "when", "decision", "candidate", "against", "failed")
    print_table(columns, rows, right=frozenset({"no."}), styles=_STYLES)


def incumbent_name(stored: StoredVerdict) -> str:
    """What the candidate was held against."""
    return stored.incumbent or f"{stored.base_id}, stock"


def print_verdict(stored: StoredVerdict, limit: int) -> None:
    """Show a verdict with its checks and figures, and so many of the utterances that changed most."""
    verdict = stored.verdict
    line(f"{verdict.decision}: {stored.candidate} against {incumbent_name(stored)}", style="bold")
    line(f"verdict {stored.id} of {local(stored.created_at)[:16]}")
    for note in verdict.notes:
        line(note, style="yellow")
    heading("checks")
    rows = [_check_row(check) for check in verdict.checks]
    print_table(("check", "on", "", "what was found"), rows, styles=_STYLES)
    for trial in verdict.trials:
        _print_trial(trial, limit)


def _check_row(check: Check) -> tuple[str, str, str, str]:
    return str(check.name), check.trial, "passed" if check.passed else "failed", check.detail


def _print_trial(trial: TrialResult, limit: int) -> None:
    left_out = f", {trial.left_out} left out" if trial.left_out else ""
    speakers = f" of {trial.speakers} speakers" if trial.speakers else ""
    heading(f"{trial.name}: {trial.dataset}")
    line(f"{trial.utterances} utterances{speakers}, {trial.terms} terms{left_out}; drawn: {trial.resampled}")
    rows = []
    for one in trial.figures:
        points, chance = one.difference, one.probability_better
        rows.append(
            (
                METRIC_NAMES[one.metric],
                figure(one.before),
                figure(one.after),
                "–" if points.value is None else f"{points.value:+.2f}",
                "–" if chance is None else f"{100 * chance:.0f} %",
                interval(points.low, points.high),
            )
        )
    columns = ("in percent", trial.against, "candidate", "change", "candidate better", "95 % interval of the change")
    print_table(columns, rows, right=frozenset(columns[1:5]))
    if trial.changed and limit:
        worse = [one for one in trial.changed if (one.fewer_terms, one.more_errors) > (0, 0)]
        line(f"{len(trial.changed)} utterances are written differently; worse for the candidate:")
        for changed in worse[:limit]:
            line(f"  {changed.id}  {changed.more_errors:+d} words wrong, {changed.fewer_terms:+d} terms wrong")
        if trial.evaluations:
            line("  `medasrd evaluations compare {} {}` shows the texts".format(*trial.evaluations))
