"""A list of terms over real speech and real weights (whisper-tiny.en): a drug that is misheard without it, and texts it has no part in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from medasr.speech_sets import UNLIKE, path_of
from medasr.types import SAMPLE_RATE, TermLists
from medasr.whisper.biasing import continuing_tokens
from medasr.whisper.model import load_model
from medasr.whisper.transcriber import WhisperTranscriber
from tests.support.whisper import read_mono, sample, tiny_english

if TYPE_CHECKING:
    from medasr.types import Hypothesis, Waveform

pytestmark = pytest.mark.whisper

#: "Take two paracetamol four times a day": tiny.en hears "pairs at them all".
PARACETAMOL = path_of(UNLIKE).parent / "006.ogg"
LISTS = TermLists(
    lists={
        "pain": ("paracetamol", "ibuprofen", "codeine phosphate"),
        "heart": ("metoprolol", "atrial fibrillation", "warfarin", "ramipril"),
    },
    weight=2.0,
    maximum=6.0,
)


@pytest.fixture(scope="module")
def transcriber() -> WhisperTranscriber:
    return WhisperTranscriber(load_model(tiny_english()), "en", 3, term_lists=LISTS)


@pytest.fixture(scope="module")
def misheard() -> Waveform:
    return read_mono(PARACETAMOL)


def biased_words(hypothesis: Hypothesis) -> list[str]:
    return [segment.text.split()[number] for segment in hypothesis.segments for number in segment.biased]


def test_a_drug_that_is_misheard_is_written_with_its_list_and_marked(
    transcriber: WhisperTranscriber, misheard: Waveform
) -> None:
    (plain,) = transcriber.transcribe([misheard])
    (listed,) = transcriber.transcribe([misheard], ["pain"])
    assert "paracetamol" not in plain.text
    assert "Take two paracetamol four times a day" in listed.text
    assert "paracetamol" in biased_words(listed)
    assert "ibuprofen" in plain.text  # heard without the list: not because of it
    assert "ibuprofen" not in biased_words(listed)
    assert listed.mean_log_probability < 0


def test_where_nothing_of_a_list_was_said_the_text_is_as_without(
    transcriber: WhisperTranscriber, misheard: Waveform
) -> None:
    windows = [misheard, sample("back-pain")[0][: 12 * SAMPLE_RATE]]
    assert transcriber.transcribe(windows, ["heart", "heart"]) == transcriber.transcribe(windows)


def test_a_window_without_a_list_is_written_alike_beside_one_that_has_one(
    transcriber: WhisperTranscriber, misheard: Waveform
) -> None:
    plain, _ = transcriber.transcribe([misheard, misheard])
    without, listed = transcriber.transcribe([misheard, misheard], ["", "pain"])
    assert without == plain
    assert listed.text != plain.text


def test_where_nobody_speaks_no_term_is_written(transcriber: WhisperTranscriber) -> None:
    noise = 0.02 * np.random.default_rng(0).standard_normal(4 * SAMPLE_RATE).astype(np.float32)
    windows = [noise, np.zeros(4 * SAMPLE_RATE, dtype=np.float32)]
    assert transcriber.transcribe(windows, ["pain", "pain"]) == transcriber.transcribe(windows)


def test_the_tokens_that_go_on_with_a_word_are_those_without_a_space_that_are_said() -> None:
    tokenizer = load_model(tiny_english()).tokenizer
    within = continuing_tokens(tokenizer)
    for text in (" pain", ".", ",", "-", " 5", "'s"):
        (token, *_) = tokenizer(text, add_special_tokens=False).input_ids
        assert token not in within, text
    for text in ("ful", "olol", "5", "é"):
        (token, *_) = tokenizer(text, add_special_tokens=False).input_ids
        assert token in within, text
    assert tokenizer.eos_token_id not in within
