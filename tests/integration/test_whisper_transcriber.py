"""Real speech through real weights (whisper-tiny.en): recording → speech → windows → hypotheses → transcript."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import jiwer
import numpy as np
import pytest
import torch
from whisper_normalizer.english import EnglishTextNormalizer

from medasr.quality import QualityThresholds
from medasr.recognition import assemble
from medasr.speech import SpeechDetector, SpeechOptions, plan_windows
from medasr.types import SAMPLE_RATE, SpeechSpan, Transcript, VerdictKind
from medasr.whisper.beams import search
from medasr.whisper.context import encode
from medasr.whisper.decoder import Sound
from medasr.whisper.decoding import DecodedWindow, DecodingTokens, decode, decoding_tokens
from medasr.whisper.features import log_mel
from medasr.whisper.model import load_model
from medasr.whisper.transcriber import WhisperTranscriber, load_transcriber
from tests.support.speech import NON_SPEECH
from tests.support.whisper import sample, tiny_english

if TYPE_CHECKING:
    from medasr.types import Waveform
    from medasr.whisper.transcriber import Transcriber

pytestmark = pytest.mark.whisper

SAMPLES = ("dictation", "back-pain", "sore-throat")
OPTIONS, THRESHOLDS = SpeechOptions(), QualityThresholds()


@pytest.fixture(scope="module")
def transcriber() -> Transcriber:
    return load_transcriber(tiny_english())


def cut(waveform: Waveform, windows: list[SpeechSpan]) -> list[Waveform]:
    return [waveform[round(span.start * SAMPLE_RATE) : round(span.end * SAMPLE_RATE)] for span in windows]


def transcribed(transcriber: Transcriber, waveform: Waveform) -> Transcript:
    speech = SpeechDetector(OPTIONS).detect(waveform)
    windows = plan_windows(speech, OPTIONS)
    return assemble(windows, transcriber.transcribe(cut(waveform, windows)), speech, "en", THRESHOLDS)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_consultation_becomes_text_with_times(transcriber: Transcriber, name: str) -> None:
    waveform, reference = sample(name)
    transcript = transcribed(transcriber, waveform)
    normalize = EnglishTextNormalizer()
    assert jiwer.wer(normalize(reference), normalize(transcript.text)) < 0.2
    bounds = [time for segment in transcript.segments for time in (segment.start, segment.end)]
    assert bounds == sorted(bounds)
    assert len(transcript.segments) >= 3
    assert bounds[-1] <= len(waveform) / SAMPLE_RATE
    assert transcript.verdict.kind is VerdictKind.OK


def test_the_same_batch_gives_the_same_hypotheses(transcriber: Transcriber) -> None:
    windows = [sample(name)[0][: 6 * SAMPLE_RATE] for name in SAMPLES]
    together = transcriber.transcribe(windows)
    assert together == transcriber.transcribe(windows)
    for window, hypothesis in zip(windows, together, strict=True):
        (alone,) = transcriber.transcribe([window])
        assert [dataclasses.replace(one, mean_log_probability=0) for one in alone.segments] == [
            dataclasses.replace(one, mean_log_probability=0) for one in hypothesis.segments
        ]
        assert alone.mean_log_probability == pytest.approx(hypothesis.mean_log_probability, abs=1e-3)
        assert alone.no_speech_probability == pytest.approx(hypothesis.no_speech_probability, abs=1e-3)


@pytest.mark.parametrize("timestamps", [True, False], ids=["timestamps", "plain"])
def test_tokens_are_those_of_whispers_own_generate(timestamps: bool) -> None:
    network = load_model(tiny_english()).network
    tokens = decoding_tokens(network.generation_config, "en", network.config.max_target_positions)
    windows = [sample(name)[0][: 9 * SAMPLE_RATE] for name in SAMPLES[:2]]
    features = log_mel(windows, 80, torch.device("cpu"))
    with torch.inference_mode():
        ours = decode(network, Sound(network, encode(network, features)), tokens, timestamps=timestamps)
        theirs = network.generate(features, return_timestamps=timestamps, do_sample=False, num_beams=1)
    special = {*tokens.prefix, tokens.end, tokens.no_timestamps}
    for window, row in zip(ours, theirs.tolist(), strict=True):
        assert list(window.tokens) == [token for token in row if token not in special]
        assert not window.truncated


@pytest.mark.parametrize("name", NON_SPEECH)
def test_sound_without_speech_gives_no_words(transcriber: Transcriber, name: str) -> None:
    transcript = transcribed(transcriber, NON_SPEECH[name]())
    assert (transcript.text, transcript.verdict.kind) == ("", VerdictKind.NO_SPEECH)


def test_sound_that_passes_for_speech_still_gives_no_words(transcriber: Transcriber) -> None:
    for hypothesis, maker in zip(
        transcriber.transcribe([maker() for maker in NON_SPEECH.values()]), NON_SPEECH.values(), strict=True
    ):
        window = SpeechSpan(start=0.0, end=len(maker()) / SAMPLE_RATE)
        transcript = assemble([window], [hypothesis], [window], "en", THRESHOLDS)
        assert (transcript.text, transcript.verdict.kind) == ("", VerdictKind.NO_SPEECH), maker.__name__


def test_what_was_passed_over_at_the_end_of_a_window_is_decoded_after_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whisper ends a window's text too early seldom; here it is made to, after the first sentence."""
    transcriber = load_transcriber(dataclasses.replace(tiny_english(), beams=1))
    waveform, _ = sample("dictation")
    windows = cut(waveform, plan_windows(SpeechDetector(OPTIONS).detect(waveform), OPTIONS))[:1]
    (whole,) = transcriber.transcribe(windows)
    calls: list[int] = []

    def stops_early(network: Any, sound: Sound, tokens: DecodingTokens) -> list[DecodedWindow]:
        calls.append(len(sound))
        (decoded,) = decode(network, sound, tokens)
        if len(calls) > 1:
            return [decoded]
        end = next(place for place, token in enumerate(decoded.tokens) if place and token >= tokens.timestamp_begin) + 1
        return [
            dataclasses.replace(decoded, tokens=decoded.tokens[:end], log_probabilities=decoded.log_probabilities[:end])
        ]

    monkeypatch.setattr("medasr.whisper.transcriber.decode", stops_early)
    (continued,) = transcriber.transcribe(windows)
    assert calls == [1, 1]
    assert len(whole.segments) > 1
    assert continued.segments[0] == whole.segments[0]
    assert continued.segments[1].start >= whole.segments[0].end
    assert jiwer.wer(EnglishTextNormalizer()(whole.text), EnglishTextNormalizer()(continued.text)) < 0.1


