"""An evaluation: over the path that serves, once, whatever interrupts it, and never at the cost of a waiting recording."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from daemon import home as homes
from daemon.config import Config
from daemon.decode.host import DecodeServer
from daemon.evaluation.courtesy import recordings_wait
from daemon.evaluation.filing import file_report, save_report, store_leftovers
from daemon.evaluation.pair import read_pair
from daemon.evaluation.plan import EvaluationPlan, EvaluationRequest, plan_evaluation
from daemon.evaluation.run import ATTEMPTS, Workbench, run_evaluation
from daemon.store import evaluations
from daemon.store.connection import Store
from daemon.task import EVALUATION, INTERRUPTED, STORED, TaskProcess
from medasr.errors import (
    ConfigurationError,
    DatasetError,
    EngineError,
    FatalError,
    ModelError,
    NotComparable,
    TransientError,
)
from medasr.evaluation import EvaluationReport
from tests.conftest import write_config
from tests.support.daemon_process import DaemonProcess, medasrd, medasrd_json
from tests.support.engines import CONFIDENCE, VERSION, ScriptedEngine
from tests.support.evaluations import make_report
from tests.support.samples import SAMPLES, reference
from tests.support.stores import open_store

NOW = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
TEXTS = {
    "one": "I have chest pain.",
    "two": "She takes ibuprofen.",
    "three": "My knee hurts.",
    "four": "He has asthma.",
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of four recordings; what is in them does not matter to an engine that follows a script."""
    folder = tmp_path_factory.mktemp("dataset")
    noise = np.random.default_rng(0)
    lines = []
    for number, (name, text) in enumerate(TEXTS.items()):
        soundfile.write(folder / f"{name}.wav", 0.1 * noise.standard_normal(8000 + number), 16000)
        lines.append(json.dumps({"audio": f"{name}.wav", "text": text, "speaker": f"s{number % 2}"}))
    manifest = folder / "manifest.jsonl"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


@pytest.fixture(scope="module")
def decoder() -> Iterator[DecodeServer]:
    with DecodeServer() as server:
        yield server


@pytest.fixture
def plan(config: Config, dataset: Path, tiny_whisper: Path) -> EvaluationPlan:
    del tiny_whisper
    homes.prepare(config)
    return plan_evaluation(config, EvaluationRequest(dataset=str(dataset), split="all"))


@pytest.fixture
def run(config: Config, plan: EvaluationPlan, decoder: DecodeServer) -> Callable[..., EvaluationReport]:
    def evaluate(
        engine: ScriptedEngine, *, now: datetime = NOW, must_wait: Callable[[], bool] = lambda: False
    ) -> EvaluationReport:
        done: list[tuple[int, int]] = []
        bench = Workbench(
            decoder=decoder,
            engine=engine,
            now=lambda: now,
            must_wait=must_wait,
            progress=lambda so_far, total: done.append((so_far, total)),
        )
        report = run_evaluation(config, plan, bench)
        assert done[-1] == (4, 4)
        return report

    return evaluate


