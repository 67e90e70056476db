"""Beam search against one written without caches and batches, on networks with random weights, which are in doubt everywhere."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
    WhisperTimeStampLogitsProcessor,
)
from transformers.modeling_outputs import BaseModelOutput

from medasr.whisper.beams import search
from medasr.whisper.context import encode
from medasr.whisper.decoding import DecodingTokens, decode, decoding_tokens
from tests.integration.test_whisper_decoding import POSITIONS, network, spectrograms

Text = tuple[float, tuple[int, ...]]


def searched(whisper: Any, sound: torch.Tensor, tokens: DecodingTokens, beams: int) -> tuple[int, ...]:
    """The text of one encoded window, each step computed anew for each text, under transformers' rules."""
    prefix = list(tokens.prefix)
    rules = LogitsProcessorList(
        [
            SuppressTokensLogitsProcessor(list(tokens.suppressed)),
            SuppressTokensAtBeginLogitsProcessor(list(tokens.suppressed_first), begin_index=len(prefix)),
            WhisperTimeStampLogitsProcessor(whisper.generation_config, begin_index=len(prefix)),
        ]
    )
    texts: list[Text] = [(0.0, ())]
    ended: list[Text] = []
    for _ in range(tokens.limit):
        further: list[Text] = []
        for counted, text in texts:
            written = torch.tensor([[*prefix, *text]])
            logits = whisper(encoder_outputs=BaseModelOutput(last_hidden_state=sound), decoder_input_ids=written).logits
            likely = rules(written, logits[:, -1].float()).log_softmax(dim=-1)[0]
            times = likely[tokens.timestamp_begin :]
            for token in range(tokens.timestamp_begin):
                further.append((counted + float(likely[token]), (*text, token)))
            latest = tokens.timestamp_begin + int(times.argmax())
            further.append((counted + float(times.logsumexp(dim=0)), (*text, latest)))
        texts = []
        for counted, text in sorted((one for one in further if one[0] > float("-inf")), reverse=True):
            if text[-1] == tokens.end:
                ended.append((counted, text[:-1]))
            else:
                texts.append((counted, text))
            if len(texts) == beams:
                break
        if len(ended) >= beams:
            break

    def likelihood(text: Text) -> float:
        return text[0] / (sum(token < tokens.timestamp_begin for token in text[1]) + 1)

    return max(ended or texts, key=likelihood)[1]


@pytest.mark.parametrize("beams", [2, 3, 5])
@pytest.mark.parametrize("seed", [0, 4, 6], ids=["none ends", "one ends", "another ends"])
def test_the_texts_are_those_of_a_search_without_caches(seed: int, beams: int) -> None:
    whisper, features = network(seed), spectrograms(3)
    tokens = decoding_tokens(whisper.generation_config, "en", POSITIONS)
    with torch.inference_mode():
        encoded = encode(whisper, features)
        ours = search(whisper, encoded, tokens, beams)
        theirs = [searched(whisper, encoded[place : place + 1], tokens, beams) for place in range(3)]
    assert [window.tokens for window in ours] == theirs


@pytest.mark.parametrize("seed", range(3))
def test_one_beam_is_greedy(seed: int) -> None:
    whisper, features = network(seed), spectrograms(4)
    tokens = decoding_tokens(whisper.generation_config, "en", POSITIONS)
    with torch.inference_mode():
        encoded = encode(whisper, features)
        ours, greedy = search(whisper, encoded, tokens, 1), decode(whisper, encoded, tokens)
    for window, other in zip(ours, greedy, strict=True):
        assert window.tokens == other.tokens
        assert window.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-4)
        assert window.end_log_probability == pytest.approx(other.end_log_probability, abs=1e-4)
        assert window.no_speech_probability == pytest.approx(other.no_speech_probability, abs=1e-5)


def test_a_window_is_searched_the_same_alone_and_in_a_batch() -> None:
    whisper, features = network(4), spectrograms(5)
    tokens = decoding_tokens(whisper.generation_config, "en", POSITIONS)
    with torch.inference_mode():
        encoded = encode(whisper, features)
        together = search(whisper, encoded, tokens, 3)
        alone = [search(whisper, encoded[index : index + 1], tokens, 3)[0] for index in range(5)]
    assert [window.tokens for window in together] == [window.tokens for window in alone]
