"""``medasrd learn``: the learning cycle by hand, and how its runs went."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.options import config_option, console, json_option, print_json
from daemon.cli.progress import staged_progress
from daemon.cli.session import duration, local, reading, say
from daemon.cli.tables import print_table
from daemon.cli.train import training_progress
from daemon.config import load_config
from daemon.learning.lock import in_words, run_in_work

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.learning.cycle import Outcome
    from daemon.store.learning import LearningRun

#: Exit codes of `learn --now`: the gate refused; nothing came of the training.
REJECTED, FAILED = 4, 1


@click.group(invoke_without_command=True)
@click.option("--now", is_flag=True, help="Run one cycle now: gather, train, measure, judge, promote or refuse.")
@click.option("--config", "path", type=click.Path(path_type=Path), metavar="FILE", help="config.toml to use.")
@json_option
@click.pass_context
def learn(context: click.Context, now: bool, path: Path | None, as_json: bool) -> None:
    """Train a new version and let it serve if the gate finds it better.

    By schedule this happens at the times of schedule.retrain. A cycle that was interrupted goes on where it was. Exit 0: promoted;
    4: refused, what served still serves; 1: nothing came of it, and why is stored.
    """
    if context.invoked_subcommand is not None:
        return
    if not now:
        raise click.UsageError("say --now to run a cycle, or: medasrd learn status", context)
    from daemon.learning.cycle import Observer
    from daemon.learning.cycle import learn as run
    from daemon.learning.task import training_request

    config = load_config(path)  # not before: a subcommand has an option of its own
    os.umask(0o077)
    request = training_request(config)
    with training_progress() as hear, staged_progress() as progress:
        outcome = run(config, request, trigger="manual", observer=Observer(hear=hear, progress=progress))
    if as_json:
        print_json(_document(outcome))
    else:
        _print(outcome)
    sys.exit({"promoted": 0, "rejected": REJECTED}.get(str(outcome.state), FAILED))


@learn.command()
@click.option("--limit", type=click.IntRange(min=1), default=5, show_default=True, help="So many runs, newest first.")
@config_option
@json_option
def status(config: Config, limit: int, as_json: bool) -> None:
    """Show the last runs: where they are or how they ended, what came of them, and when the next one is due."""
    from daemon.store.learning import listing

    with reading(config) as session:
        runs = listing(session, limit=limit)
    following, working = next_due(config), run_in_work(config.paths.trainings)
    if as_json:
        print_json({"next": following, "runs": [asdict(run) | {"working": run.id == working} for run in runs]})
        return
    if runs:
        print_table(
            ("run", "by", "due", "started", "state", "why", "version", "verdict"), [_row(run, working) for run in runs]
        )
    else:
        say("nothing was learned here yet; `medasrd learn --now` begins")
    say(f"next by schedule: {following or 'never (schedule.retrain, evaluation.dataset)'}")


def next_due(config: Config) -> str | None:
    """When the schedule learns next, local time; None for never."""
    from datetime import UTC, datetime

    from daemon.crontab import DISABLED
    from daemon.schedule import learns, trigger

    if not learns(config) or config.schedule.retrain == DISABLED:
        return None
    due = trigger(config.schedule.retrain).get_next_fire_time(None, datetime.now(UTC))
    return local(due) if due else None


def _row(run: LearningRun, working: int | None) -> tuple[str, ...]:
    state = str(run.state)
    step, steps = run.detail.get("step"), run.detail.get("steps")
    if state == "training" and step and run.id == working:
        state = f"training, step {step} of {steps}, {duration(run.detail.get('seconds_left', 0))} left"
    if run.ended_at is None:
        state = in_words(state, working=run.id == working)
    return (
        str(run.id),
        "hand" if run.trigger == "manual" else "schedule",
        local(run.slot) if run.slot else "",
        local(run.started_at),
        state,
        run.reason or "",
        run.version or "",
        str(run.verdict or ""),
    )


def _document(outcome: Outcome) -> dict[str, Any]:
    from daemon.gate.document import verdict_document

    return {
        "run": outcome.run,
        "state": str(outcome.state),
        "reason": outcome.reason,
        "message": outcome.message,
        "version": outcome.version,
        "verdict": verdict_document(outcome.verdict) if outcome.verdict else None,
        "training": asdict(outcome.done) if outcome.done else None,
    }


def _print(outcome: Outcome) -> None:
    from rich.text import Text

    if outcome.verdict:
        from daemon.cli.gate import print_verdict

        print_verdict(outcome.verdict, limit=0)
    style = {"promoted": "bold green", "rejected": "bold yellow"}.get(str(outcome.state), "bold red")
    words = Text.assemble((str(outcome.state).upper(), style), f"  {outcome.version or ''}")
    console().print(words)
    if outcome.message:
        say(outcome.message)
