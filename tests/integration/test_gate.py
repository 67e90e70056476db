"""The gate from a version's name to the stored verdict; engines follow scripts, all else is real."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from sqlalchemy import select

from daemon import home as homes
from daemon.cli import medasrd
from daemon.config import Config
from daemon.control import ControlServer
from daemon.engine.protocol import EngineOptions
from daemon.evaluation.plan import EvaluationRequest, plan_evaluation, plan_for
from daemon.gate import filing
from daemon.gate.contest import plan_contest
from daemon.gate.gate import run_gate
from daemon.registry import shelf
from daemon.registry.desk import alone
from daemon.registry.serving import adapter_identity
from daemon.store import evaluations, migration, verdicts
from daemon.store.connection import Store
from daemon.store.schema import AuditRow
from daemon.store.verdicts import NewVerdict, StoredVerdict
from medasr.dataset.loading import load_dataset
from medasr.dataset.utterance import Utterance
from medasr.errors import ConfigurationError, FatalError, ModelError, TransientError
from medasr.gate import judge
from medasr.nonspeech import make_sounds
from medasr.packs import InstalledModel, locate
from medasr.types import ModelVersion
from medasr.verdict import CheckName, Decision, GateOptions
from medasr.whisper.manifest import heard_of, write_heard
from tests.conftest import MODELS, write_config
from tests.support.adapters import describe, make_files
from tests.support.engines import ScriptedEngine
from tests.support.trials import misheard, said

NOW = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)
SPOKEN = said(24)
TEXTS = {f"m{number:02}": text for number, text in enumerate(SPOKEN)}
GENERAL = {f"g{number}": " ".join(SPOKEN[8 * number : 8 * number + 8]) for number in range(3)}
SOUNDS = {name: "" for name, _ in make_sounds()}


def wrong(share: float) -> dict[str, str]:
    """What a model writes that mishears so many words of the medical set, and none of the general one."""
    return dict(zip(TEXTS, misheard(SPOKEN, share), strict=True)) | GENERAL | SOUNDS


@dataclass
class Engines:
    """What each model writes, by its adapter's hash; and what was asked of whom."""

    base: InstalledModel
    texts: dict[str, dict[str, str]] = field(default_factory=dict)
    precisions: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, options: EngineOptions) -> ScriptedEngine:
        adapter = adapter_identity(options.model)
        version = ModelVersion(
            base_id=self.base.name,
            base_revision=self.base.revision,
            base_sha256=self.base.weights_sha256,
            adapter_sha256=adapter or None,
            precision=self.precisions.get(adapter, "fp32"),
        )
        engines = self

        class Watched(ScriptedEngine):
            def submit(self, recording: str, pcm: Path, *, urgent: bool = False, terms: str = "") -> None:
                engines.asked.append((adapter[:8], recording))
                super().submit(recording, pcm, urgent=urgent, terms=terms)

            def stop(self) -> None:
                pass

        return Watched(self.texts[adapter], version=version)

    def asked_of(self, adapter: str, ids: dict[str, str]) -> int:
        return sum(who == adapter[:8] and what in ids for who, what in self.asked)


def write_manifest(folder: Path, texts: dict[str, str]) -> Path:
    folder.mkdir()
    noise = np.random.default_rng(len(texts))
    lines = []
    for number, (name, text) in enumerate(texts.items()):
        soundfile.write(folder / f"{name}.wav", 0.1 * noise.standard_normal(8000 + number), 16000)
        lines.append(json.dumps({"audio": f"{name}.wav", "text": text, "speaker": f"s{number % 3}"}))
    manifest = folder / "manifest.jsonl"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


