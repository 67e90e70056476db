"""``medasrd train``: a new version from a dataset; it serves only after the gate has found it better."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.options import config_option, json_option, print_json
from daemon.cli.progress import staged_progress
from daemon.cli.session import duration, say
from medasr.splits import SPLITS

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.learning.news import News, Tried


@click.command()
@click.option(
    "--dataset", metavar="DATASET", help="What to learn from [default: training.dataset, else evaluation.dataset]."
)
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    help="Its part train is learned from, its part validate chooses; all: everything is learned from [default: evaluation.split].",
)
@click.option("--recipe", type=click.Choice(["medasr", "notebook"]), help="[default: training.recipe]")
@click.option("--resume", is_flag=True, help="Go on with the same training where it was interrupted.")
@config_option
@json_option
def train(
    config: Config, dataset: str | None, split: str | None, recipe: str | None, resume: bool, as_json: bool
) -> None:
    """Train a version for model.base and put it on the shelf as the candidate.

    It does not serve by this: `medasrd gate run` holds it against what serves, `medasrd models promote` lets it serve. While a daemon
    has recordings to transcribe, this makes room (learning.recordings_first).
    """
    from daemon.learning.cycle import Observer, train_only
    from daemon.learning.task import training_request

    os.umask(0o077)
    request = training_request(config, dataset=dataset, split=split, recipe=recipe)
    with training_progress() as hear, staged_progress() as progress:
        version, done = train_only(config, request, observer=Observer(hear=hear, progress=progress), resume=resume)
    curve = Path(done.folder).with_name("curve.png")
    if as_json:
        print_json(
            {
                "version": version,
                "epoch": done.epoch,
                "interpolation": done.interpolation,
                "seconds": done.seconds,
                "peak_memory": done.peak_memory,
                "curve": str(curve),
            }
        )
        return
    say(f"{version} is trained: epoch {done.epoch}, mixed with the base by {done.interpolation:g}")
    say(f"it took {duration(done.seconds)} and {done.peak_memory / 2**30:.1f} GiB; learning curve: {curve}")
    say(f"may it serve? medasrd gate run {version}")


@contextmanager
def training_progress() -> Iterator[Callable[[News], None]]:
    """A function that shows a training's news: bars for what takes time, with the loss and the time left, and a line for each trial."""
    from daemon.learning.news import Phase, Step, Tried

    with staged_progress() as progress:

        def hear(news: News) -> None:
            if isinstance(news, Phase):
                progress(news.name, news.done, news.total)
            elif isinstance(news, Step):
                progress("training", news.step, news.steps)
                if news.step % 10 == 0 or news.step == news.steps:
                    left = duration(news.seconds_left)
                    click.echo(
                        f"step {news.step} of {news.steps}: loss {news.loss:.3f}, {left} of steps left", err=True
                    )
            elif isinstance(news, Tried):
                click.echo(_tried(news), err=True)

        yield hear


def _tried(news: Tried) -> str:
    """What an adapter wrote on validation beside what the base did."""
    parts = []
    for metric, name in (
        ("normalized_wer", "normalized WER"),
        ("mta", "MTA"),
        ("term_precision", "term precision"),
        ("general_wer", "WER on other speech"),
    ):
        value, before = news.figures.get(metric), news.base.get(metric)
        if value is not None and before is not None:
            parts.append(f"{name} {value:.2f} (base {before:.2f})")
    return f"epoch {news.epoch}, mixed by {news.interpolation:g}: " + ", ".join(parts)
