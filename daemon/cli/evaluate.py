"""``medasrd evaluate``: how well a model transcribes recordings whose text is known."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.options import config_option, json_option, print_json
from daemon.cli.progress import progress_bar
from daemon.cli.session import reading, say
from medasr.splits import SPLITS

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.store.evaluations import EvaluationSummary


@click.command()
@click.option(
    "--dataset", metavar="DATASET", help="Kaggle folder, manifest, local copy or hub id [default: evaluation.dataset]."
)
@click.option(
    "--split", type=click.Choice(SPLITS), help="Which recordings; its part test is scored [default: evaluation.split]."
)
@click.option(
    "--model",
    default="serving",
    show_default=True,
    metavar="MODEL",
    help="serving, previous, candidate; base (model.base without adapter); a version or an installed base of `medasrd models list`.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Only so many utterances: the same ones each time.")
@click.option(
    "--bias",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A list of terms that are preferred in doubt, with bias.weight: what it brings, before a folder gets it.",
)
@config_option
@json_option
def evaluate(
    config: Config,
    dataset: str | None,
    split: str | None,
    model: str,
    limit: int | None,
    bias: Path | None,
    as_json: bool,
) -> None:
    """Transcribe a dataset over the very path that serves, score it, and store the result.

    Interrupted, the same command goes on where it was. While a daemon has recordings to transcribe, this waits.
    """
    from daemon.evaluation.evaluation import evaluate as run
    from daemon.evaluation.plan import EvaluationRequest, plan_evaluation
    from daemon.store import evaluations

    os.umask(0o077)
    options = config.evaluation
    request = EvaluationRequest(
        dataset=options.dataset if dataset is None else dataset,
        split=split or options.split,
        model=model,
        limit=limit,
        bias=bias,
    )
    with progress_bar("reading the dataset") as progress:
        plan = plan_evaluation(config, request, progress=progress)
    for leak in plan.leaks:
        click.echo(f"warning: the figures may be too good: {leak}", err=True)
    if lost := plan.lost_terms:
        click.echo(
            f"warning: {plan.normalizer.id} leaves nothing to be found of {len(lost)} terms of the lexicon: {', '.join(lost)}",
            err=True,
        )
    with progress_bar("evaluating") as progress:
        number = run(config, plan, progress)
    with reading(config) as session:
        evaluation = evaluations.find(session, str(number))
    if as_json:
        from daemon.evaluation.document import evaluation_document

        print_json(evaluation_document(evaluation))
    else:
        _print(evaluation)


def _print(evaluation: EvaluationSummary) -> None:
    from daemon.cli.scores import print_circumstances, print_scores

    print_scores(evaluation.scores)
    print_circumstances(evaluation)
    say(f"stored as evaluation {evaluation.id}; `medasrd evaluations show {evaluation.id}` says more")
