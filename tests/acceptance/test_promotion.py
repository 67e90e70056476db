"""Promotion and rollback under a real daemon with real weights: recordings in flight are served, a kill leaves one version serving."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import soundfile
from safetensors.torch import load_file, save_file

from daemon import control
from daemon.config import Config
from daemon.registry import desk
from daemon.registry.serving import model_name, resolve
from medasr.errors import ModelError, TransientError
from tests.conftest import write_config
from tests.support.adapters import peft_folder
from tests.support.daemon_process import MEDASRD, DaemonProcess, all_delivered, jobs, medasrd, medasrd_json
from tests.support.samples import FOLDER

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.whisper,
    pytest.mark.usefixtures("tiny_whisper"),
    pytest.mark.timeout(1800),  # 22 s of processor time were measured, and it may get a thirtieth of a core
]

FORCE = ("--force", "--reason", "a test")


@pytest.fixture
def config(home: Path) -> Config:
    """One thread never waits for another: on a busy machine that is many times faster."""
    return write_config(home, model={"threads": 1})


@pytest.fixture
def versions(config: Config, tmp_path: Path) -> tuple[str, str]:
    """Two versions on the shelf, of which none serves."""
    first = desk.install(config, peft_folder(tmp_path / "one", seed=1), "imported")
    second = desk.install(config, peft_folder(tmp_path / "two", seed=2), "imported")
    assert first != second
    return first, second


def drop(config: Config, number: int) -> None:
    """A recording of some seconds, another one for each number."""
    samples, rate = soundfile.read(FOLDER / "dictation.wav", dtype="int16")
    begin = number * rate // 2
    soundfile.write(config.paths.inbox / f".{number}.wav", samples[begin : begin + 6 * rate], rate)
    (config.paths.inbox / f".{number}.wav").rename(config.paths.inbox / f"visit-{number}.wav")


def answers(config: Config) -> bool:
    """Whether the daemon answers on its socket; its weights may still be loading."""
    try:
        return bool(control.call(config.paths.state, "status")["daemon"])
    except (ConnectionError, TransientError):
        return False


def serving(config: Config) -> str:
    return model_name(config, resolve(config))


def versions_that_transcribed(config: Config) -> set[str]:
    with closing(sqlite3.connect(config.paths.database)) as database:
        query = "SELECT DISTINCT adapter_sha256 FROM transcripts JOIN model_versions m ON m.id = model_version_id"
        return {sha256[:8] for (sha256,) in database.execute(query)}


def test_recordings_in_flight_are_all_served_across_promotion_and_rollback(
    config: Config, versions: tuple[str, str]
) -> None:
    first, second = versions
    count = 0

    def more(number: int) -> None:
        nonlocal count
        for _ in range(number):
            count += 1
            drop(config, count)

    with DaemonProcess(config) as daemon:
        daemon.until_ready()
        more(4)
        daemon.until(
            lambda: any(job["state"] == "transcribing" for job in jobs(config)) or all_delivered(config, count),
            what="recordings are in flight",
        )
        for act in (("promote", first, *FORCE), ("promote", second, *FORCE), ("rollback",)):
            more(2)
            done = medasrd("models", *act, config=config).stdout
            assert (first if act[1:2] != (second,) else second) in done
        daemon.until(lambda: all_delivered(config, count), what="every recording is delivered")
        daemon.until(
            lambda: (medasrd_json("status", config=config)["daemon"]["model"] or {}).get("version") == first,
            what="the status names the version that serves",
        )
        more(1)
        daemon.until(lambda: all_delivered(config, count), what="the last recording is delivered")
        status = medasrd_json("status", config=config)["daemon"]
        assert (status["engine_restarts"], status["serves"]) == (0, first)
        assert first in medasrd("status", config=config).stdout
        assert daemon.stop() == 0
    found = jobs(config)
    assert len(found) == count
    assert {job["state"] for job in found} <= {"done", "needs_review"}
    assert {job["attempts"] for job in found} == {1}, "no change of the model counts as an attempt"
    assert first[-8:] in versions_that_transcribed(config)
    assert medasrd("db", "check", config=config).returncode == 0


@pytest.mark.parametrize(
    ("point", "after"),
    [
        ("promote_verified", "old"),
        ("promote_written", "old"),
        ("promote_committed", "new"),
        ("rollback_written", "new"),
        ("rollback_committed", "old"),
    ],
)
def test_killed_within_a_promotion_the_old_or_the_new_version_serves(
    config: Config, versions: tuple[str, str], point: str, after: str
) -> None:
    old, new = versions
    desk.promote(config, old, force=True, reason="a test")
    if point.startswith("rollback"):
        desk.promote(config, new, force=True, reason="a test")
    drop(config, 1)
    act = ("rollback",) if point.startswith("rollback") else ("promote", new, *FORCE)
    with DaemonProcess(config, crash_point=point) as daemon:
        daemon.until(lambda: answers(config), what="the daemon answers commands")
        assert medasrd("models", *act, config=config, check=False).returncode != 0
        assert daemon.until_dead() == -signal.SIGKILL
    expected = {"old": old, "new": new}[after]
    assert serving(config) == expected
    with DaemonProcess(config) as daemon:
        daemon.until(lambda: all_delivered(config, 1), what="the recording is delivered")
        assert medasrd_json("status", config=config)["daemon"]["model"]["version"] == expected
        assert daemon.stop() == 0


@pytest.mark.parametrize(("point", "versions_left"), [("adapter_built", 0), ("adapter_placed", 1)])
def test_killed_within_an_installation_the_version_is_there_whole_or_not_at_all_after_the_next_start(
    config: Config, tmp_path: Path, point: str, versions_left: int
) -> None:
    source = peft_folder(tmp_path / "one")
    command = [*MEDASRD, "models", "import", str(source), "--config", str(config.paths.state.parent / "config.toml")]
    killed = subprocess.run(command, env={**os.environ, "MEDASRD_CRASH_POINT": point}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert serving(config) == "whisper-tiny.en"
    with DaemonProcess(config) as daemon:
        daemon.until(lambda: answers(config), what="the daemon answers commands")
        assert len(list(config.paths.adapters.iterdir())) == 1 + versions_left
        assert serving(config) == "whisper-tiny.en"
        assert medasrd("models", "import", source, config=config).stdout.startswith("whisper-tiny.en-")
        daemon.stop()


def altered(folder: Path, change: str) -> None:
    """Harm an adapter as the name says."""
    weights = folder / "adapter_model.safetensors"
    tensors = load_file(weights)
    name = min(tensors)
    if change == "NaN":
        tensors[name][0, 0] = float("nan")
    elif change == "missing key":
        del tensors[name]
    elif change == "wrong rank":
        tensors[name] = tensors[name][:1].contiguous()
    else:
        layers = [key for key in tensors if ".encoder." in key]
        tensors = {key: tensor for key, tensor in tensors.items() if key not in layers}
    save_file(tensors, weights)


@pytest.mark.parametrize("change", ["NaN", "missing key", "wrong rank", "half of the layers"])
def test_what_does_not_fit_the_base_is_refused_before_it_is_a_version(
    config: Config, tmp_path: Path, change: str
) -> None:
    folder = peft_folder(tmp_path / "harmed")
    altered(folder, change)
    with pytest.raises(ModelError, match=r"does not fit the model|is not finite"):
        desk.install(config, folder, "imported")
    assert [path.name for path in config.paths.adapters.iterdir()] == [".lock"]


def test_one_for_another_base_is_refused(config: Config, tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "other")
    desk.install(config, folder, "imported")
    shelved = next(path for path in config.paths.adapters.iterdir() if path.is_dir())
    manifest = json.loads((shelved / "medasr.json").read_text())
    copy = shutil.copytree(shelved, tmp_path / "copy")
    (copy / "medasr.json").write_text(json.dumps(manifest | {"base_sha256": "00" * 32}))
    with pytest.raises(ModelError, match="not installed here"):
        desk.install(config, copy, "imported")


def test_a_version_altered_while_it_serves_is_not_loaded_and_a_rollback_mends_it(
    config: Config, versions: tuple[str, str]
) -> None:
    first, second = versions
    desk.promote(config, first, force=True, reason="a test")
    desk.promote(config, second, force=True, reason="a test")
    weights = config.paths.adapters / second / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    refused = medasrd("scan", config=config, check=False)
    assert refused.returncode == 1
    assert "was altered" in refused.stderr
    assert "adapter" in medasrd("doctor", config=config, check=False).stdout
    medasrd("models", "rollback", config=config)
    drop(config, 1)
    assert medasrd("scan", config=config).returncode == 0
    assert versions_that_transcribed(config) == {first[-8:]}