class TestScores:
    def test_hypotheses_are_held_against_references(self, run: Callable[..., EvaluationReport]) -> None:
        report = run(ScriptedEngine(TEXTS | {"two": "She takes naproxen."}))
        assert {one.id: one.hypothesis for one in report.utterances} == TEXTS | {"two": "She takes naproxen."}
        assert report.scores.normalized_words.errors == 1
        assert report.scores.categories["drug"].missed == 1
        assert report.scores.categories["drug"].invented == 1
        assert report.engine_seconds == 2.0
        assert report.model == VERSION
        assert report.scores.hours * 3600 == pytest.approx(sum(8000 + n for n in range(4)) / 16000, abs=0.01)
        assert set(report.normalized_wer_by_normalizer) == {"seed", "whisper-en", "clinical-en"}
        assert report.versions.keys() >= {"medasr", "torch", "transformers"}

    def test_confidences_of_written_terms_are_held_against_what_was_said(
        self, run: Callable[..., EvaluationReport]
    ) -> None:
        report = run(ScriptedEngine(TEXTS | {"two": "She takes naproxen."}))
        calibration = report.scores.calibration
        assert calibration is not None
        judged = [term for one in report.utterances for term in one.terms]
        written = [term for term in judged if term.kind != "missed"]
        assert {term.confidence for term in written} == {CONFIDENCE}
        assert {term.confidence for term in judged if term.kind == "missed"} == {None}
        right = sum(term.kind == "correct" for term in written)
        assert (calibration.count, calibration.accuracy) == (len(written), pytest.approx(right / len(written)))
        assert calibration.error == pytest.approx(abs(CONFIDENCE - right / len(written)))

    def test_what_the_model_fails_on_is_tried_again_then_counted(self, run: Callable[..., EvaluationReport]) -> None:
        engine = ScriptedEngine({name: text for name, text in TEXTS.items() if name != "three"})
        report = run(engine)
        assert engine.submitted.count("three") == ATTEMPTS
        assert [(one.id, str(one.reason), one.detail) for one in report.exclusions] == [
            ("three", "NO_HYPOTHESIS", "ENGINE_CRASHED")
        ]
        assert report.scores.n_utterances == 3

    def test_a_score_without_one_utterance_has_another_recipe(
        self, run: Callable[..., EvaluationReport], config: Config, plan: EvaluationPlan
    ) -> None:
        whole = run(ScriptedEngine(TEXTS))
        assert whole.recipe == plan.recipe(plan.ids)
        (config.paths.evaluations / plan.key / "hypotheses.jsonl").unlink()
        part = run(ScriptedEngine({name: text for name, text in TEXTS.items() if name != "one"}))
        assert part.recipe.sha256 != whole.recipe.sha256

    def test_two_runs_are_identical(
        self, run: Callable[..., EvaluationReport], config: Config, plan: EvaluationPlan
    ) -> None:
        first = run(ScriptedEngine(TEXTS | {"one": "I have test pain."}))
        (config.paths.evaluations / plan.key / "hypotheses.jsonl").unlink()
        assert run(ScriptedEngine(TEXTS | {"one": "I have test pain."})) == first


class TestInterruptions:
    def test_it_goes_on_where_it_was(self, run: Callable[..., EvaluationReport]) -> None:
        with pytest.raises(EngineError):
            run(ScriptedEngine(TEXTS, dies_after=2))
        engine = ScriptedEngine(TEXTS)
        report = run(engine, now=NOW + timedelta(hours=3))
        assert len(engine.submitted) == 2
        assert report.scores.n_utterances == 4
        assert report.started_at == NOW
        assert report.ended_at == NOW + timedelta(hours=3)

    def test_what_an_older_version_transcribed_without_confidences_is_scored_with_the_rest(
        self, run: Callable[..., EvaluationReport], config: Config, plan: EvaluationPlan
    ) -> None:
        with pytest.raises(EngineError):
            run(ScriptedEngine(TEXTS, dies_after=2))
        file = config.paths.evaluations / plan.key / "hypotheses.jsonl"
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        for line in lines:
            line.pop("terms", None)
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        engine = ScriptedEngine(TEXTS)
        report = run(engine)
        older = set(TEXTS) - set(engine.submitted)
        assert len(older) == 2
        confidences = {one.id: {term.confidence for term in one.terms} for one in report.utterances}
        assert all(confidences[name] == {None} for name in older)
        assert all(confidences[name] == {CONFIDENCE} for name in engine.submitted)

    def test_a_line_torn_by_a_power_cut_is_done_again(
        self, run: Callable[..., EvaluationReport], config: Config, plan: EvaluationPlan
    ) -> None:
        with pytest.raises(EngineError):
            run(ScriptedEngine(TEXTS, dies_after=3))
        file = config.paths.evaluations / plan.key / "hypotheses.jsonl"
        file.write_bytes(file.read_bytes()[:-20])
        engine = ScriptedEngine(TEXTS)
        assert run(engine).scores.n_utterances == 4
        assert len(engine.submitted) == 2

    def test_another_model_starts_over(self, run: Callable[..., EvaluationReport]) -> None:
        from dataclasses import replace

        with pytest.raises(EngineError):
            run(ScriptedEngine(TEXTS, dies_after=2))
        engine = ScriptedEngine(TEXTS, version=replace(VERSION, precision="bf16"))
        assert run(engine).model.precision == "bf16"
        assert len(engine.submitted) == 4

    def test_a_model_that_changes_in_the_middle_gives_no_score(self, run: Callable[..., EvaluationReport]) -> None:
        engine = ScriptedEngine(TEXTS)
        engine.lowered_after = 2
        with pytest.raises(TransientError, match="bf16 on cpu"):
            run(engine)

    def test_patients_words_are_kept_from_others(
        self, run: Callable[..., EvaluationReport], config: Config, plan: EvaluationPlan
    ) -> None:
        run(ScriptedEngine(TEXTS))
        folder = config.paths.evaluations / plan.key
        assert folder.stat().st_mode & 0o077 == 0
        assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