def test_only_where_the_first_text_is_doubtful_another_may_be_written() -> None:
    waveform, _ = sample("sore-throat")
    windows = [waveform[start * SAMPLE_RATE : (start + 6) * SAMPLE_RATE] for start in (0, 6, 12, 18)]
    model = load_model(tiny_english())
    tokens = decoding_tokens(model.network.generation_config, "en", model.network.config.max_target_positions)
    with torch.inference_mode():
        first = decode(
            model.network, Sound(model.network, encode(model.network, log_mel(windows, 80, model.device))), tokens
        )
    doubtful = [min([*one.words(tokens), one.end_log_probability or 0.0]) < math.log(0.5) for one in first]
    assert len(set(doubtful)) == 2
    greedy = WhisperTranscriber(model, "en", beams=1).transcribe(windows)
    searched = WhisperTranscriber(model, "en", beams=5).transcribe(windows)
    for one, other, doubted in zip(greedy, searched, doubtful, strict=True):
        assert doubted or (other.text, other.segments) == (one.text, one.segments)
    assert [one.text for one in searched] != [one.text for one in greedy]


def test_a_text_that_does_not_end_is_looked_for_from_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model seldom repeats itself without end and without a doubt; here it is made to."""
    transcriber = load_transcriber(tiny_english())
    waveform, _ = sample("sore-throat")
    windows = [waveform[: 6 * SAMPLE_RATE], waveform[6 * SAMPLE_RATE : 12 * SAMPLE_RATE]]
    looked: list[tuple[int, bool]] = []

    def endless(network: Any, sound: Sound, *args: Any, from_doubt: bool = False) -> list[DecodedWindow]:
        looked.append((len(sound), from_doubt))
        first, *others = search(network, sound, *args, from_doubt=from_doubt)
        return [dataclasses.replace(first, end_log_probability=None) if from_doubt else first, *others]

    monkeypatch.setattr("medasr.whisper.transcriber.search", endless)
    written = transcriber.transcribe(windows)
    assert looked[:2] == [(2, True), (1, False)]
    assert [one.truncated for one in written] == [False, False]


def test_a_batch_of_nothing_is_nothing(transcriber: Transcriber) -> None:
    assert transcriber.transcribe([]) == []


class Failing(torch.nn.Module):
    """The beginning of an encoder for which there is no memory."""

    def __init__(self, error: RuntimeError) -> None:
        super().__init__()
        self.error = error

    def forward(self, _features: Any) -> None:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_running_out_of_memory_is_told_from_other_failures(error: RuntimeError) -> None:
    model = load_model(tiny_english())
    transcriber = WhisperTranscriber(model, "en", beams=3)
    model.network.model.encoder.conv1 = Failing(error)
    with pytest.raises(MemoryError, match="a batch of 2 windows does not fit on cpu"):
        transcriber.transcribe([np.zeros(SAMPLE_RATE, np.float32)] * 2)
    model.network.model.encoder.conv1 = Failing(RuntimeError("CUDA error: device-side assert triggered"))
    with pytest.raises(RuntimeError, match="device-side assert"):
        transcriber.transcribe([np.zeros(SAMPLE_RATE, np.float32)])
