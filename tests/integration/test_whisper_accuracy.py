"""Accuracy on real recordings, as the service transcribes them by default."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import jiwer
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

from medasr.quality import QualityThresholds
from medasr.recognition import assemble
from medasr.speech import SpeechDetector, SpeechOptions, plan_windows
from medasr.types import SAMPLE_RATE
from medasr.whisper.model import ModelOptions
from medasr.whisper.transcriber import load_transcriber
from tests.support.whisper import read_mono

if TYPE_CHECKING:
    from pathlib import Path

EVERY = 10


@pytest.mark.whisper
@pytest.mark.realdata
@pytest.mark.timeout(900)
def test_stock_whisper_base_mishears_at_most_13_percent(base_whisper: Path, medical_speech: Path) -> None:
    with (medical_speech / "overview-of-recordings.csv").open(newline="", encoding="utf-8") as table:
        phrases = {row["file_name"].removesuffix(".wav"): row["phrase"] for row in csv.DictReader(table)}
    recordings = [path for path in sorted(medical_speech.rglob("*.flac")) if path.stem in phrases][::EVERY]
    transcriber = load_transcriber(
        ModelOptions(
            path=base_whisper, base_id="whisper-base", base_revision="", base_sha256="", precision="fp32", threads=1
        )
    )
    options, thresholds = SpeechOptions(), QualityThresholds()
    detector, normalize = SpeechDetector(options), EnglishTextNormalizer()
    heard, said = [], []
    for recording in recordings:
        waveform = read_mono(recording)
        speech = detector.detect(waveform)
        windows = plan_windows(speech, options)
        samples = [waveform[round(span.start * SAMPLE_RATE) : round(span.end * SAMPLE_RATE)] for span in windows]
        transcript = assemble(windows, transcriber.transcribe(samples), speech, "en", thresholds)
        heard.append(normalize(transcript.text))
        said.append(normalize(phrases[recording.stem]))
    assert len(said) > 20
    assert jiwer.wer(said, heard) <= 0.13
