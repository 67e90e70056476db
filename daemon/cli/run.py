"""``medasrd run`` and ``medasrd scan``: the daemon, for ever or until the inbox is done."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from daemon.cli.options import config_option, json_option, print_json
from daemon.cli.session import say

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.service import Service
    from daemon.store.states import JobState


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
    """Take in what lies in the inbox, transcribe it, then exit: 0 all transcribed, 3 some not."""
    from daemon import assembly, logs, service

    logs.configure(config.log.level, config.log.format, sys.stderr)
    with assembly.opened(config, once=once) as running:
        service.listen_to_signals(running)
        before = _counts(running)
        running.serve()
        after = _counts(running)
        left = running.intake.status.left_counts
    ended = {str(state): after[state] - before[state] for state in after}
    if as_json:
        print_json({"ended": ended, "left_in_inbox": left})
    else:
        say(
            "transcribed " + ", ".join(f"{count} {state}" for state, count in ended.items() if count > 0)
            if any(ended.values())
            else "nothing to do"
        )
        if left:
            say("left in the inbox: " + ", ".join(f"{count} {code}" for code, count in left.items()))
    sys.exit(3 if ended["quarantined"] > 0 or left else 0)


def _counts(running: Service) -> dict[JobState, int]:
    from daemon.store.states import job_counts

    return job_counts(running.config.paths.database)
