"""``medasrd train``: from the command to a version on the shelf; the trainer follows a script."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from daemon import home as homes
from daemon.cli import medasrd
from daemon.config import Config
from daemon.learning import cycle
from daemon.learning.cycle import train_only
from daemon.registry.serving import model_name, read_aliases, resolve
from medasr.errors import AlreadyRunning, ConfigurationError, TrainingError
from tests.conftest import write_config
from tests.support.contests import Workshop, anything_fits, make_engines, version_of, write_dataset
from tests.support.stores import open_store
from tests.support.trainers import PHASE, STEP, orders, refused

pytestmark = pytest.mark.usefixtures("tiny_whisper")

BETTER = version_of("better")


@pytest.fixture
def config(home: Path, tmp_path: Path) -> Config:
    config = write_config(home, evaluation={"dataset": str(write_dataset(tmp_path / "medical")), "split": "all"})
    homes.prepare(config)
    open_store(config.paths.state).close()
    return config


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.setitem(sys.modules, "medasr.whisper.fit", anything_fits())
    return Workshop(tmp_path / "workshop", make_engines())


@pytest.fixture
def train(config: Config, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    def run(turn: list[object], *options: str) -> Result:
        command = workshop.command(turn)
        monkeypatch.setattr(cycle, "train_only", functools.partial(train_only, command=command))
        path = config.paths.state.parent / "config.toml"
        return CliRunner().invoke(medasrd, ["train", *options, "--config", str(path)])

    return run


def test_the_version_is_the_candidate_and_serves_nobody(
    config: Config, workshop: Workshop, train: Callable[..., Result]
) -> None:
    trained = train([PHASE, {**STEP, "step": 2}, *workshop.candidate("better", 0.05)])
    assert trained.exit_code == 0
    assert f"medasrd gate run {BETTER}" in trained.stdout
    assert "step 2 of 2: loss 1.500" in trained.stderr
    assert model_name(config, resolve(config)) == "whisper-tiny.en"
    candidate = read_aliases(config.paths.database, "whisper-tiny.en")["candidate"]
    assert candidate is not None
    assert candidate.name == BETTER


def test_as_json_it_tells_what_came_of_it(workshop: Workshop, train: Callable[..., Result]) -> None:
    document = json.loads(train(workshop.candidate("better", 0.05), "--json").stdout)
    curve = workshop.folder / "better" / "curve.png"
    assert document == {
        "version": BETTER,
        "epoch": 1,
        "interpolation": 1.0,
        "seconds": 2.0,
        "peak_memory": 2**30,
        "curve": str(curve),
    }


def test_only_to_resume_it_keeps_what_was_interrupted(
    config: Config, workshop: Workshop, train: Callable[..., Result]
) -> None:
    train([refused("TrainingError", "make room", "DISK_FULL")])
    (order,) = orders(workshop.notes)
    folder = Path(str(order["folder"]))
    assert folder.parent == config.paths.trainings
    folder.mkdir()
    (folder / "checkpoint").write_text("half the work")
    train([refused("TrainingError", "make room", "DISK_FULL")], "--resume")
    assert (folder / "checkpoint").exists()
    train([refused("TrainingError", "make room", "DISK_FULL")], "--resume", "--recipe", "notebook")
    assert orders(workshop.notes)[0]["recipe"] == "notebook"
    assert not folder.exists(), "another training takes its room"
    folder.mkdir()
    train([refused("TrainingError", "make room", "DISK_FULL")])
    assert not folder.exists()


def test_its_trouble_is_told(train: Callable[..., Result]) -> None:
    failed = train([STEP, refused("TrainingError", "the loss is no number", "NOT_FINITE")])
    assert isinstance(failed.exception, TrainingError)
    assert str(failed.exception) == "the loss is no number"


def test_one_at_a_time(config: Config, train: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.learning.lock.PATIENCE_SECONDS", 0.0)
    with cycle.one_training(config.paths.trainings):
        assert isinstance(train([0]).exception, AlreadyRunning)


def test_without_a_dataset_the_remedy_is_named(home: Path, config: Config, train: Callable[..., Result]) -> None:
    write_config(home)
    refusal = train([0])
    assert isinstance(refusal.exception, ConfigurationError)
    assert "--dataset" in str(refusal.exception)
