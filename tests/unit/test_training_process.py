"""A training as its parent sees it: whatever its process does, it ends with a candidate or a reason."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.config import Config
from daemon.learning.lock import one_training, run_in_work
from daemon.learning.news import Done, News, Step
from daemon.learning.task import TrainingRequest, training_request
from daemon.learning.training import Company, Stopped, run_training, sweep
from medasr.errors import AlreadyRunning, ConfigurationError, ModelError, TrainingError, TrainingFailure, TransientError
from medasr.training.recipe import NOTEBOOK, TrainingRecipe
from tests.support.trainers import ASIDE, PHASE, STEP, done, orders, refused, scripted

REQUEST = TrainingRequest(dataset="somewhere", split="all", recipe=TrainingRecipe())


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"


def run(config: Config, command: tuple[str, ...], tmp_path: Path, **company: object) -> tuple[Done, list[News]]:
    heard: list[News] = []
    with_company = Company(**{"hear": heard.append, "must_wait": lambda: False, **company})  # type: ignore[arg-type]
    with one_training(tmp_path / "trainings") as lock:
        folder = tmp_path / "work"
        result = run_training(config, REQUEST, folder, with_company, lock=lock, any_time=True, command=command)
    return result, heard


class TestEndings:
    def test_a_candidate_ends_it_and_all_news_were_heard(self, config: Config, tmp_path: Path, notes: Path) -> None:
        result, heard = run(config, scripted(notes, [PHASE, STEP, done(tmp_path / "candidate")]), tmp_path)
        assert result.folder == str(tmp_path / "candidate")
        assert [type(news).__name__ for news in heard] == ["Phase", "Step", "Done"]

    def test_what_made_room_goes_on(self, config: Config, tmp_path: Path, notes: Path) -> None:
        result, _ = run(config, scripted(notes, [STEP, ASIDE], [STEP, ASIDE], [done(tmp_path)]), tmp_path)
        assert result.epoch == 1
        assert [order["parts"] for order in orders(notes)] == [1, 1, 1]

    def test_it_begins_only_when_it_may(self, config: Config, tmp_path: Path, notes: Path) -> None:
        answers = iter([True, True, False])
        run(config, scripted(notes, [done(tmp_path)]), tmp_path, must_wait=lambda: next(answers))
        assert next(answers, None) is None

    def test_killed_for_its_memory_it_goes_on_with_less_at_once(
        self, config: Config, tmp_path: Path, notes: Path
    ) -> None:
        run(config, scripted(notes, [STEP, "kill"], ["kill"], [done(tmp_path)]), tmp_path)
        assert [order["parts"] for order in orders(notes)] == [1, 2, 4]

    def test_killed_again_and_again_it_fails_with_a_reason(self, config: Config, tmp_path: Path, notes: Path) -> None:
        with pytest.raises(TrainingError, match="memory") as error:
            run(config, scripted(notes, ["kill"]), tmp_path)
        assert error.value.failure is TrainingFailure.OUT_OF_MEMORY

    def test_its_error_is_raised_here_with_its_code(self, config: Config, tmp_path: Path, notes: Path) -> None:
        with pytest.raises(TrainingError, match="no number") as error:
            run(config, scripted(notes, [STEP, refused("TrainingError", "no number", "NOT_FINITE")]), tmp_path)
        assert error.value.failure is TrainingFailure.NOT_FINITE

    @pytest.mark.parametrize(("name", "kind"), [("ModelError", ModelError), ("TransientError", TransientError)])
    def test_other_errors_keep_their_class(
        self, config: Config, tmp_path: Path, notes: Path, name: str, kind: type[Exception]
    ) -> None:
        with pytest.raises(kind, match="why"):
            run(config, scripted(notes, [refused(name, "why")]), tmp_path)

    @pytest.mark.parametrize("acts", [[3], [STEP, 0], ["this is no news"]])
    def test_an_end_that_nobody_expects_is_passing_trouble(
        self, config: Config, tmp_path: Path, notes: Path, acts: list[object]
    ) -> None:
        with pytest.raises(TransientError, match="try again"):
            run(config, scripted(notes, acts), tmp_path)

    def test_one_that_nobody_wants_any_more_is_ended(self, config: Config, tmp_path: Path, notes: Path) -> None:
        stop = threading.Event()

        def hear(news: News) -> None:
            if isinstance(news, Step):
                stop.set()

        with pytest.raises(Stopped):
            run(config, scripted(notes, [STEP, "hang"]), tmp_path, hear=hear, stopped=stop.is_set)


class TestOneAtATime:
    def test_a_second_training_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("daemon.learning.lock.PATIENCE_SECONDS", 0.0)
        folder = tmp_path / "trainings"
        with one_training(folder), pytest.raises(AlreadyRunning), one_training(folder):
            raise AssertionError("two at a time")
        with one_training(tmp_path / "trainings"):
            pass

    def test_one_that_is_just_ending_is_waited_for(self, tmp_path: Path) -> None:
        begun, ended = threading.Event(), threading.Event()

        def train() -> None:
            with one_training(tmp_path):
                begun.set()
                ended.wait()

        thread = threading.Thread(target=train)
        thread.start()
        begun.wait()
        threading.Timer(0.2, ended.set).start()
        with one_training(tmp_path):
            assert ended.is_set()
        thread.join()

    def test_whoever_learns_says_for_which_run_and_nobody_does_afterwards(self, tmp_path: Path) -> None:
        assert run_in_work(tmp_path / "trainings") is None
        with one_training(tmp_path / "trainings") as lock:
            assert run_in_work(tmp_path / "trainings") is None
            lock.work_on(12)
            assert run_in_work(tmp_path / "trainings") == 12
        assert run_in_work(tmp_path / "trainings") is None
        with one_training(tmp_path / "trainings"):
            assert run_in_work(tmp_path / "trainings") is None

    def test_what_other_trainings_left_is_swept(self, tmp_path: Path) -> None:
        for name in ("old", "this"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "checkpoint").write_text("x")
        sweep(tmp_path, "this")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["this"]


class TestRequests:
    def test_without_a_dataset_the_remedy_is_named(self, config: Config) -> None:
        with pytest.raises(ConfigurationError, match=r"evaluation\.dataset"):
            training_request(config)

    def test_the_configuration_makes_the_recipe(self, config: Config) -> None:
        changed = config.model_copy(update={"training": config.training.model_copy(update={"rank": 8, "seed": 7})})
        recipe = training_request(changed, dataset="somewhere").recipe
        assert (recipe.rank, recipe.alpha, recipe.seed) == (8, 16, 7)

    def test_the_notebook_stays_as_it_was(self, config: Config) -> None:
        changed = config.model_copy(update={"training": config.training.model_copy(update={"rank": 8, "epochs": 9})})
        assert training_request(changed, dataset="somewhere", recipe="notebook").recipe == replace(NOTEBOOK, seed=0)

    def test_a_dataset_of_its_own_comes_before_that_of_evaluations(self, config: Config) -> None:
        changed = config.model_copy(
            update={
                "training": config.training.model_copy(update={"dataset": "ours"}),
                "evaluation": config.evaluation.model_copy(update={"dataset": "theirs"}),
            }
        )
        assert training_request(changed).dataset == "ours"
        assert training_request(changed, dataset="given").dataset == "given"


class TestHours:
    @pytest.mark.parametrize(
        ("hours", "moment", "is_open"),
        [
            ("", "12:00", True),
            ("22:00-06:00", "23:30", True),
            ("22:00-06:00", "05:59", True),
            ("22:00-06:00", "06:00", False),
            ("08:00-10:00", "09:00", True),
            ("08:00-10:00", "10:00", False),
        ],
    )
    def test_a_window_may_pass_midnight(self, config: Config, hours: str, moment: str, is_open: bool) -> None:
        from datetime import time

        learning = config.learning.model_copy(update={"hours": hours})
        assert learning.is_open(time.fromisoformat(moment)) is is_open