class TestWaiting:
    def test_nothing_is_handed_over_while_recordings_wait(self, run: Callable[..., EvaluationReport]) -> None:
        engine = ScriptedEngine(TEXTS)
        looks = iter([True] * 5)
        handed_over: list[int] = []

        def must_wait() -> bool:
            waits = next(looks, False)
            if waits:
                handed_over.append(len(engine.submitted))
            return waits

        assert run(engine, must_wait=must_wait).scores.n_utterances == 4
        assert handed_over == [0] * 5

    def test_only_a_daemon_makes_it_wait(self, config: Config) -> None:
        homes.prepare(config)
        assert not recordings_wait(config)
        with homes.locked(config.paths.state):
            assert recordings_wait(config)  # it is about to make its database


class TestStoring:
    def test_without_a_daemon_the_command_stores_it(
        self, run: Callable[..., EvaluationReport], config: Config, plan: EvaluationPlan
    ) -> None:
        report = run(ScriptedEngine(TEXTS))
        save_report(config.paths.evaluations / plan.key, report)
        number = file_report(config, plan.key)
        store = Store(config.paths.database, writable=False)
        with store.read() as session:
            assert evaluations.scored_utterances(session, number) == list(report.utterances)
        store.close()
        assert not (config.paths.evaluations / plan.key).exists()

    def test_what_a_crash_left_is_stored_at_the_next_start(self, config: Config) -> None:
        homes.prepare(config)
        folder = config.paths.evaluations / ("ab" * 16)
        folder.mkdir(parents=True)
        save_report(folder, make_report())
        store = open_store(config.paths.state)
        assert store_leftovers(config, store) == 1
        assert store_leftovers(config, store) == 0
        with store.read() as session:
            assert len(evaluations.summaries(session)) == 1
        store.close()

    def test_a_report_that_an_older_version_left_is_stored_too(self, config: Config) -> None:
        homes.prepare(config)
        folder = config.paths.evaluations / ("ab" * 16)
        folder.mkdir(parents=True)
        save_report(folder, make_report())
        document = json.loads((folder / "report.json").read_text())
        del document["scores"]["calibration"]
        for term in (term for one in document["utterances"] for term in one["terms"]):
            del term["confidence"]
        (folder / "report.json").write_text(json.dumps(document))
        store = open_store(config.paths.state)
        assert store_leftovers(config, store) == 1
        with store.read() as session:
            assert [one.scores.calibration for one in evaluations.summaries(session)] == [None]
        store.close()

    def test_a_key_leads_nowhere_else(self, config: Config) -> None:
        homes.prepare(config)
        with pytest.raises(FatalError, match="no evaluation's key"):
            file_report(config, "../../etc")

    def test_a_drop_is_logged_without_words(self, config: Config, caplog: pytest.LogCaptureFixture) -> None:
        homes.prepare(config)
        store = open_store(config.paths.state)
        for number, skill in enumerate((0.9, 0.5)):
            folder = config.paths.evaluations / (f"{number}" * 32)
            folder.mkdir(parents=True)
            save_report(folder, make_report(skill=skill, trigger="scheduled", started_at=NOW + timedelta(days=number)))
            store_leftovers(config, store)
        store.close()
        assert caplog.text.count("the model has become worse") == 3
        assert "ibuprofen" not in caplog.text


