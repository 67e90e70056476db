"""The learning cycle from the dataset to what serves: trainers and engines follow scripts, all else is real."""

from __future__ import annotations

import functools
import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select
from sqlalchemy.orm import Session

from daemon import home as homes
from daemon.cli import medasrd
from daemon.config import Config
from daemon.gate.gate import run_gate
from daemon.learning import cycle
from daemon.learning.cycle import Observer, Outcome, learn
from daemon.learning.lock import one_training
from daemon.learning.news import News, Step
from daemon.learning.task import training_request
from daemon.learning.training import Stopped
from daemon.registry import desk
from daemon.registry.registry import LOAD_FAILED
from daemon.registry.serving import model_name, resolve
from daemon.store import learning, migration
from daemon.store.connection import Store
from daemon.store.learning import LearningRun, LearningState
from daemon.store.schema import AuditRow
from daemon.store.verdicts import StoredVerdict
from medasr.errors import AlreadyRunning, FatalError, TransientError
from tests.conftest import write_config
from tests.support.contests import (
    Workshop,
    anything_fits,
    judge_by_script,
    make_engines,
    use_scripts,
    version_of,
    write_dataset,
)
from tests.support.stores import open_store
from tests.support.trainers import ASIDE, STEP, orders, refused

pytestmark = pytest.mark.usefixtures("tiny_whisper")

STOCK, BETTER, WORSE = "whisper-tiny.en", version_of("better"), version_of("worse")
TRIED = {
    "news": "tried",
    "epoch": 1,
    "interpolation": 0.5,
    "figures": {"normalized_wer": 20.0},
    "base": {"normalized_wer": 30.0},
}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("sets") / "medical")


@dataclass
class Bench:
    """A home, who trains for it, and what happened in it."""

    home: Path
    config: Config
    workshop: Workshop
    heard: list[News] = field(default_factory=list)

    def learn(self, *turns: list[object], **how: Any) -> Outcome:
        """Run a cycle whose trainer acts out these turns."""
        settings = {"trigger": "manual", "observer": Observer(hear=self.heard.append), **how}
        return learn(self.config, training_request(self.config), command=self.workshop.command(*turns), **settings)

    def better(self) -> list[object]:
        return self.workshop.candidate("better", 0.05)

    def worse(self) -> list[object]:
        return self.workshop.candidate("worse", 0.5)

    def configure(self, **sections: dict[str, object]) -> None:
        options = {"evaluation": {"dataset": self.config.evaluation.dataset, "split": "all"}, "gate": {"general": ""}}
        self.config = write_config(self.home, **{**options, **sections})

    @property
    def serving(self) -> str:
        return model_name(self.config, resolve(self.config))

    def runs(self) -> Sequence[LearningRun]:
        with self._reading() as session:
            return learning.listing(session)

    def trail(self) -> list[str]:
        with self._reading() as session:
            return list(session.scalars(select(AuditRow.action).order_by(AuditRow.id)))

    def shelf(self) -> set[str]:
        return {path.name for path in self.config.paths.adapters.glob("whisper-*")}

    def command(self, *arguments: str) -> Result:
        return CliRunner().invoke(medasrd, [*arguments, "--config", str(self.home / "config.toml")])

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        store = Store(self.config.paths.database, writable=False)
        with store.read() as session:
            yield session
        store.close()


