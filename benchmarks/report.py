"""``medasrd report`` over years of evaluations, as a person waits for it: whole processes, beside what starting takes."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from benchmarks.figures import Line, Spread
from benchmarks.homes import MEDASRD, command, temporary_home
from benchmarks.options import Options
from benchmarks.turns import beyond, seconds_of, take_turns
from daemon.store import evaluations
from daemon.store.connection import Store
from medasr.evaluation import EvaluationReport, Recipe
from medasr.lexicon import load_lexicon
from medasr.metrics.scores import ScoredUtterance
from medasr.metrics.scoring import score_utterance
from medasr.metrics.summary import summarize
from medasr.text.normalizers import text_normalizer
from medasr.types import ModelVersion

LIMIT_SECONDS = 1.0
_SENTENCES = (
    "I have a sharp pain in my chest.",
    "She takes ibuprofen for her knee.",
    "He has had asthma since last year.",
)
_HEARD = ("I have a sharp pain in my chest.", "She takes it for her knee.", "He had asthma last year.")


@dataclass(frozen=True, kw_only=True)
class ReportFigures:
    """Seconds of whole processes."""

    evaluations: int
    start: Spread
    reports: Mapping[str, Spread]

    def lines(self) -> list[Line]:
        return [
            Line(what="evaluations", value=self.evaluations),
            Line(what="medasrd --version", value=self.start, unit="s"),
            *(
                Line(
                    what=f"  more for report {what}".rstrip(),
                    value=beyond(taken, self.start),
                    unit="s",
                    at_most=LIMIT_SECONDS,
                )
                for what, taken in self.reports.items()
            ),
        ]


def measure(options: Options) -> ReportFigures:
    count = options.pick(1_000, 50)
    with temporary_home() as config:
        store = Store(config.paths.database, writable=True)
        try:
            with store.write() as session:
                for report in _reports(count):
                    evaluations.add(session, report)
        finally:
            store.close()
        lines = {
            "start": [*MEDASRD, "--version"],
            "": command(config, "report"),
            "--json": command(config, "report", "--json"),
        }
        sides = {what: partial(seconds_of, partial(_run, line)) for what, line in lines.items()}
        seconds = take_turns("report", sides, options.pick(5, 2))
    return ReportFigures(
        evaluations=count, start=seconds["start"], reports={what: seconds[what] for what in lines if what != "start"}
    )


def _run(line: list[str]) -> None:
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)


def _reports(count: int) -> list[EvaluationReport]:
    """Evaluations a day apart; every hundred another recipe."""
    scored = _scored()
    recipe = Recipe(
        dataset="medical-speech",
        dataset_sha256="0" * 64,
        split="phrase-and-speaker-disjoint",
        part="test",
        utterances_sha256="0" * 64,
        normalizer="clinical-en/1",
        lexicon_sha256="0" * 64,
        decoding={"language": "en"},
    )
    first = EvaluationReport(
        model=ModelVersion(
            base_id="whisper-base", base_revision="1", base_sha256="0" * 64, adapter_sha256=None, precision="fp32"
        ),
        model_label="serving",
        recipe=recipe,
        trigger="scheduled",
        started_at=datetime(2024, 1, 1, 4, 30, tzinfo=UTC),
        ended_at=datetime(2024, 1, 1, 4, 40, tzinfo=UTC),
        device="cpu",
        engine_seconds=300.0,
        scores=summarize(scored, samples=100),
        normalized_wer_by_normalizer={"clinical-en": 10.0},
        exclusions=(),
        leaks=(),
        versions={"medasr": "0"},
        utterances=tuple(scored),
    )
    return [
        replace(
            first,
            recipe=replace(recipe, dataset_sha256=f"{number // 100:064d}"),
            started_at=first.started_at + timedelta(days=number),
            ended_at=first.ended_at + timedelta(days=number),
        )
        for number in range(count)
    ]


def _scored() -> list[ScoredUtterance]:
    lexicon, normalizer = load_lexicon(()), text_normalizer("clinical-en")
    outcomes = [
        score_utterance(
            id=str(number),
            speaker=str(number % 7),
            seconds=4.0,
            reference=_SENTENCES[number % 3],
            hypothesis=_HEARD[number % 3],
            normalizer=normalizer,
            lexicon=lexicon,
        )
        for number in range(50)
    ]
    return [one for one in outcomes if isinstance(one, ScoredUtterance)]