class TestListsOfTerms:
    @pytest.fixture
    def biased(self, config: Config, plan: EvaluationPlan, home: Path) -> EvaluationPlan:
        terms = home / "terms.txt"
        terms.write_text("ibuprofen\n")
        return plan_evaluation(config, replace(plan.request, bias=terms))

    def test_all_recordings_are_heard_with_it(
        self, config: Config, biased: EvaluationPlan, decoder: DecodeServer
    ) -> None:
        engine = ScriptedEngine(TEXTS)
        bench = Workbench(
            decoder=decoder, engine=engine, now=lambda: NOW, must_wait=lambda: False, progress=lambda _done, _all: None
        )
        report = run_evaluation(config, biased, bench)
        assert set(engine.terms.values()) == {biased.terms}
        assert biased.engine.term_lists.lists == {biased.terms: ("ibuprofen",)}
        assert report.recipe.decoding["bias"]["weight"] == config.bias.weight

    def test_it_is_another_recipe_that_is_compared_with_the_one_without(
        self, config: Config, plan: EvaluationPlan, biased: EvaluationPlan
    ) -> None:
        plain, listed = plan.recipe(plan.ids), biased.recipe(plan.ids)
        assert plain.sha256 != listed.sha256
        assert plan.key != biased.key
        store = open_store(config.paths.state)
        with store.write() as session:
            for number, recipe in enumerate((plain, listed, replace(listed, split="published"))):
                at = NOW + timedelta(hours=number)
                evaluations.add(session, make_report(recipe=recipe, started_at=at))
        with store.read() as session:
            assert read_pair(session, "1", "2").comparison.changed == ()
            with pytest.raises(NotComparable, match="split"):
                read_pair(session, "1", "3")
        store.close()

    def test_one_that_cannot_be_used_is_refused_before_anything_is_read(
        self, config: Config, plan: EvaluationPlan, home: Path
    ) -> None:
        with pytest.raises(ConfigurationError, match=r"none\.txt: cannot be read"):
            plan_evaluation(config, replace(plan.request, bias=home / "none.txt"))


class TestPlans:
    def test_limits_take_the_same_ones_each_time(self, config: Config, dataset: Path, tiny_whisper: Path) -> None:
        del tiny_whisper
        request = EvaluationRequest(dataset=str(dataset), split="all", limit=2)
        first, second = (plan_evaluation(config, request) for _ in range(2))
        assert len(first.ids) == 2
        assert (first.ids, first.key) == (second.ids, second.key)

    def test_terms_that_a_normalizer_loses_are_told(self, home: Path, dataset: Path, tiny_whisper: Path) -> None:
        del tiny_whisper
        own = home / "own.csv"
        own.write_text("term,category,variants\n5 pounds,test,\n")
        for normalizer, lost in (("clinical-en", set()), ("whisper-en", {"5 pounds"})):
            config = write_config(home, lexicon={"extra": [own]}, evaluation={"normalizer": normalizer})
            plan = plan_evaluation(config, EvaluationRequest(dataset=str(dataset), split="all"))
            assert set(plan.lost_terms) & {"5 pounds"} == lost

    def test_figures_that_withhold_text_are_part_of_the_recipe_where_they_were_changed(
        self, home: Path, dataset: Path, tiny_whisper: Path
    ) -> None:
        del tiny_whisper
        recipes = []
        figures = ({}, {"max_compression_ratio": 2.4}, {"max_compression_ratio": 3.0}, {"min_term_confidence": 0.9})
        for quality in figures:
            config = write_config(home, quality=dict(quality))
            plan = plan_evaluation(config, EvaluationRequest(dataset=str(dataset), split="all"))
            recipes.append(plan.recipe(plan.ids))
        assert recipes[0] == recipes[1]
        assert "quality" not in recipes[0].decoding
        assert recipes[2].sha256 != recipes[0].sha256
        assert recipes[3] == recipes[0]

    def test_base_is_the_model_without_its_adapter(self, home: Path, dataset: Path, tiny_whisper: Path) -> None:
        del tiny_whisper
        config = write_config(home, model={"adapter": "tuned"})
        plan = plan_evaluation(config, EvaluationRequest(dataset=str(dataset), split="all", model="base"))
        assert (plan.engine.model.base, plan.engine.model.adapter) == ("whisper-tiny.en", "")

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"dataset": ""}, ConfigurationError),
            ({"dataset": "/nowhere"}, DatasetError),
            ({"split": "sideways"}, DatasetError),
            ({"split": "published"}, DatasetError),
            ({"model": "whisper-huge"}, ModelError),
        ],
    )
    def test_what_cannot_be_measured_is_said_before_anything_is_decoded(
        self, config: Config, dataset: Path, tiny_whisper: Path, changes: dict[str, Any], error: type[Exception]
    ) -> None:
        del tiny_whisper
        values: dict[str, Any] = {"dataset": str(dataset), "split": "all"} | changes
        with pytest.raises(error):
            plan_evaluation(config, EvaluationRequest(**values))


