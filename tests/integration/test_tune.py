"""`medasrd tune` with real weights, and the model process that is loaded as it says."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from daemon import home as homes
from daemon.cli import medasrd
from daemon.engine.batch import transcribe_all
from daemon.engine.child import load_recognizer
from daemon.engine.host import EngineHost
from daemon.engine.options import engine_options
from daemon.engine.protocol import Completed, EngineOptions
from daemon.sections import Model, Quality, Speech
from daemon.tuning import measuring, setting
from daemon.tuning import tuning as stored
from daemon.tuning.setting import Setting
from daemon.tuning.speech import decoded_speech
from medasr.errors import ConfigurationError
from medasr.packs import locate
from tests.conftest import write_config
from tests.support.tunings import make_tuning

pytestmark = pytest.mark.whisper


def test_what_is_open_is_measured_shown_and_stored(
    tiny_whisper: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "RECORDINGS", 2)
    monkeypatch.setattr(setting, "BATCH_SIZES", (2, 4))
    monkeypatch.setattr(measuring, "ROUNDS", 1)
    config = write_config(home, model={"precision": "fp32", "threads": 1})

    ran = CliRunner().invoke(medasrd, ["tune", "--json", "--config", str(home / "config.toml")], catch_exceptions=False)

    assert ran.exit_code == 0
    told = json.loads(ran.stdout)
    assert [one["setting"]["batch_size"] for one in told["outcomes"]] == [8, 2]  # two recordings fill no larger one
    assert all(one["seconds"] > 0 for one in told["outcomes"])
    assert [one["other_words"] for one in told["outcomes"]] == [0.0, 0.0]
    assert "2 of 2: fp32 on cpu, batches of 2, 1 thread" in ran.stderr
    tuning = stored.read(config.paths.state)
    assert tuning is not None
    assert tuning.base_sha256 == locate(tiny_whisper.parent, tiny_whisper.name).weights_sha256
    assert engine_options(config).model.batch_size == told["setting"]["batch_size"]


def test_the_model_process_is_loaded_as_tuned(tiny_whisper: Path, home: Path) -> None:
    config = write_config(home, model={"threads": 0})
    homes.prepare(config)
    setting = Setting(precision="fp32", batch_size=16, threads=1)
    base = locate(tiny_whisper.parent, tiny_whisper.name)
    stored.write(config.paths.state, make_tuning(config, setting, base_sha256=base.weights_sha256))
    with decoded_speech(config, 1) as speech:
        host = EngineHost(engine_options(config))
        events = list(transcribe_all(host, [(one.id, one.samples) for one in speech]))
        host.stop()
    (completed,) = (event for event in events if isinstance(event, Completed))
    assert (completed.version.precision, completed.batch_size, completed.fallback) == ("fp32", 16, "")
    assert completed.transcript.text


def test_what_was_tuned_on_a_gpu_that_is_gone_does_not_keep_the_weights_from_loading(tiny_whisper: Path) -> None:
    setting = Setting(precision="fp16", batch_size=32, threads=1)
    options = EngineOptions(
        models=tiny_whisper.parent,
        model=Model(base=tiny_whisper.name, adapter="", device="cpu").model_copy(update=asdict(setting)),
        speech=Speech(),
        quality=Quality(),
        load_seconds=250.0,
        hang_seconds=250.0,
        tuned_for="cuda",
    )
    assert load_recognizer(options).transcriber.version.precision in ("bf16", "fp32")


def test_where_everything_is_configured_there_is_nothing_to_tune(tiny_whisper: Path, home: Path) -> None:
    config = write_config(home, model={"precision": "fp32", "threads": 1, "batch_size": 4})
    with pytest.raises(ConfigurationError, match="nothing to choose"):
        measuring.tune(config, lambda *_: None)
