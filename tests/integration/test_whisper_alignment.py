"""When words were said, from real speech through real weights (whisper-tiny.en)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from medasr.types import SAMPLE_RATE, Hypothesis, Word
from medasr.whisper import alignment
from medasr.whisper.alignment import Timing, align
from medasr.whisper.context import encode
from medasr.whisper.decoder import CachedDecoder, Sound
from medasr.whisper.decoding import decode, decoding_tokens
from medasr.whisper.features import log_mel
from medasr.whisper.model import LoadedModel, cpu_has_bfloat16, load_model
from medasr.whisper.transcriber import WhisperTranscriber
from tests.support.weights import KINDS, network
from tests.support.whisper import sample, tiny_english

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from medasr.types import Waveform

pytestmark = pytest.mark.whisper

CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """What stands between two silences of a sample: seconds, measured on its samples, and its first and last word."""

    sample: str
    start: float
    end: float
    first: str
    last: str


def phrase(name: str, start: float, end: float, words: str) -> Phrase:
    first, last = words.split()
    return Phrase(sample=name, start=start, end=end, first=first, last=last)


#: Four windows of phrases that do not belong together.
WINDOWS = (
    (
        phrase("back-pain", 0.56, 2.52, "this results"),
        phrase("dictation", 6.96, 9.03, "the metformin"),
        phrase("sore-throat", 3.15, 5.02, "i monday"),
        phrase("back-pain", 13.51, 14.88, "the arthritis"),
    ),
    (
        phrase("dictation", 11.70, 12.88, "he pain"),
        phrase("back-pain", 5.76, 7.41, "and leg"),
        phrase("sore-throat", 10.97, 12.75, "are medicine"),
    ),
    (
        phrase("sore-throat", 0.54, 2.48, "good today"),
        phrase("back-pain", 2.92, 3.95, "how pain"),
        phrase("back-pain", 16.42, 17.80, "do ibuprofen"),
        phrase("back-pain", 8.37, 10.11, "do bladder"),
    ),
    (
        phrase("dictation", 13.27, 16.14, "but ankles"),
        phrase("sore-throat", 5.32, 6.45, "and swallow"),
        phrase("back-pain", 4.55, 5.47, "it morning"),
    ),
)
PAUSES = (0.6, 1.3, 0.9, 1.6)


def composed(phrases: Sequence[Phrase], noise: float = 3e-4) -> tuple[Waveform, list[tuple[float, float]]]:
    """The phrases one after the other in noise of that level, with pauses between; and when each begins and ends, seconds."""
    parts, times, now = [], [], 0.0
    for one, pause in zip(phrases, PAUSES, strict=False):
        spoken = sample(one.sample)[0][round(one.start * SAMPLE_RATE) : round(one.end * SAMPLE_RATE)]
        parts += [np.zeros(round(pause * SAMPLE_RATE), np.float32), spoken]
        times.append((now + pause, now + pause + one.end - one.start))
        now = times[-1][1]
    whole = np.concatenate([*parts, np.zeros(SAMPLE_RATE // 2, np.float32)])
    room = np.random.default_rng(7).normal(scale=noise, size=len(whole))
    return (whole + room).astype(np.float32), times


def words_of(hypothesis: Hypothesis) -> list[Word]:
    return [word for segment in hypothesis.segments for word in segment.words]


def plain(word: Word) -> str:
    return re.sub(r"\W", "", word.text.lower())


def nearest(words: Sequence[Word], text: str, time: float, end: str) -> float:
    """How far the nearest of the words that are written so begins (or ends) from a time, in seconds."""
    return min((getattr(word, end) - time for word in words if plain(word) == text), key=abs, default=np.inf)


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load_model(tiny_english())


@pytest.fixture(scope="module")
def hypotheses(model: LoadedModel) -> list[Hypothesis]:
    windows = [composed(phrases)[0] for phrases in WINDOWS]
    return WhisperTranscriber(model, "en", 1, lambda _text: True).transcribe(windows)


def test_words_are_where_they_were_put(hypotheses: list[Hypothesis]) -> None:
    starts, ends = [], []
    for phrases, hypothesis in zip(WINDOWS, hypotheses, strict=True):
        words = words_of(hypothesis)
        for one, (start, end) in zip(phrases, composed(phrases)[1], strict=True):
            starts.append(nearest(words, one.first, start, "start"))
            ends.append(nearest(words, one.last, end, "end"))
    assert np.median(np.abs(starts)) < 0.15
    assert np.median(np.abs(ends)) < 0.15
    assert np.isfinite(starts + ends).mean() > 0.8


def test_they_are_also_found_where_no_pause_is_quiet(model: LoadedModel) -> None:
    windows = [composed(phrases, noise=0.005)[0] for phrases in WINDOWS]
    found = WhisperTranscriber(model, "en", 1, lambda _text: True).transcribe(windows)
    starts = [
        nearest(words_of(hypothesis), one.first, start, "start")
        for phrases, hypothesis in zip(WINDOWS, found, strict=True)
        for one, (start, _) in zip(phrases, composed(phrases)[1], strict=True)
    ]
    assert np.median(np.abs(starts)) < 0.15


def test_words_follow_each_other_within_the_window_and_are_its_text(hypotheses: list[Hypothesis]) -> None:
    for phrases, hypothesis in zip(WINDOWS, hypotheses, strict=True):
        words = words_of(hypothesis)
        assert " ".join(word.text for word in words) == hypothesis.text
        assert all(0.0 <= word.start < word.end for word in words)
        assert all(one.end <= later.start for one, later in pairwise(words))
        assert words[-1].end <= len(composed(phrases)[0]) / SAMPLE_RATE
        assert all(0.0 < word.confidence <= 1.0 for word in words)
        assert len({word.confidence for word in words}) > len(words) / 2


def test_times_are_the_same_alone_and_in_a_batch(model: LoadedModel, hypotheses: list[Hypothesis]) -> None:
    transcriber = WhisperTranscriber(model, "en", 1, lambda _text: True)
    for phrases, together in zip(WINDOWS[:2], hypotheses[:2], strict=True):
        (alone,) = transcriber.transcribe([composed(phrases)[0]])
        for one, other in zip(words_of(alone), words_of(together), strict=True):
            assert (one.text, one.start, one.end) == (other.text, other.start, other.end)
            assert one.confidence == pytest.approx(other.confidence, abs=1e-3)


def test_only_windows_whose_text_asks_for_it_cost_a_pass(
    model: LoadedModel, hypotheses: list[Hypothesis], monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []

    class Counted(CachedDecoder):
        def __init__(self, network: Any, encoded: torch.Tensor, positions: int) -> None:
            passes.append(len(encoded))
            super().__init__(network, encoded, positions)

    monkeypatch.setattr(alignment, "CachedDecoder", Counted)
    windows = [composed(phrases)[0] for phrases in WINDOWS[:2]]
    some = WhisperTranscriber(model, "en", 1, lambda text: "doctor" in text).transcribe(windows)
    assert passes == [1]
    assert [bool(words_of(one)) for one in some] == [True, False]
    assert [one.text for one in some] == [one.text for one in hypotheses[:2]]
    WhisperTranscriber(model, "en", 1).transcribe(windows[:1])
    assert passes == [1]


def timings(whisper: Any, windows: Sequence[Waveform], seconds: float, kind: torch.dtype) -> list[Timing | None]:
    tokens = decoding_tokens(whisper.generation_config, "en", whisper.config.max_target_positions)
    with torch.inference_mode():
        sound = Sound(whisper, encode(whisper, log_mel(windows, 80, CPU, seconds).to(kind)))
        return align(whisper, sound, windows, decode(whisper, sound, tokens), tokens)


@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_weights_has_times_also_over_less_than_thirty_seconds(kind: str, tmp_path: Path) -> None:
    whisper = network(kind, tmp_path)
    windows = [composed(phrases)[0] for phrases in WINDOWS[1:3]]
    for window, timing in zip(windows, timings(whisper, windows, 15.0, torch.float32), strict=True):
        assert timing is not None
        assert list(timing.firsts) == sorted(set(timing.firsts))
        assert timing.firsts[-1] * 0.02 < timing.seconds == len(window) / SAMPLE_RATE


@pytest.mark.skipif(not cpu_has_bfloat16(), reason="this CPU emulates bf16, a hundred times slower")
def test_in_half_precision_times_are_nearly_the_same(model: LoadedModel) -> None:
    windows = [composed(WINDOWS[2])[0]]
    (exact,) = timings(model.network, windows, 30.0, torch.float32)
    half = load_model(replace(tiny_english(), precision="bf16")).network
    (nearly,) = timings(half, windows, 30.0, torch.bfloat16)
    assert exact is not None
    assert nearly is not None
    assert abs(exact.firsts[-1] - nearly.firsts[-1]) < 25


def test_a_text_too_long_for_its_sound_has_no_times(model: LoadedModel) -> None:
    whisper = model.network
    tokens = decoding_tokens(whisper.generation_config, "en", whisper.config.max_target_positions)
    window = composed(WINDOWS[1])[0]
    with torch.inference_mode():
        sound = Sound(whisper, encode(whisper, log_mel([window], 80, CPU, 30.0)))
        (decoded,) = decode(whisper, sound, tokens)
        assert align(whisper, sound, [window[: 300 * len(decoded.tokens)]], [decoded], tokens) == [None]
        longer = replace(decoded, tokens=decoded.tokens * 20, log_probabilities=decoded.log_probabilities * 20)
        assert align(whisper, sound, [window], [longer], tokens) == [None]
