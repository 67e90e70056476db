"""``medasrd explore``: what is in a dataset, before anything is learned from it or measured on it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.options import config_option, json_option, print_json
from daemon.cli.progress import progress_bar
from daemon.cli.scores import line
from daemon.cli.session import say

if TYPE_CHECKING:
    from daemon.config import Config


@click.command()
@click.argument("dataset")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder for the report, made if missing.",
)
@config_option
@json_option
def explore(config: Config, dataset: str, out: Path, as_json: bool) -> None:
    """Look at DATASET: write DIR/report.html, one PNG a picture, and exploration.json with all figures.

    DATASET is a Kaggle folder, a manifest (.csv, .jsonl), a local copy, or a hub id with its revision.
    """
    from daemon import home
    from medasr.dataset.loading import load_dataset
    from medasr.exploration.exploration import PAGE, Places, require_free
    from medasr.exploration.exploration import explore as run
    from medasr.exploration.findings import findings
    from medasr.exploration.survey import survey_document
    from medasr.lexicon import load_lexicon
    from medasr.text.normalizers import text_normalizer

    os.umask(0o077)
    home.prepare(config)
    require_free(out)
    with progress_bar("reading the dataset") as progress:
        loaded = load_dataset(dataset, cache=config.paths.datasets, progress=progress)
    with progress_bar("measuring the recordings") as progress:
        survey = run(
            loaded,
            load_lexicon(config.lexicon.extra),
            text_normalizer(config.evaluation.normalizer),
            Places(out=out, records=config.paths.datasets),
            workers=len(os.sched_getaffinity(0)),
            progress=progress,
        )
    if as_json:
        print_json(survey_document(survey))
        return
    for sentence in findings(survey):
        line(f"- {sentence}")
    say(f"the report: {out / PAGE}")
