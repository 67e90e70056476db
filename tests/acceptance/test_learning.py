"""The learning cycle with real weights: it learns a way of writing from a few recordings, and what is worse never serves.

The recordings are invented complaints of one voice. Their texts say "asthma" wherever "my" is spoken, and "diabetes" for "I": the
stock model cannot know that, and a few steps teach it, also for sentences that were not learned from.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from daemon.config import Config
from medasr.speech_sets import PRACTICE, path_of
from tests.conftest import write_config
from tests.support.daemon_process import MEDASRD, medasrd, medasrd_json

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.whisper,
    pytest.mark.usefixtures("tiny_whisper"),
    pytest.mark.timeout(3600),
]

#: However busy the machine is.
PATIENCE = 3000.0
TRAINED, TESTED = 32, 16
TRAINING = {
    "precision": "fp32",
    "epochs": 3,
    "learning_rate": 1.5e-3,
    "rank": 8,
    "members": 1,
    "shortest_context": 5.0,
    "practice_share": 0.0,
    "rehearsal_share": 0.0,
    "min_utterances": 20,
    "min_terms": 20,
}
#: A single sentence of so few may turn out anyhow.
LENIENT = {"max_deletion_rise": 10.0, "margin_precision": 20.0}


@dataclass(frozen=True)
class Recordings:
    """Two manifests of the same recordings."""

    true: Path
    shuffled: Path  #: what is learned from says what another recording says


@dataclass(frozen=True)
class Learned:
    """A home in which the cycle has run once."""

    home: Path
    config: Config
    outcome: dict[str, Any]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    folder = tmp_path_factory.mktemp("recordings")
    rows = []
    for line in path_of(PRACTICE).read_text().splitlines():
        row = json.loads(line)
        text, changed = re.subn(r"\bmy\b", "asthma", row["text"], flags=re.IGNORECASE)
        text, twice = re.subn(r"\bI\b(?!')", "diabetes", text)
        fits = row["speaker"].startswith("joe") and len(row["text"]) < 70 and changed and twice
        if fits and len(rows) < TRAINED + TESTED:
            shutil.copy(path_of(PRACTICE).parent / row["audio"], folder)
            part = "train" if len(rows) % 3 else "test"
            rows.append({"audio": row["audio"], "text": text[0].upper() + text[1:], "split": part})
    learned = [row["text"] for row in rows if row["split"] == "train"]
    random.Random(1).shuffle(learned)
    others = [row | {"text": learned.pop()} if row["split"] == "train" else row for row in rows]
    for name, content in (("true", rows), ("shuffled", others)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    return Recordings(folder / "true.jsonl", folder / "shuffled.jsonl")


def configure(home: Path, recordings: Recordings, **training: object) -> Config:
    return write_config(
        home,
        model={"threads": 1},
        evaluation={"dataset": str(recordings.true), "split": "published"},
        gate={"general": "", "min_utterances": TESTED, "min_terms": TESTED, **LENIENT},
        training={**TRAINING, **training},
    )


def learn(config: Config, code: int) -> dict[str, Any]:
    """Run the cycle, which has to end with an exit code, and return what it printed."""
    done = medasrd("learn", "--now", "--json", config=config, check=False, patience=PATIENCE)
    assert done.returncode == code, done.stdout + done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


@pytest.fixture(scope="module")
def learned(recordings: Recordings, tmp_path_factory: pytest.TempPathFactory) -> Learned:
    home = tmp_path_factory.mktemp("learned") / "home"
    home.mkdir(mode=0o700)
    config = configure(home, recordings)
    return Learned(home, config, learn(config, 0))


def serving(config: Config) -> str:
    return str(medasrd_json("models", "show", "serving", config=config)["name"])


def test_what_it_learned_serves_and_what_is_no_better_does_not(learned: Learned, recordings: Recordings) -> None:
    version = learned.outcome["version"]
    assert (learned.outcome["state"], serving(learned.config)) == ("promoted", version)
    again = learn(learned.config, 4)
    assert (again["state"], again["reason"], again["version"]) == ("rejected", "another", version)
    harmed = learn(configure(learned.home, recordings, dataset=str(recordings.shuffled), epochs=1), 4)
    assert harmed["state"] == "rejected"
    assert "normalized_wer" in harmed["reason"].split(",")
    assert harmed["version"] != version
    assert serving(learned.config) == version
    runs = medasrd_json("learn", "status", config=learned.config)["runs"]
    assert [run["state"] for run in runs] == ["rejected", "rejected", "promoted"]
    told = medasrd_json("report", config=learned.config)["milestones"]
    assert [(one["kind"], one["version"]) for one in told if one["kind"] == "promoted"] == [("promoted", version)]


def test_a_training_killed_in_the_middle_ends_with_the_same_version(
    home: Path, learned: Learned, recordings: Recordings
) -> None:
    config = configure(home, recordings)
    command = [*MEDASRD, "train", "--config", str(home / "config.toml")]
    training = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE
    while not list(config.paths.trainings.glob("*/checkpoint-*/manifest.json")):
        assert training.poll() is None, "it ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    training.kill()
    assert training.wait() == -signal.SIGKILL
    ended = medasrd("train", "--resume", "--json", config=config, patience=PATIENCE)
    assert json.loads(ended.stdout)["version"] == learned.outcome["version"]
    assert Path(json.loads(ended.stdout)["curve"]).is_file()