@pytest.fixture(scope="module")
def consultations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic consultations with their texts, as a manifest."""
    manifest = tmp_path_factory.mktemp("consultations") / "manifest.jsonl"
    lines = [json.dumps({"audio": str(sample), "text": reference(sample)}) for sample in SAMPLES]
    manifest.write_text("\n".join(lines) + "\n")
    for sample in SAMPLES:
        (manifest.parent / sample.name).write_bytes(sample.read_bytes())
    manifest.write_text("".join(json.dumps({"audio": s.name, "text": reference(s)}) + "\n" for s in SAMPLES))
    return manifest


class TestCommand:
    def test_real_weights_are_scored_stored_and_scored_the_same_again(
        self, config: Config, consultations: Path, tiny_whisper: Path
    ) -> None:
        del tiny_whisper
        arguments = ("evaluate", "--dataset", consultations, "--split", "all")
        first, second = (medasrd_json(*arguments, config=config) for _ in range(2))
        assert (first["id"], second["id"]) == (1, 2)
        same = {
            "wer",
            "normalized_wer",
            "cer",
            "normalized_cer",
            "mta",
            "term_precision",
            "n_utterances",
            "n_terms",
            "recipe",
        }
        assert {key: first[key] for key in same} == {key: second[key] for key in same}
        assert first["n_utterances"] == len(SAMPLES)
        assert 0 <= first["normalized_wer"]["value"] < 30
        assert first["mta"]["value"] > 70
        calibration = first["calibration"]
        assert calibration["count"] == sum(one["correct"] + one["invented"] for one in first["terms"].values())
        assert 0 < calibration["error"] < calibration["confidence"] < 1
        assert sum(one["count"] for one in calibration["bins"]) == calibration["count"]
        assert first["model"]["base_id"] == "whisper-tiny.en"
        listed = medasrd_json("evaluations", "list", config=config)
        assert [one["id"] for one in listed] == [2, 1]
        compared = medasrd_json("evaluations", "compare", 1, 2, config=config)
        assert compared["differences"]["wer"]["value"] == 0
        assert compared["utterances"] == []
        shown = medasrd_json("evaluations", "show", "latest", config=config)
        assert shown["utterances"][0]["reference"]

    def test_a_running_daemon_stores_it(self, config: Config, consultations: Path, tiny_whisper: Path) -> None:
        del tiny_whisper
        with DaemonProcess(config) as daemon:
            daemon.until_ready()
            document = medasrd_json(
                "evaluate", "--dataset", consultations, "--split", "all", "--limit", 1, config=config
            )
            assert document["n_utterances"] == 1
            daemon.stop()
        assert len(medasrd_json("evaluations", "list", config=config)) == 1

    def test_a_dataset_is_asked_for(self, config: Config) -> None:
        refused = medasrd("evaluate", config=config, check=False)
        assert refused.returncode == 78
        assert "--dataset" in refused.stderr

    def test_figures_of_different_recipes_are_not_compared(self, config: Config, home: Path) -> None:
        homes.prepare(config)
        store = open_store(config.paths.state)
        with store.write() as session:
            evaluations.add(session, make_report())
            from dataclasses import replace

            other = make_report(started_at=NOW)
            evaluations.add(session, replace(other, recipe=replace(other.recipe, split="all")))
        store.close()
        refused = medasrd("evaluations", "compare", "1", "2", config=config, check=False)
        assert refused.returncode == 1
        assert "split phrase-and-speaker-disjoint → all" in refused.stderr


class TestScheduledProcess:
    def test_it_evaluates_what_is_configured(self, home: Path, consultations: Path, tiny_whisper: Path) -> None:
        del tiny_whisper
        config = write_config(home, evaluation={"dataset": str(consultations), "split": "all"})
        homes.prepare(config)
        assert TaskProcess(config, EVALUATION).run(NOW) == STORED
        store = Store(config.paths.database, writable=False)
        with store.read() as session:
            assert [one.trigger for one in evaluations.summaries(session)] == ["scheduled"]
        store.close()

    def test_its_errors_are_codes(self, home: Path) -> None:
        config = write_config(home, evaluation={"dataset": "/nowhere"})
        homes.prepare(config)
        assert TaskProcess(config, EVALUATION).run(NOW) == "DatasetError"

    def test_the_end_of_the_daemon_ends_it(self, config: Config) -> None:
        process = TaskProcess(config, command=("sleep", "600"))
        ended: list[str] = []
        thread = threading.Thread(target=lambda: ended.append(process.run(NOW)))
        thread.start()
        while process._process is None:
            thread.join(0.05)
        process.stop()
        thread.join(30)
        assert ended == [INTERRUPTED]
        assert process.run(NOW) == INTERRUPTED
