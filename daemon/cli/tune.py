"""``medasrd tune``: which precision, batch and threads are fastest on this machine."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from daemon.cli.options import config_option, json_option, print_json
from daemon.cli.progress import staged_progress
from daemon.cli.session import say
from daemon.cli.tables import print_table

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.tuning.setting import Outcome
    from daemon.tuning.tuning import Tuning


@click.command()
@click.option(
    "--forget", is_flag=True, help="Instead: remove what is stored, so that the untuned setting serves again."
)
@config_option
@json_option
def tune(config: Config, forget: bool, as_json: bool) -> None:
    """Measure which precision, batch and threads transcribe fastest here, and store that for every later start.

    Only what config.toml leaves to choose is tried: model.precision = "auto", model.batch_size = 8, model.threads = 0. A setting that
    writes worse than fp32, by more than half a point of word error rate, is out. Some minutes; while a daemon has recordings to transcribe, this waits.
    """
    from daemon.tuning import tuning as stored

    os.umask(0o077)
    if forget:
        known = stored.forget(config.paths.state)
        if as_json:
            print_json({"forgotten": known})
        else:
            say("forgotten; the untuned setting serves from the next start on" if known else "nothing was stored")
        return
    from daemon.tuning.measuring import tune as measure

    with staged_progress() as progress:
        found = measure(config, progress)
    stored.write(config.paths.state, found)
    if as_json:
        print_json(asdict(found))
    else:
        _print(config, found)


def _print(config: Config, tuning: Tuning) -> None:
    from daemon import home
    from daemon.tuning.examination import advantage, in_words

    able = [one for one in tuning.outcomes if one.ratio is not None]
    unable = [one for one in tuning.outcomes if one.ratio is None]
    rows = [_row(tuning, one) for one in (*sorted(able, key=lambda one: -(one.ratio or 0)), *unable)]
    columns = ("precision", "batch", "threads", "seconds", "times as fast", "WER", "other words", "")
    print_table(columns, rows, right=frozenset(columns[1:-1]))
    say(
        f"{len(tuning.outcomes)} settings on {tuning.audio_seconds:.0f} s of speech, {tuning.base_id} on {tuning.device}"
    )
    say(f"stored: {in_words(tuning.setting, tuning.device)}: {advantage(tuning)}")
    if home.is_held(config.paths.state):
        say("the daemon that runs here takes it when it is started again: systemctl restart medasrd")


def _row(tuning: Tuning, outcome: Outcome) -> tuple[str, ...]:
    setting = outcome.setting
    note = outcome.rejected
    if setting == tuning.setting:
        note = "chosen"
    elif setting == tuning.untuned and not note:
        note = "untuned"
    return (
        setting.precision,
        str(setting.batch_size),
        str(setting.threads or "all"),
        "-" if outcome.seconds is None else f"{outcome.seconds:.1f}",
        "-" if outcome.ratio is None else f"{outcome.ratio:.2f}",
        "-" if outcome.word_error_rate is None else f"{outcome.word_error_rate:.1f} %",
        "-" if outcome.other_words is None else f"{outcome.other_words:.1f} %",
        note,
    )
