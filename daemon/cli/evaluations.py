"""``medasrd evaluations``: what was measured, one by one and two against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from daemon.cli.options import config_option, json_option, print_json
from daemon.cli.scores import METRIC_NAMES, figure, heading, interval, line, print_circumstances, print_scores
from daemon.cli.session import local, reading, say
from daemon.cli.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.config import Config
    from daemon.evaluation.pair import ChangedTerm, Pair
    from daemon.store.evaluations import EvaluationSummary
    from medasr.metrics.comparison import ChangedUtterance
    from medasr.metrics.scores import Calibration, ScoredUtterance, TermCounts

_NONE_YET = "no evaluations yet; `medasrd evaluate --dataset DATASET` makes one"


@click.group()
def evaluations() -> None:
    """What was measured: list, show, compare."""


@evaluations.command(name="list")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The newest so many.")
@config_option
@json_option
def list_evaluations(config: Config, limit: int, as_json: bool) -> None:
    """Show the evaluations, newest first. Figures of different recipes must not be compared."""
    from daemon.evaluation.document import evaluation_document
    from daemon.report.history import model_name
    from daemon.store import evaluations as stored

    with reading(config) as session:
        found = stored.summaries(session, limit=limit)
    if as_json:
        print_json([evaluation_document(one) for one in found])
        return
    if not found:
        say(_NONE_YET)
        return
    columns = (
        "no.",
        "ended",
        "WER",
        "nWER",
        "CER",
        "nCER",
        "MTA",
        "precision",
        "utterances",
        "recipe",
        "asked for",
        "model",
    )
    metrics = ("wer", "normalized_wer", "cer", "normalized_cer", "mta", "term_precision")
    rows = [
        (
            str(one.id),
            local(one.ended_at)[:16],
            *(figure(getattr(one.scores, metric).value, 1) for metric in metrics),
            str(one.scores.n_utterances),
            one.recipe.sha256[:8],
            "schedule" if one.trigger == "scheduled" else one.model_label,
            model_name(one.model),
        )
        for one in found
    ]
    print_table(columns, rows, right=frozenset(("no.", *columns[2:9])))


@evaluations.command()
@click.argument("identifier", metavar="NUMBER|latest")
@click.option(
    "--limit", type=click.IntRange(min=0), default=10, show_default=True, help="So many terms and utterances."
)
@config_option
@json_option
def show(config: Config, identifier: str, limit: int, as_json: bool) -> None:
    """Show one evaluation: metrics, categories, the terms and utterances that went worst, and how it was made.

    With --json all utterances come with reference, hypothesis and alignment.
    """
    from daemon.evaluation.document import evaluation_document, utterance_document
    from daemon.store import evaluations as stored

    with reading(config) as session:
        evaluation = stored.find(session, identifier)
        scored = stored.scored_utterances(session, evaluation.id)
    if as_json:
        print_json(evaluation_document(evaluation) | {"utterances": [utterance_document(one) for one in scored]})
        return
    print_scores(evaluation.scores)
    print_circumstances(evaluation)
    if evaluation.scores.calibration:
        heading("written terms by confidence")
        _print_reliability(evaluation.scores.calibration)
    heading("terms by category")
    _print_counts("category", sorted(evaluation.scores.categories.items(), key=lambda item: -_said(item[1])))
    worst = sorted(evaluation.scores.terms.items(), key=lambda item: (-_wrong(item[1]), item[0]))
    if wrong := [item for item in worst if _wrong(item[1])][:limit]:
        heading("terms that went wrong most")
        _print_counts("term", wrong)
    if bad := _worst_utterances(scored)[:limit]:
        heading("utterances that went worst")
        for one in bad:
            _print_utterance(one)
    _print_recipe(evaluation)


@evaluations.command()
@click.argument("first", metavar="FIRST")
@click.argument("second", metavar="SECOND")
@click.option(
    "--limit", type=click.IntRange(min=0), default=10, show_default=True, help="So many terms and utterances."
)
@config_option
@json_option
def compare(config: Config, first: str, second: str, limit: int, as_json: bool) -> None:
    """What became better and worse from evaluation FIRST to SECOND, tested on pairs: the same utterances under both models."""
    from daemon.evaluation.pair import pair_document, read_pair

    with reading(config) as session:
        pair = read_pair(session, first, second)
    if as_json:
        print_json(pair_document(pair))
        return
    _print_pair(pair, limit)


def _print_pair(pair: Pair, limit: int) -> None:
    from daemon.report.history import model_name, recipe_changes

    for name, one in (("first ", pair.first), ("second", pair.second)):
        line(f"{name}  no. {one.id}, {local(one.ended_at)[:16]}, {model_name(one.model)} ({one.model_label})")
    for change in recipe_changes(pair.first, pair.second):
        line(f"made with  {change}")
    heading("second minus first, in points")
    rows = []
    for metric, difference in pair.comparison.differences.items():
        before, after = (getattr(one.scores, metric).value for one in (pair.first, pair.second))
        points, chance = difference.points, difference.probability_better
        better = "–" if chance is None else f"{100 * chance:.0f} %"
        change = "–" if points.value is None else f"{points.value:+.2f}"
        rows.append(
            (METRIC_NAMES[metric], figure(before), figure(after), change, better, interval(points.low, points.high))
        )
    print_table(
        ("in percent", "first", "second", "change", "second better", "95 % interval of the change"),
        rows,
        right=frozenset({"first", "second", "change", "second better"}),
    )
    if pair.terms:
        heading(f"terms with other outcomes: {len(pair.terms)}, worse ones first")
        _print_terms(pair.terms[:limit])
    changed = pair.comparison.changed
    heading(f"utterances written differently: {len(changed)} of {pair.first.scores.n_utterances}, worse ones first")
    for utterance in changed[:limit]:
        _print_changed(utterance)


def _print_terms(terms: Sequence[ChangedTerm]) -> None:
    rows = []
    for one in terms:
        figures = (one.first.correct, one.second.correct, _said(one.second), one.first.invented, one.second.invented)
        rows.append((*map(str, figures), one.term))
    columns = ("heard before", "heard now", "of", "invented before", "invented now", "term")
    print_table(columns, rows, right=frozenset(columns[:-1]))


def _print_changed(one: ChangedUtterance) -> None:
    line(f"{one.first.id}  {one.more_errors:+d} words wrong, {one.fewer_terms:+d} terms wrong", style="bold")
    line(f"  said    {one.first.normalized_reference}")
    line(f"  first   {one.first.normalized_hypothesis}")
    line(f"  second  {one.second.normalized_hypothesis}")


def _print_counts(name: str, counts: Sequence[tuple[str, TermCounts]]) -> None:
    rows = []
    for key, one in counts:
        numbers = (_said(one), one.correct, one.missed, one.invented)
        rows.append((*map(str, numbers), figure(one.accuracy, 1), figure(one.precision, 1), key))
    columns = ("said", "heard", "missed", "invented", "MTA", "precision", name)
    print_table(columns, rows, right=frozenset(columns[:-1]))


def _print_reliability(calibration: Calibration) -> None:
    rows = [(str(one.count), figure(one.confidence), figure(one.accuracy)) for one in calibration.bins]
    columns = ("written terms", "mean confidence", "really said")
    print_table(columns, rows, right=frozenset(columns))


def _print_utterance(one: ScoredUtterance) -> None:
    line(
        f"{one.id}  {one.normalized_words.errors} of {one.normalized_words.reference_length} words wrong", style="bold"
    )
    line(f"  said   {one.normalized_reference}")
    line(f"  heard  {one.normalized_hypothesis}")


def _print_recipe(evaluation: EvaluationSummary) -> None:
    recipe = evaluation.recipe
    heading(f"recipe {recipe.sha256[:8]}")
    line(f"dataset {recipe.dataset} ({recipe.dataset_sha256[:12]}), split {recipe.split}, part {recipe.part}")
    line(f"normalizer {recipe.normalizer}, lexicon {recipe.lexicon_sha256[:12]}")
    others = ", ".join(f"{name} {figure(value)}" for name, value in evaluation.normalized_wer_by_normalizer.items())
    line(f"normalized WER under each normalizer: {others}")
    line(", ".join(f"{name} {version}" for name, version in evaluation.versions.items()))


def _worst_utterances(scored: Sequence[ScoredUtterance]) -> list[ScoredUtterance]:
    wrong = [one for one in scored if one.normalized_words.errors]
    return sorted(wrong, key=lambda one: (-one.normalized_words.errors, one.id))


def _said(counts: TermCounts) -> int:
    return counts.correct + counts.missed


def _wrong(counts: TermCounts) -> int:
    return counts.missed + counts.invented
