"""The real model in a child process: real weights, real voice activity, real speech."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from daemon.engine.batch import transcribe_all
from daemon.engine.child import load_recognizer
from daemon.engine.engine import Engine
from daemon.engine.host import EngineHost
from daemon.engine.protocol import Completed, EngineOptions, Reply, Transcribe
from daemon.sections import Model, Quality, Speech
from medasr.audio import normalize
from medasr.errors import ModelError
from medasr.types import SAMPLE_RATE, VerdictKind
from tests.support.adapters import make_files
from tests.support.samples import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.whisper


def options_for(weights: Path) -> EngineOptions:
    return EngineOptions(
        models=weights.parent,
        model=Model(base=weights.name, adapter="", device="cpu", precision="fp32", threads=1, batch_size=2),
        speech=Speech(),
        quality=Quality(),
        load_seconds=250.0,
        hang_seconds=250.0,
    )


def normalized(recording: Path, pcm: Path) -> Path:
    source, sink = os.open(recording, os.O_RDONLY), os.open(pcm, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        normalize(source, sink)
    finally:
        os.close(source)
        os.close(sink)
    return pcm


def test_the_child_writes_what_the_library_writes(tiny_whisper: Path, tmp_path: Path) -> None:
    options = options_for(tiny_whisper)
    (dictation,) = (sample for sample in SAMPLES if sample.stem == "dictation")
    items = [("spoken", normalized(dictation, tmp_path / "spoken.pcm")), ("silent", tmp_path / "silent.pcm")]
    np.zeros(5 * SAMPLE_RATE, dtype="<f4").tofile(items[1][1])

    host = EngineHost(options)
    results = {event.id: event for event in transcribe_all(host, items) if isinstance(event, Completed)}
    host.stop()

    replies: list[Reply] = []
    engine = Engine(load_recognizer(options), options.model.batch_size, replies.append)
    for name, pcm in items:
        engine.accept(Transcribe(id=name, pcm=pcm))
    while not engine.idle:
        engine.step()
    here = {reply.id: reply for reply in replies if isinstance(reply, Completed)}
    assert {name: result.transcript for name, result in results.items()} == {
        name: result.transcript for name, result in here.items()
    }
    assert results["spoken"].version == here["spoken"].version
    assert results["spoken"].version.base_id == "whisper-tiny.en"
    assert results["spoken"].version.precision == "fp32"
    assert "high blood pressure" in results["spoken"].transcript.text
    timed = [word.text for segment in results["spoken"].transcript.segments for word in segment.words]
    assert "blood" in timed
    assert results["silent"].transcript.verdict.kind is VerdictKind.NO_SPEECH


def test_weights_that_are_not_installed_stop_the_host_with_the_remedy(tmp_path: Path) -> None:
    host = EngineHost(options_for(tmp_path / "whisper-tiny.en"))
    host.submit("r1", tmp_path / "r1.pcm")

    with pytest.raises(ModelError, match=r"medasrd models pull whisper-tiny\.en"):
        while host.in_flight:
            host.poll(1.0)


def test_a_lexicon_that_was_lost_since_the_start_does_not_stop_the_child(tiny_whisper: Path, tmp_path: Path) -> None:
    recognizer = load_recognizer(replace(options_for(tiny_whisper), lexicon=(tmp_path / "lost.csv",)))
    assert recognizer.transcriber.version.base_id == "whisper-tiny.en"


@pytest.mark.parametrize("harm", ["altered", "for another base"])
def test_an_adapter_that_may_not_be_loaded_is_refused_before_torch_is(
    tiny_whisper: Path, tmp_path: Path, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine torch takes half a minute to import."""
    folder = make_files(tmp_path / "adapter")
    if harm == "altered":
        (folder / "adapter_model.safetensors").write_bytes(b"others")
    options = options_for(tiny_whisper)
    options = replace(options, model=options.model.model_copy(update={"adapter": str(folder)}))
    monkeypatch.setitem(sys.modules, "medasr.whisper.transcriber", None)  # to import it is an error

    with pytest.raises(ModelError, match="was altered" if harm == "altered" else "belongs to"):
        load_recognizer(options)
