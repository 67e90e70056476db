"""The daemon measures what it serves by itself, and goes on with its recordings."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import write_config
from tests.support.daemon_process import DaemonProcess, all_delivered, medasrd_json
from tests.support.samples import FOLDER, SAMPLES, reference


def test_a_slot_of_the_schedule_becomes_an_evaluation_while_recordings_are_served(
    home: Path, tmp_path: Path, tiny_whisper: Path
) -> None:
    del tiny_whisper
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    lines = []
    for sample in SAMPLES:
        (dataset / sample.name).write_bytes(sample.read_bytes())
        lines.append(json.dumps({"audio": sample.name, "text": reference(sample)}))
    (dataset / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    config = write_config(
        home,
        schedule={"evaluate": "* * * * *"},
        evaluation={"dataset": str(dataset / "manifest.jsonl"), "split": "all"},
    )
    with DaemonProcess(config) as daemon:
        daemon.until_ready()
        (config.paths.inbox / "visit.wav").write_bytes((FOLDER / "dictation.wav").read_bytes())
        daemon.until(lambda: all_delivered(config, 1), what="the recording is transcribed")
        daemon.until(
            lambda: bool(medasrd_json("evaluations", "list", config=config)),
            what="an evaluation is stored",
            patience=240,
        )
        daemon.stop()
    first = medasrd_json("evaluations", "list", config=config)[-1]
    assert (first["trigger"], first["n_utterances"]) == ("scheduled", len(SAMPLES))
    log = daemon.log.read_text()
    assert "evaluation stored" in log
    assert "Traceback" not in log
    assert not any(word in log for word in ("chest", "pain", "manifest"))