@pytest.fixture
def bench(home: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    config = write_config(home, evaluation={"dataset": str(manifest), "split": "all"}, gate={"general": ""})
    engines = make_engines()
    judge_by_script(engines, monkeypatch.setattr)
    monkeypatch.setitem(sys.modules, "medasr.whisper.fit", anything_fits())
    monkeypatch.setattr("daemon.learning.training.LOOK_SECONDS", 0.001)
    homes.prepare(config)
    open_store(config.paths.state).close()
    monkeypatch.setattr(migration, "upgrade", lambda *_: None)  # looks each time whether there is anything to do
    return Bench(home, config, Workshop(tmp_path / "workshop", engines))


class TestEndings:
    def test_a_better_version_serves_and_each_step_is_in_the_audit_trail(self, bench: Bench) -> None:
        outcome = bench.learn([STEP, TRIED, *bench.better()])
        assert (outcome.state, outcome.version, outcome.reason) == (LearningState.PROMOTED, BETTER, None)
        assert bench.serving == BETTER
        (run,) = bench.runs()
        assert (run.state, run.version, run.verdict, run.trigger) == (LearningState.PROMOTED, BETTER, 1, "manual")
        assert run.ended_at is not None
        assert run.detail["trial"]["normalized_wer"] == 20.0
        assert (run.detail["steps"], run.detail["epoch"], run.detail["seconds"]) == (2, 1, 2)
        assert [action for action in bench.trail() if "evaluat" not in action] == [
            *("learning-begun", "learning-training", "version installed", "learning-judging", "judged"),
            *("learning-promoting", "promoted", "learning-promoted"),
        ]

    def test_a_worse_one_does_not(self, bench: Bench) -> None:
        outcome = bench.learn(bench.worse())
        assert outcome.state is LearningState.REJECTED
        assert "normalized_wer" in (outcome.reason or "").split(",")
        assert "WER" in outcome.message
        assert bench.serving == STOCK
        assert bench.runs()[0].reason == outcome.reason
        assert bench.shelf() == {WORSE}

    def test_run_again_it_finds_what_serves_and_keeps_it(self, bench: Bench) -> None:
        bench.learn(bench.better())
        outcome = bench.learn(bench.better())
        assert (outcome.state, outcome.reason) == (LearningState.REJECTED, "another")
        assert bench.serving == BETTER
        assert [run.state for run in bench.runs()] == [LearningState.REJECTED, LearningState.PROMOTED]
        assert bench.trail().count("promoted") == 1

    def test_the_same_weights_made_at_another_time_are_the_same_version(self, bench: Bench) -> None:
        bench.learn(bench.better())
        (done,) = bench.better()
        assert isinstance(done, dict)
        described = Path(done["folder"]) / "medasr.json"
        later = json.loads(described.read_text()) | {"created_at": "2027-01-01T00:00:00+00:00"}
        described.write_text(json.dumps(later))
        assert bench.learn([done]).reason == "another"
        assert bench.serving == BETTER

    def test_while_a_version_is_pinned_it_stays(self, bench: Bench) -> None:
        desk.perform(bench.config, "pin")
        outcome = bench.learn(bench.better())
        assert (outcome.state, outcome.reason) == (LearningState.REJECTED, "PINNED")
        assert "unpin" in outcome.message
        assert bench.serving == STOCK
        desk.perform(bench.config, "unpin")
        assert bench.learn(bench.better()).state is LearningState.PROMOTED

    @pytest.mark.parametrize(
        "failure", ["LEAK", "NO_DATA", "TOO_FEW_TERMS", "NOT_FINITE", "OUT_OF_MEMORY", "DISK_FULL"]
    )
    def test_trouble_of_the_training_is_stored_and_what_serves_is_not_touched(self, bench: Bench, failure: str) -> None:
        bench.learn(bench.better())
        outcome = bench.learn([STEP, refused("TrainingError", "do this and that", failure)])
        assert (outcome.state, outcome.reason, outcome.message) == (LearningState.FAILED, failure, "do this and that")
        assert bench.serving == BETTER
        assert (bench.runs()[0].state, bench.runs()[0].reason) == (LearningState.FAILED, failure)
        assert bench.shelf() == {BETTER}

    def test_other_trouble_is_stored_by_its_kind(self, bench: Bench) -> None:
        assert bench.learn([refused("ModelError", "no weights")]).reason == "ModelError"
        assert bench.learn([5]).reason == "TransientError"
        assert bench.learn([STEP, "kill"]).reason == "OUT_OF_MEMORY"
        assert {run.state for run in bench.runs()} == {LearningState.FAILED}

    def test_after_a_failure_the_same_training_goes_on(self, bench: Bench) -> None:
        bench.learn([refused("TrainingError", "make room", "DISK_FULL")])
        (first,) = orders(bench.workshop.notes)
        assert bench.learn(bench.better()).state is LearningState.PROMOTED
        assert orders(bench.workshop.notes)[0]["folder"] == first["folder"]

    def test_a_daemon_that_begins_at_the_promotion_says_nothing_about_the_version(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def held(*_: object, **__: object) -> str:
            raise AlreadyRunning("a daemon begins")

        with monkeypatch.context() as patch:
            patch.setattr(desk, "promote", held)
            assert bench.learn(bench.better()).state is LearningState.FAILED
        assert bench.learn(bench.better()).state is LearningState.PROMOTED

    def test_what_comes_after_the_end_changes_nothing_about_it(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        perform = desk.perform

        def no_pruning(config: Config, act: str, **arguments: Any) -> str:
            if act == "prune":
                raise TransientError("the disk is away")
            return perform(config, act, **arguments)

        monkeypatch.setattr(desk, "perform", no_pruning)
        assert bench.learn(bench.better()).state is LearningState.PROMOTED

    def test_only_the_newest_candidates_keep_their_files(self, bench: Bench) -> None:
        bench.configure(learning={"keep_candidates": 1})
        for label in ("first", "second", "third"):
            assert bench.learn(bench.workshop.candidate(label, 0.5)).state is LearningState.REJECTED
        assert bench.shelf() == {version_of("second"), version_of("third")}, "one, and the candidate"
        assert [run.version for run in bench.runs()] == [version_of(label) for label in ("third", "second", "first")]


class TestOneThatCouldNotBeLoaded:
    """Trained again from the same data and seed, it has the same bytes."""

    @pytest.fixture(autouse=True)
    def given_up(self, bench: Bench) -> None:
        """It was promoted, and the daemon went back to what served before."""
        assert bench.learn(bench.better()).state is LearningState.PROMOTED
        give_up(bench)
        assert bench.serving == STOCK

    def test_it_is_not_promoted_again_nor_judged_and_the_remedy_is_named(self, bench: Bench) -> None:
        outcome = bench.learn(bench.better())
        assert (outcome.state, outcome.reason) == (LearningState.FAILED, "LOAD_FAILED")
        assert f"medasrd models promote {BETTER}" in outcome.message
        assert bench.serving == STOCK
        assert bench.trail().count("judged") == 1
        assert (bench.runs()[0].reason, bench.runs()[0].version) == ("LOAD_FAILED", BETTER)
        document = json.loads(bench.command("status", "--json").stdout)
        assert any("LOAD_FAILED" in line for line in document["attention"])

    def test_a_person_may_let_it_serve(self, bench: Bench) -> None:
        bench.learn(bench.better())
        assert bench.command("models", "promote", BETTER).exit_code == 0
        assert bench.serving == BETTER

    def test_another_version_is_promoted_as_ever(self, bench: Bench) -> None:
        assert bench.learn(bench.workshop.candidate("another", 0.05)).state is LearningState.PROMOTED
        assert bench.learn(bench.better()).reason == "LOAD_FAILED"

    def test_one_that_could_be_loaded_later_is_like_any_other(self, bench: Bench) -> None:
        desk.promote(bench.config, BETTER)
        desk.perform(bench.config, "rollback")
        assert bench.learn(bench.better()).state is LearningState.PROMOTED

    def test_one_that_a_person_tried_while_it_was_judged_is_not_promoted(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def tried_meanwhile(config: Config, version: str, *arguments: Any, **how: Any) -> StoredVerdict:
            verdict = run_gate(config, version, *arguments, **how)
            desk.promote(config, version)
            give_up(bench)
            return verdict

        monkeypatch.setattr(cycle, "run_gate", tried_meanwhile)
        other = bench.workshop.candidate("another", 0.05)
        assert bench.learn(other).reason == "LOAD_FAILED"
        assert bench.serving == STOCK


def give_up(bench: Bench) -> None:
    """As a daemon does when what was promoted cannot be loaded."""
    with desk.alone(bench.config) as registry:
        registry.rollback(actor="daemon", reason=LOAD_FAILED)


class TestOneAtATime:
    def test_by_hand_it_is_refused_while_another_trains(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("daemon.learning.lock.PATIENCE_SECONDS", 0.0)
        with one_training(bench.config.paths.trainings), pytest.raises(AlreadyRunning, match="learn status"):
            bench.learn(bench.better())
        assert bench.runs() == []

    def test_the_scheduled_one_waits_since_its_slot_comes_once(self, bench: Bench) -> None:
        outcomes: list[Outcome] = []
        turns = bench.better()
        with one_training(bench.config.paths.trainings):
            thread = threading.Thread(target=lambda: outcomes.append(bench.learn(turns, trigger="scheduled")))
            thread.start()
            assert bench.runs() == []
        thread.join()
        assert outcomes[0].state is LearningState.PROMOTED
        assert bench.runs()[0].trigger == "scheduled"

    def test_another_request_takes_the_place_of_what_was_interrupted(self, bench: Bench) -> None:
        self.interrupt(bench)
        bench.configure(training={"seed": 7})
        bench.learn(bench.worse())
        assert [(run.state, run.reason) for run in bench.runs()][1:] == [(LearningState.INTERRUPTED, "INTERRUPTED")]

    def test_the_same_request_goes_on_with_it(self, bench: Bench) -> None:
        self.interrupt(bench)
        assert bench.learn(bench.better()).run == 1
        assert len(bench.runs()) == 1

    def interrupt(self, bench: Bench) -> None:
        stop = threading.Event()
        observer = Observer(hear=lambda news: stop.set() if isinstance(news, Step) else None, stopped=stop.is_set)
        with pytest.raises(Stopped):
            bench.learn([STEP, "hang"], observer=observer)
        assert bench.runs()[0].state is LearningState.TRAINING


class TestWaiting:
    @pytest.fixture
    def recordings(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        def say(*answers: bool) -> None:
            left = iter(answers)
            monkeypatch.setattr("daemon.learning.courtesy.stand_back", lambda _config: lambda: next(left, False))

        return say

    def test_recordings_come_first_and_it_shows(self, bench: Bench, recordings: Callable[..., None]) -> None:
        recordings(True, True, False)
        assert bench.learn(bench.better()).state is LearningState.PROMOTED
        assert [action for action in bench.trail() if action.startswith("learning-")][:4] == [
            *("learning-begun", "learning-training", "learning-waiting", "learning-training"),
        ]

    def test_what_made_room_waits_and_goes_on(self, bench: Bench, recordings: Callable[..., None]) -> None:
        recordings(False, True, False)
        assert bench.learn([STEP, ASIDE], bench.better()).state is LearningState.PROMOTED
        assert len(orders(bench.workshop.notes)) == 2
        assert "learning-waiting" in bench.trail()

    def test_the_gate_waits_too_and_it_shows(
        self, bench: Bench, recordings: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.undo()
        use_scripts(bench.workshop.engines, monkeypatch.setattr)
        monkeypatch.setitem(sys.modules, "medasr.whisper.fit", anything_fits())
        recordings(False, False, True, True)  # the last two while it is judged
        assert bench.learn(bench.better()).state is LearningState.PROMOTED
        assert [action for action in bench.trail() if action.startswith("learning-")] == [
            *("learning-begun", "learning-training", "learning-judging", "learning-waiting", "learning-judging"),
            *("learning-promoting", "learning-promoted"),
        ]

    def test_killed_while_the_gate_waited_it_is_not_trained_again(
        self, bench: Bench, recordings: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recordings(False, True)

        def die(*_: object, must_wait: Callable[[], bool], **__: object) -> None:
            assert must_wait()
            raise KeyboardInterrupt

        learn_until_killed(bench, monkeypatch, die)
        assert bench.runs()[0].state is LearningState.WAITING
        outcome = bench.learn([refused("TrainingError", "nobody should ask", "NO_DATA")])
        assert (outcome.state, outcome.run, outcome.done) == (LearningState.PROMOTED, 1, None)

    def test_beside_them_if_the_configuration_says_so(self, bench: Bench, recordings: Callable[..., None]) -> None:
        bench.configure(learning={"recordings_first": False})
        recordings(*[True] * 1000)
        assert bench.learn(bench.better()).state is LearningState.PROMOTED
        assert "learning-waiting" not in bench.trail()

    def test_outside_its_hours_it_waits_unless_it_is_run_by_hand(self, bench: Bench) -> None:
        now = datetime.now().astimezone()
        hours = "-".join(f"{now + timedelta(hours=after):%H:%M}" for after in (2, 3))
        bench.configure(learning={"hours": hours})

        def waits() -> bool:
            return any(run.state is LearningState.WAITING for run in bench.runs())

        with pytest.raises(Stopped):
            bench.learn(bench.better(), trigger="scheduled", any_time=False, observer=Observer(stopped=waits))
        assert not bench.workshop.notes.exists()
        outcome = bench.learn(bench.better(), trigger="scheduled")
        assert (outcome.run, outcome.state) == (1, LearningState.PROMOTED)


class TestStatus:
    def test_where_nothing_was_learned_the_command_is_named(self, bench: Bench) -> None:
        shown = bench.command("learn", "status")
        assert "`medasrd learn --now` begins" in shown.stdout
        assert json.loads(bench.command("learn", "status", "--json").stdout)["runs"] == []
        assert json.loads(bench.command("status", "--json").stdout)["learning"] is None

    def test_how_runs_ended_is_shown_newest_first(self, bench: Bench) -> None:
        bench.learn(bench.better())
        bench.learn([refused("TrainingError", "too little", "NO_DATA")])
        document = json.loads(bench.command("learn", "status", "--json").stdout)
        assert [(run["state"], run["reason"], run["version"]) for run in document["runs"]] == [
            ("failed", "NO_DATA", None),
            ("promoted", None, BETTER),
        ]
        shown = bench.command("learn", "status", "--limit", "1").stdout
        assert "NO_DATA" in shown
        assert BETTER not in shown
        assert document["next"] is not None

    def test_a_run_under_way_shows_how_far_it_is(self, bench: Bench) -> None:
        shown: list[str] = []

        def hear(news: News) -> None:
            if isinstance(news, Step):
                shown.append(bench.command("learn", "status").stdout)
                shown.append(bench.command("status").stdout)

        late = {**STEP, "step": 51, "steps": 90, "seconds_left": 120.0}
        bench.learn([late, late, *bench.better()], observer=Observer(hear=hear))
        assert "training, step 51 of 90" in " ".join(shown[2].split())
        assert "training, step 51 of 90" in shown[3]

    def test_one_that_nobody_works_on_any_more_shows_as_interrupted(self, bench: Bench) -> None:
        late = {**STEP, "step": 51, "steps": 90}
        stop = threading.Event()
        observer = Observer(hear=lambda news: stop.set() if isinstance(news, Step) else None, stopped=stop.is_set)
        with pytest.raises(Stopped):
            bench.learn([late, "hang"], observer=observer)
        words = "interrupted while training, goes on with the next run"
        for others in (nullcontext(), one_training(bench.config.paths.trainings)):
            with others:  # a training beside the cycle works on no run of it
                shown = [bench.command(*command).stdout for command in (("learn", "status"), ("status",))]
                assert all(words in " ".join(one.split()) for one in shown)
                assert not any("step 51" in one for one in shown)
                (run,) = json.loads(bench.command("learn", "status", "--json").stdout)["runs"]
                document = json.loads(bench.command("status", "--json").stdout)["learning"]
                assert (run["working"], document["working"]) == (False, False)

    def test_the_last_failure_is_something_to_look_at(self, bench: Bench) -> None:
        bench.learn([refused("TrainingError", "too little", "NO_DATA")])
        document = json.loads(bench.command("status", "--json").stdout)
        assert (document["learning"]["state"], document["learning"]["reason"]) == ("failed", "NO_DATA")
        assert any("the last training failed (NO_DATA)" in line for line in document["attention"])
        bench.learn(bench.better())
        assert not any("training" in line for line in json.loads(bench.command("status", "--json").stdout)["attention"])

    def test_never_is_said_where_there_is_nothing_to_learn_from(self, bench: Bench) -> None:
        bench.config = write_config(bench.home)
        assert "never" in bench.command("learn", "status").stdout


class TestCommand:
    @pytest.fixture
    def now(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
        def run(*turns: list[object], options: Sequence[str] = ()) -> Result:
            with monkeypatch.context() as patch:
                command = bench.workshop.command(*turns)
                patch.setattr(cycle, "learn", functools.partial(learn, command=command))
                return bench.command("learn", "--now", *options)

        return run

    def test_the_exit_code_says_how_it_ended(self, bench: Bench, now: Callable[..., Result]) -> None:
        promoted = now([STEP, TRIED, *bench.better()])
        assert promoted.exit_code == 0
        assert f"PROMOTED  {BETTER}" in promoted.stdout
        assert "normalized WER 20.00 (base 30.00)" in promoted.stderr
        again = now(bench.better())
        assert again.exit_code == 4
        assert "REJECTED" in again.stdout
        failed = now([refused("TrainingError", "too little; name more", "NO_DATA")])
        assert failed.exit_code == 1
        assert "too little; name more" in failed.stdout

    def test_as_json_it_tells_training_and_verdict(self, bench: Bench, now: Callable[..., Result]) -> None:
        document = json.loads(now(bench.better(), options=["--json"]).stdout)
        assert (document["run"], document["state"], document["version"]) == (1, "promoted", BETTER)
        assert document["verdict"]["decision"] == "PROMOTE"
        assert document["training"]["epoch"] == 1

    def test_without_now_it_says_what_to_type(self, bench: Bench) -> None:
        assert "medasrd learn status" in bench.command("learn").stderr

    def test_without_a_dataset_the_remedy_is_named(self, bench: Bench, now: Callable[..., Result]) -> None:
        bench.config = write_config(bench.home)
        refusal = now([0])
        assert isinstance(refusal.exception, FatalError)
        assert "evaluation.dataset" in str(refusal.exception)

    def test_without_one_for_the_gate_nothing_is_trained(
        self, bench: Bench, manifest: Path, now: Callable[..., Result]
    ) -> None:
        bench.config = write_config(bench.home, training={"dataset": str(manifest)})
        refusal = now(bench.better())
        assert isinstance(refusal.exception, FatalError)
        assert "the gate has nothing to measure on" in str(refusal.exception)
        assert not list(bench.config.paths.trainings.glob("*"))


def kill(*_: object, **__: object) -> None:
    """A gate in which the process is killed."""
    raise KeyboardInterrupt


def learn_until_killed(bench: Bench, monkeypatch: pytest.MonkeyPatch, gate: Callable[..., None]) -> None:
    """Train a better version, and be killed in the gate."""
    with monkeypatch.context() as patch:
        patch.setattr(cycle, "run_gate", gate)
        with pytest.raises(KeyboardInterrupt):
            bench.learn(bench.better())


def test_a_run_killed_while_it_was_judged_is_not_trained_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    learn_until_killed(bench, monkeypatch, kill)
    assert bench.runs()[0].state is LearningState.JUDGING
    outcome = bench.learn([refused("TrainingError", "nobody should ask", "NO_DATA")])
    assert (outcome.state, outcome.run, outcome.done) == (LearningState.PROMOTED, 1, None)
    assert not bench.workshop.notes.exists()


def test_one_whose_files_are_gone_meanwhile_is(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    learn_until_killed(bench, monkeypatch, kill)
    desk.perform(bench.config, "remove", name=BETTER)
    assert bench.learn(bench.better()).state is LearningState.PROMOTED
    assert len(orders(bench.workshop.notes)) == 1


def test_one_given_up_before_its_promotion_was_recorded_is_not_promoted_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed_after_promotion(point: str) -> None:
        if point == "after_promotion":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cycle, "crash_point", killed_after_promotion)
        with pytest.raises(KeyboardInterrupt):
            bench.learn(bench.better())
    assert bench.serving == BETTER
    give_up(bench)
    outcome = bench.learn([refused("TrainingError", "nobody should ask", "NO_DATA")])
    assert (outcome.run, outcome.reason) == (1, "LOAD_FAILED")
    assert bench.serving == STOCK
