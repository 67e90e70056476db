"""The learning cycle killed between any two of its steps: run again, it ends as if nothing had been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from daemon.cli import medasrd
from daemon.config import Config
from daemon.learning.lock import one_training, run_in_work
from daemon.registry.serving import model_name, resolve
from daemon.store import audit, learning
from daemon.store.connection import Store
from daemon.store.learning import LearningState
from daemon.store.schema import AuditRow
from medasr.errors import AlreadyRunning
from tests.conftest import write_config
from tests.support.contests import Workshop, make_engines, version_of, write_dataset
from tests.support.processes import await_condition, children, is_running
from tests.support.trainers import STEP, orders

#: However busy the machine is.
PATIENCE = 200.0
STOCK, BETTER = "whisper-tiny.en", version_of("better")

pytestmark = [pytest.mark.usefixtures("tiny_whisper"), pytest.mark.timeout(300)]


@pytest.fixture
def config(home: Path, tmp_path: Path) -> Config:
    manifest = write_dataset(tmp_path / "medical")
    return write_config(home, evaluation={"dataset": str(manifest), "split": "all"}, gate={"general": ""})


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "workshop", make_engines())


@pytest.fixture
def script(workshop: Workshop, tmp_path: Path) -> Path:
    command = workshop.command(workshop.candidate("better", 0.05))
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"texts": workshop.engines.texts, "command": command}))
    return path


def call(config: Config, script: Path, *more: str) -> list[str | Path]:
    return [sys.executable, "-m", "tests.support.contests", config.paths.state.parent / "config.toml", script, *more]


def run(config: Config, script: Path, crash_point: str = "", *slot: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(call(config, script, crash_point, *slot), capture_output=True, text=True, check=False)


def test_of_one_that_was_killed_nobody_says_that_it_trains_and_none_begins_before_its_process_has_ended(
    config: Config, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.learning.lock.PATIENCE_SECONDS", 0.0)
    script = tmp_path / "hanging.json"
    script.write_text(json.dumps({"texts": {}, "command": workshop.command([STEP, "hang"])}))
    with subprocess.Popen(call(config, script)) as parent:
        await_condition(lambda: run_in_work(config.paths.trainings) == 1, PATIENCE)
        await_condition(workshop.notes.exists, PATIENCE)
        (trainer,) = children(parent.pid)
        parent.kill()
    with pytest.raises(AlreadyRunning, match="has not ended yet"), one_training(config.paths.trainings):
        raise AssertionError("two at a time")
    os.kill(trainer, signal.SIGKILL)
    await_condition(lambda: not is_running(trainer), PATIENCE)
    status = ["learn", "status", "--config", str(config.paths.state.parent / "config.toml")]
    assert "interrupted while training" in " ".join(CliRunner().invoke(medasrd, status).stdout.split())
    with one_training(config.paths.trainings):
        pass


def serving(config: Config) -> str:
    return model_name(config, resolve(config))


@pytest.mark.parametrize(
    ("point", "serves", "trainings"),
    [
        ("after_training", STOCK, 2),  # of which the second finds its candidate ready
        ("adapter_placed", STOCK, 2),
        ("after_gate", STOCK, 1),
        ("before_promotion", STOCK, 1),
        ("promote_written", STOCK, 1),
        ("promote_committed", BETTER, 1),
        ("after_promotion", BETTER, 1),
    ],
)
def test_killed_at_a_step_it_ends_with_the_one_promotion(
    config: Config, workshop: Workshop, script: Path, point: str, serves: str, trainings: int
) -> None:
    assert run(config, script, point).returncode == -signal.SIGKILL
    assert serving(config) == serves
    ended = run(config, script)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {"state": "promoted", "reason": None, "version": BETTER}
    assert serving(config) == BETTER
    assert len(orders(workshop.notes)) == trainings
    store = Store(config.paths.database, writable=False)
    with store.read() as session:
        (only,) = learning.listing(session)
        assert (only.state, only.version, only.reason) == (LearningState.PROMOTED, BETTER, None)
        assert session.query(AuditRow).where(AuditRow.action == "promoted").count() == 1
        assert audit.broken_link(session) is None
    store.close()
    assert json.loads(run(config, script).stdout) == {"state": "rejected", "reason": "another", "version": BETTER}


def test_killed_for_a_slot_it_goes_on_as_the_one_run_of_it_and_status_tells_when_it_was_due(
    config: Config, script: Path
) -> None:
    due = "2026-03-01T04:30:00+00:00"
    assert run(config, script, "after_gate", due).returncode == -signal.SIGKILL
    assert run(config, script, "", due).returncode == 0
    command = ["learn", "status", "--config", str(config.paths.state.parent / "config.toml")]
    (only,) = json.loads(CliRunner().invoke(medasrd, [*command, "--json"]).stdout)["runs"]
    assert (only["state"], only["trigger"], datetime.fromisoformat(only["slot"])) == (
        *("promoted", "scheduled"),
        datetime.fromisoformat(due),
    )
    shown = CliRunner().invoke(medasrd, command).stdout
    assert f"{datetime.fromisoformat(due).astimezone():%Y-%m-%d %H:%M:%S}" in shown
