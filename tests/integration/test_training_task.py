"""What a training is asked for: nothing that the gate tests, unless everything is asked for by hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon import home as homes
from daemon.config import Config
from daemon.learning.task import load_training_dataset, training_key, training_request
from tests.conftest import write_config
from tests.support.contests import write_dataset

pytestmark = pytest.mark.usefixtures("tiny_whisper")


def quiet(_what: str, _done: int, _total: int) -> None: ...


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("sets") / "learned")


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory, learned: Path) -> Path:
    """One recording of what is learned from."""
    manifest = learned.with_name("tested.jsonl")
    manifest.write_text(learned.read_text().splitlines()[0] + "\n")
    return manifest


@pytest.fixture
def configure(home: Path, learned: Path) -> Callable[..., Config]:
    def written(gate_tests: Path, split: str = "all") -> Config:
        config = write_config(
            home, training={"dataset": str(learned)}, evaluation={"dataset": str(gate_tests), "split": split}
        )
        homes.prepare(config)
        return config

    return written


def key(config: Config, **asked: str) -> str:
    request = training_request(config, **asked)
    return training_key(config, request, load_training_dataset(config, request, quiet))


def test_it_is_another_training_when_the_gate_tests_something_else(
    configure: Callable[..., Config], learned: Path, tested: Path
) -> None:
    apart = key(configure(tested, "phrase-disjoint"))
    together = key(configure(learned, "phrase-disjoint"))
    assert apart != together
    assert key(configure(tested, "phrase-disjoint"), split="all") == key(
        configure(learned, "phrase-disjoint"), split="all"
    )


def test_the_same_dataset_is_the_same_however_it_is_called(configure: Callable[..., Config], learned: Path) -> None:
    config = configure(learned, "phrase-disjoint")
    assert key(config, dataset=os.path.relpath(learned)) == key(config)