@pytest.fixture(scope="module")
def medical(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_manifest(tmp_path_factory.mktemp("sets") / "medical", TEXTS)


@pytest.fixture(scope="module")
def general(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_manifest(tmp_path_factory.mktemp("sets") / "general", GENERAL)


@pytest.fixture
def config(home: Path, medical: Path, general: Path) -> Config:
    config = write_config(home, evaluation={"dataset": str(medical), "split": "all"}, gate={"general": str(general)})
    homes.prepare(config)
    return config


@pytest.fixture
def engines(tiny_whisper: Path, monkeypatch: pytest.MonkeyPatch) -> Engines:
    del tiny_whisper
    scripted = Engines(base=locate(MODELS, "whisper-tiny.en"))
    scripted.texts[""] = wrong(0.2)
    monkeypatch.setattr("daemon.evaluation.evaluation.EngineHost", scripted)
    return scripted


@pytest.fixture
def version(config: Config, engines: Engines, tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Puts a version on the shelf that writes these texts and has learned these utterances; gives its name and hash."""

    def put(label: str, texts: dict[str, str], heard: Sequence[str | Utterance] = ()) -> tuple[str, str]:
        folder = make_files(tmp_path / label, label, base=engines.base)
        if heard:
            dataset = load_dataset(config.evaluation.dataset, cache=config.paths.datasets)
            others = [one for one in heard if isinstance(one, Utterance)]
            write_heard(folder, heard_of([*(one for one in dataset if one.id in heard), *others]))
            describe(folder, engines.base)
        with alone(config) as registry, shelf.locked(config.paths.adapters):
            placed = shelf.place(
                config.paths.adapters,
                folder,
                [engines.base],
                preferred=engines.base.name,
                fits=lambda _base, _adapter: None,
            )
            name = registry.register(placed.name, placed.base_id, "trained", actor="test")
        engines.texts[placed.manifest.adapter_sha256] = texts
        return name, placed.manifest.adapter_sha256

    return put


@pytest.fixture
def better(version: Callable[..., tuple[str, str]]) -> tuple[str, str]:
    return version("better", wrong(0.05))


def serve(config: Config, name: str) -> None:
    with alone(config) as registry:
        registry.promote(name, actor="test", force=True, reason="a test")


def failed(stored: StoredVerdict) -> set[str]:
    return {str(check.name) for check in stored.verdict.failed}


@pytest.fixture
def store(config: Config) -> Iterator[Store]:
    migration.upgrade(config.paths.database, config.paths.backups)
    store = Store(config.paths.database, writable=True)
    yield store
    store.close()


class TestVerdicts:
    def test_a_better_one_is_let_through_and_everything_is_stored(
        self, config: Config, better: tuple[str, str]
    ) -> None:
        stored = run_gate(config, "candidate", "scheduled")
        assert (stored.verdict.decision, stored.candidate, stored.incumbent) == (Decision.PROMOTE, better[0], None)
        assert stored.trigger == "scheduled"
        store = Store(config.paths.database, writable=False)
        with store.read() as session:
            labels = [(one.model_label, one.recipe.dataset) for one in evaluations.summaries(session)]
            assert verdicts.find(session, "latest") == stored
            audited = session.scalars(select(AuditRow).where(AuditRow.action == "judged")).one()
        store.close()
        assert sorted(labels) == [("serving", "manifest.jsonl")] * 2 + [(better[0], "manifest.jsonl")] * 2
        assert audited.detail == {"verdict": 1, "version": better[0], "decision": "PROMOTE", "failed": []}
        assert not list(config.paths.evaluations.iterdir())
        assert not list(config.paths.verdicts.iterdir())

    def test_after_its_promotion_its_scores_are_the_newest_of_what_serves(
        self, config: Config, better: tuple[str, str]
    ) -> None:
        run_gate(config, better[0])
        with alone(config) as registry:
            registry.promote(better[0], actor="test")
            with registry.store.read() as session:
                shown = evaluations.summaries(session, model="serving")
                (change,) = verdicts.serving_changes(session)
        assert len(shown) == 4
        newest = {one.recipe.dataset_sha256: one.model.adapter_sha256 for one in reversed(shown)}
        assert set(newest.values()) == {better[1]}
        assert (change.version, change.reason, change.verdict, change.rolled_back) == (better[0], "GATE", 1, False)

    def test_a_worse_one_is_not(self, config: Config, version: Callable[..., tuple[str, str]]) -> None:
        name, _ = version("worse", wrong(0.5))
        stored = run_gate(config, name)
        assert stored.verdict.decision is Decision.REJECT
        assert CheckName.WER in failed(stored)
        with alone(config) as registry, pytest.raises(FatalError, match="the gate rejected"):
            registry.promote(name, actor="test")

    def test_the_same_again_is_a_tie(self, config: Config, better: tuple[str, str], engines: Engines) -> None:
        serve(config, better[0])
        stored = run_gate(config, better[0])
        assert failed(stored) == {CheckName.ANOTHER}
        assert engines.asked == []

    def test_other_speech_forgotten_a_little_each_time_shows_against_the_stock_model(
        self, config: Config, version: Callable[..., tuple[str, str]]
    ) -> None:
        worn = dict(zip(GENERAL, misheard(list(GENERAL.values()), 0.1), strict=True))
        serve(config, version("worn", wrong(0.2) | worn)[0])
        stored = run_gate(config, version("next", wrong(0.05) | worn)[0])
        assert [(str(check.name), check.trial) for check in stored.verdict.failed] == [
            ("general_speech", "general against base")
        ]


class TestHeard:
    def test_a_candidate_that_learned_what_it_is_measured_on_is_not_even_measured(
        self, config: Config, version: Callable[..., tuple[str, str]], engines: Engines
    ) -> None:
        name, _ = version("cheat", wrong(0.0), heard=["m03", "m04"])
        stored = run_gate(config, name)
        assert failed(stored) == {CheckName.UNHEARD}
        assert engines.asked == []

    def test_known_voices_are_noted_where_the_split_does_not_exclude_them(
        self, config: Config, version: Callable[..., tuple[str, str]]
    ) -> None:
        elsewhere = Utterance(id="x", reference="Hello.", speaker="s2", prompt=None, part=None, audio_sha256="f" * 64)
        name, _ = version("familiar", wrong(0.05), heard=[elsewhere])
        stored = run_gate(config, name)
        assert stored.verdict.decision is Decision.PROMOTE
        assert "8 of 24 test utterances are by speakers" in stored.verdict.notes[0]
        strict = config.evaluation.model_copy(update={"split": "phrase-and-speaker-disjoint"})
        stored = run_gate(config.model_copy(update={"evaluation": strict}), name)
        assert failed(stored) == {CheckName.UNHEARD}
        assert "8 utterances" in stored.verdict.reasons[0]

    def test_what_serves_is_not_measured_on_its_own_lessons(
        self, config: Config, version: Callable[..., tuple[str, str]], better: tuple[str, str]
    ) -> None:
        serve(config, version("served", wrong(0.2), heard=["m03", "m04"])[0])
        stored = run_gate(config, better[0])
        (trial,) = (one for one in stored.verdict.trials if one.trial == "medical")
        assert (trial.against, trial.utterances, trial.left_out) == ("serving", 22, 2)
        assert "2 of 24 test recordings" in stored.verdict.notes[0]

    def test_where_it_learned_most_of_them_the_stock_model_stands_in(
        self, config: Config, version: Callable[..., tuple[str, str]], better: tuple[str, str]
    ) -> None:
        serve(config, version("served", wrong(0.0), heard=list(TEXTS)[:20])[0])
        stored = run_gate(config, better[0])
        assert [one.name for one in stored.verdict.trials] == [
            "medical against base",
            "general against serving",
            "general against base",
        ]
        assert "20 of 24" in stored.verdict.notes[0]
        store = Store(config.paths.database, writable=False)
        with store.read() as session:
            labels = {one.model_label for one in evaluations.summaries(session)}
        store.close()
        assert labels == {"serving", "base", better[0]}

    def test_with_nothing_else_to_be_held_against_what_serves_on_too_few_of_them_keep_it(
        self, config: Config, version: Callable[..., tuple[str, str]], better: tuple[str, str]
    ) -> None:
        serve(config, version("served", wrong(0.0), heard=list(TEXTS)[:20])[0])
        alone = config.gate.model_copy(update={"general": ""})
        stored = run_gate(config.model_copy(update={"gate": alone}), better[0])
        assert [one.name for one in stored.verdict.trials] == ["medical against serving"]
        assert CheckName.SIZE in failed(stored)

    def test_speech_in_english_says_nothing_about_another_language(
        self, config: Config, better: tuple[str, str]
    ) -> None:
        german = config.model.model_copy(update={"language": "de"})
        embedded = config.gate.model_copy(update={"general": "embedded"})
        contest = plan_contest(config.model_copy(update={"model": german, "gate": embedded}), better[0])
        assert {pairing.set for pairing in contest.pairings} == {"medical"}
        assert "No general speech in de comes with medasr" in contest.notes[0]

    def test_an_evaluation_by_hand_says_it_too(self, config: Config, version: Callable[..., tuple[str, str]]) -> None:
        name, _ = version("learned", wrong(0.0), heard=["m03"])
        request = EvaluationRequest(dataset=config.evaluation.dataset, split="all", model=name)
        plan = plan_evaluation(config, request)
        assert plan.leaks[-1].startswith("1 of 24 test utterances are recordings or phrases that the model has learned")
        assert plan_for(config, plan, "base").leaks == plan.leaks[:-1]


class TestMeasuring:
    def test_what_was_measured_is_not_measured_again(
        self, config: Config, better: tuple[str, str], engines: Engines
    ) -> None:
        first = run_gate(config, better[0])
        engines.asked.clear()
        second = run_gate(config, better[0])
        assert first.id != second.id
        assert first.verdict == second.verdict
        assert engines.asked_of(better[1], TEXTS | GENERAL) == engines.asked_of("", TEXTS | GENERAL) == 0

    def test_what_another_version_of_a_package_measured_is(
        self, config: Config, better: tuple[str, str], engines: Engines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_gate(config, better[0])
        engines.asked.clear()
        monkeypatch.setattr("daemon.gate.measuring.package_versions", lambda: {"torch": "another"})
        run_gate(config, better[0])
        assert engines.asked_of("", TEXTS) == len(TEXTS)

    def test_models_that_did_not_run_alike_are_not_compared(
        self, config: Config, better: tuple[str, str], engines: Engines
    ) -> None:
        engines.precisions[better[1]] = "bf16"
        with pytest.raises(TransientError, match="did not run alike"):
            run_gate(config, better[0])

    def test_what_was_measured_elsewhere_is_measured_again_here(
        self, config: Config, version: Callable[..., tuple[str, str]], better: tuple[str, str], engines: Engines
    ) -> None:
        run_gate(config, better[0])
        other, sha256 = version("other", wrong(0.05))
        engines.precisions |= {"": "bf16", sha256: "bf16"}
        assert run_gate(config, other).verdict.decision is Decision.PROMOTE

    def test_only_who_writes_where_nobody_speaks_has_the_other_one_asked(
        self, config: Config, version: Callable[..., tuple[str, str]], engines: Engines
    ) -> None:
        engines.texts[""]["hum"] = "thank you"
        polite, _ = version("polite", wrong(0.05) | {"hum": "thank you"})
        assert run_gate(config, polite).verdict.decision is Decision.PROMOTE
        talkative, _ = version("talkative", wrong(0.05) | {"hum": "thank you very much"})
        stored = run_gate(config, talkative)
        assert failed(stored) == {CheckName.SILENCE}
        assert engines.asked_of("", SOUNDS) == 2 * len(SOUNDS)

    def test_recordings_come_first(self, config: Config, better: tuple[str, str], engines: Engines) -> None:
        looks = iter([True] * 3)
        asked: list[int] = []

        def must_wait() -> bool:
            waits = next(looks, False)
            if waits:
                asked.append(len(engines.asked))
            return waits

        run_gate(config, better[0], must_wait=must_wait)
        assert asked == [0, 0, 0]

    def test_nothing_to_measure_on_is_said(self, home: Path, better: tuple[str, str]) -> None:
        without = write_config(home)
        with pytest.raises(ConfigurationError, match=r"evaluation\.dataset"):
            run_gate(without, better[0])

    def test_only_versions_are_judged(self, config: Config, engines: Engines) -> None:
        with pytest.raises(ModelError, match="medasrd models list"):
            run_gate(config, "base")


class TestFiling:
    @pytest.fixture
    def verdict(self, better: tuple[str, str]) -> NewVerdict:
        return NewVerdict(
            key="ab" * 16,
            candidate=better[0],
            incumbent_sha256="",
            trigger="manual",
            created_at=NOW,
            verdict=judge([], (), GateOptions(), identical=True),
        )

    def test_what_a_crash_left_is_stored_at_the_next_start_once(
        self, config: Config, verdict: NewVerdict, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def die(*_arguments: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("daemon.control.call", die)
        with pytest.raises(KeyboardInterrupt):
            filing.file_verdict(config, verdict)
        content = (config.paths.verdicts / f"{verdict.key}.json").read_bytes()
        assert filing.store_leftovers(config, store) == 1
        (config.paths.verdicts / f"{verdict.key}.json").write_bytes(content)  # it died before the file was dropped
        filing.store_leftovers(config, store)
        with store.read() as session:
            assert len(verdicts.stored_verdicts(session)) == 1

    def test_a_daemon_stores_it(self, config: Config, verdict: NewVerdict, store: Store) -> None:
        server = ControlServer(
            config.paths.state,
            {filing.VERB: lambda key, actor: filing.store_verdict(config, store, key, actor=actor)},
        )
        server.start()
        try:
            assert filing.file_verdict(config, verdict) == 1
        finally:
            server.stop()

    def test_a_key_leads_nowhere_else(self, config: Config, store: Store) -> None:
        with pytest.raises(FatalError, match="no verdict's key"):
            filing.store_verdict(config, store, "../../etc", actor="x")

    def test_others_cannot_read_it(self, config: Config, verdict: NewVerdict, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("daemon.gate.filing.control.call", lambda *_: 1)
        filing.file_verdict(config, verdict)
        assert config.paths.verdicts.stat().st_mode & 0o077 == 0
        assert all(path.stat().st_mode & 0o077 == 0 for path in config.paths.verdicts.iterdir())


class TestCommand:
    @pytest.fixture
    def call(self, home: Path) -> Callable[..., tuple[int, str]]:
        def run(*arguments: str) -> tuple[int, str]:
            result = CliRunner().invoke(medasrd, ["gate", *arguments, "--config", str(home / "config.toml")])
            if result.exception and not isinstance(result.exception, SystemExit):
                raise result.exception
            return result.exit_code, result.stdout

        return run

    def test_the_exit_code_says_the_decision(
        self, version: Callable[..., tuple[str, str]], better: tuple[str, str], call: Callable[..., tuple[int, str]]
    ) -> None:
        code, shown = call("run", better[0])
        assert (code, shown.splitlines()[0][:8]) == (0, "PROMOTE:")
        worse, _ = version("worse", wrong(0.5))
        code, shown = call("run", worse)
        assert (code, shown.splitlines()[0][:7]) == (4, "REJECT:")
        assert "of what serves" in shown

    def test_verdicts_are_shown_and_listed(self, better: tuple[str, str], call: Callable[..., tuple[int, str]]) -> None:
        assert "the gate has judged nothing yet" in call("list")[1]
        call("run", better[0])
        listed = json.loads(call("list", "--json")[1])
        assert [(one["id"], one["decision"], one["incumbent"]) for one in listed] == [(1, "PROMOTE", None)]
        shown = json.loads(call("show", "--json")[1])
        assert shown["trials"][0]["evaluations"] == [1, 3]
        assert all(check["passed"] for check in shown["checks"])
        assert better[0] in call("list")[1]
        assert "compare 1 3" in call("show", "1")[1]
