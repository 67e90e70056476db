"""A folder of recordings in which nobody says a word, through real weights (whisper-tiny.en): no words come out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from medasr.nonspeech import make_sounds
from medasr.quality import QualityThresholds
from medasr.recognition import assemble
from medasr.speech import SpeechDetector, SpeechOptions, plan_windows
from medasr.types import SAMPLE_RATE, SpeechSpan, Transcript, VerdictKind
from medasr.whisper.transcriber import load_transcriber
from tests.support.whisper import read_mono, sample, tiny_english

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from medasr.types import Waveform
    from medasr.whisper.transcriber import Transcriber

pytestmark = pytest.mark.whisper

VOICES = ("dictation", "back-pain", "sore-throat")


@pytest.fixture(scope="module")
def transcriber() -> Transcriber:
    return load_transcriber(tiny_english())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("non-speech")
    for name, sound in (*make_sounds(), *human_sounds()):
        soundfile.write(folder / f"{name}.wav", sound, SAMPLE_RATE)
    return folder


def human_sounds() -> Iterator[tuple[str, Waveform]]:
    """Voices without words: a room full of people, played backwards, and the first moment of a word before the recorder stops."""
    random = np.random.default_rng(5)
    voices = [np.roll(sample(name)[0][::-1], random.integers(10**5))[: 8 * SAMPLE_RATE] for name in VOICES * 4]
    yield "babble", (0.05 * np.sum(voices, axis=0) / np.std(np.sum(voices, axis=0))).astype(np.float32)
    waveform, _ = sample("dictation")
    begin = round(SpeechDetector(SpeechOptions()).detect(waveform)[0].start * SAMPLE_RATE)
    yield "cut off", waveform[: begin + round(0.4 * SAMPLE_RATE)]


def transcript_of(
    transcriber: Transcriber, waveform: Waveform, windows: Sequence[SpeechSpan], speech: Sequence[SpeechSpan]
) -> Transcript:
    cut = [waveform[round(one.start * SAMPLE_RATE) : round(one.end * SAMPLE_RATE)] for one in windows]
    return assemble(windows, transcriber.transcribe(cut), speech, "en", QualityThresholds())


def test_no_words_are_invented(transcriber: Transcriber, folder: Path) -> None:
    detector = SpeechDetector(SpeechOptions())
    written = {}
    for recording in sorted(folder.iterdir()):
        waveform = read_mono(recording)
        speech = detector.detect(waveform)
        windows = plan_windows(speech, SpeechOptions())
        written[recording.stem] = transcript_of(transcriber, waveform, windows, speech).text
    assert len(written) >= 14
    assert {name: text for name, text in written.items() if text} == {}


def test_what_passes_for_speech_is_withheld_or_marked(transcriber: Transcriber, folder: Path) -> None:
    """As if every sound were taken for speech: hardly a text is left, and no transcript passes for good."""
    left = {}
    for recording in sorted(folder.iterdir()):
        waveform = read_mono(recording)
        whole = [SpeechSpan(start=0.0, end=len(waveform) / SAMPLE_RATE)]
        transcript = transcript_of(transcriber, waveform, whole, whole)
        assert transcript.verdict.kind is not VerdictKind.OK, recording.stem
        if transcript.text:
            left[recording.stem] = transcript
    assert len(left) <= 3
