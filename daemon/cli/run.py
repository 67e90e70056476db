"""``medasrd run`` and ``medasrd scan``: the daemon, for ever or until the inbox is done."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.options import config_option, json_option, print_json
from daemon.cli.session import say
from medasr.errors import TransientError

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.intake.reception import IntakeStatus
    from daemon.service import Service
    from daemon.store.states import JobState

#: What may stay in the inbox without anything being amiss: it never was a recording.
NO_RECORDINGS = frozenset({"SYSTEM", "HIDDEN", "EXTENSION"})


@click.command()
@config_option
def run(config: Config) -> None:
    """Run the daemon in the foreground (this is what systemd starts). SIGTERM and Ctrl-C stop it cleanly."""
    from daemon import assembly, logs, service

    logs.configure(config.log.level, config.log.format, sys.stderr)
    with assembly.opened(config) as running:
        service.listen_to_signals(running)
        running.serve()


@click.command()
@click.option("--once", is_flag=True, default=True, help="Exit when nothing is left to do; the only way for now.")
@config_option
@json_option
def scan(config: Config, once: bool, as_json: bool) -> None:
    """Take in what lies in the inbox, transcribe it, then exit: 0 all transcribed, 3 some not, or something is left."""
    from daemon import assembly, logs, service

    _require_writable(config)
    logs.configure(config.log.level, config.log.format, sys.stderr)
    with assembly.opened(config, once=once) as running:
        service.listen_to_signals(running)
        before = _counts(running)
        running.serve()
        after = _counts(running)
        outcome = scan_outcome(before, after, running.intake.status)
    if as_json:
        print_json(outcome)
    else:
        for line in _lines(outcome):
            say(line)
    left = outcome["left_in_inbox"].keys() - NO_RECORDINGS
    complete = not outcome["waiting"] and not left and not outcome["problem"]
    sys.exit(0 if complete and outcome["ended"]["quarantined"] <= 0 else 3)


def _require_writable(config: Config) -> None:
    """Raise TransientError when what is transcribed cannot be delivered: a daemon waits until it can, a scan would never end."""
    for folder in (config.paths.outbox, config.paths.quarantine):
        if folder.is_dir() and not os.access(folder, os.W_OK):
            raise TransientError(f"{folder} cannot be written to now; `medasrd doctor` says how to mend it")


def scan_outcome(before: dict[JobState, int], after: dict[JobState, int], intake: IntakeStatus) -> dict[str, Any]:
    """Given the jobs in each state before and after, and what intake says, return how the scan ended as JSON."""
    from daemon.store.states import ENDED, IN_WORK, WAITING

    return {
        "ended": {str(state): after[state] - before[state] for state in ENDED},
        "waiting": sum(after[state] for state in (*WAITING, *IN_WORK)),  # stopped before they were done
        "left_in_inbox": intake.left_counts,
        "problem": intake.problem or None,
    }


def _lines(outcome: dict[str, Any]) -> Iterator[str]:
    ended = [f"{count} {state}" for state, count in outcome["ended"].items() if count > 0]
    yield "transcribed " + ", ".join(ended) if ended else "nothing was transcribed"
    if outcome["waiting"]:
        yield f"{outcome['waiting']} still waiting; the next `medasrd run` or `medasrd scan` goes on with them"
    if left := outcome["left_in_inbox"]:
        yield "left in the inbox: " + ", ".join(f"{count} {code}" for code, count in left.items())
    if outcome["problem"]:
        yield f"the inbox is not served: {outcome['problem']}; `medasrd doctor` looks for the cause"


def _counts(running: Service) -> dict[JobState, int]:
    from daemon.store.states import job_counts

    return job_counts(running.config.paths.database)
