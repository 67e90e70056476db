"""Beam search against one written without caches and batches, on networks with random weights, which are in doubt everywhere."""

from __future__ import annotations

import math
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
from medasr.whisper.biasing import NO_BIAS, START, TermBias
from medasr.whisper.context import encode
from medasr.whisper.decoder import Sound
from medasr.whisper.decoding import DecodingTokens, decode, decoding_tokens
from tests.integration.test_whisper_decoding import POSITIONS, network, spectrograms

Text = tuple[float, tuple[int, ...]]

#: So many times as far apart are the logits of a network that is in doubt now and then.
SURER = 4.0


def surer(whisper: Any) -> Any:
    """The network, in doubt now and then only."""
    whisper.proj_out.weight = torch.nn.Parameter(whisper.proj_out.weight.detach() * SURER)
    return whisper


def earned(text: tuple[int, ...], bias: TermBias) -> float:
    state = START
    for token in text:
        state = bias.advance(state, token)
    return bias.earned(state)


def searched(
    whisper: Any,
    encoded: torch.Tensor,
    tokens: DecodingTokens,
    beams: int,
    bias: TermBias = NO_BIAS,
    *,
    from_doubt: bool = False,
    doubts: list[int] | None = None,
) -> tuple[int, ...]:
    """The text of one encoded window, each step computed anew for each text, under transformers' rules; notes where it was first in doubt."""
    breadth = 1 if from_doubt else beams
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
    for step in range(tokens.limit):
        further: list[Text] = []
        for counted, text in texts:
            written = torch.tensor([[*prefix, *text]])
            logits = whisper(
                encoder_outputs=BaseModelOutput(last_hidden_state=encoded), decoder_input_ids=written
            ).logits
            likely = rules(written, logits[:, -1].float()).log_softmax(dim=-1)[0]
            times = likely[tokens.timestamp_begin :]
            for token in range(tokens.timestamp_begin):
                further.append((counted + float(likely[token]), (*text, token)))
            latest = tokens.timestamp_begin + int(times.argmax())
            further.append((counted + float(times.logsumexp(dim=0)), (*text, latest)))
        possible = [one for one in further if one[0] > float("-inf")]
        if breadth < beams:
            likeliest = max(possible)
            if likeliest[1][-1] < tokens.timestamp_begin and likeliest[0] - texts[0][0] < math.log(0.5):
                breadth = beams
                if doubts is not None:
                    doubts.append(step)
        texts = []
        for counted, text in sorted(possible, key=lambda one: one[0] + earned(one[1], bias), reverse=True):
            if text[-1] == tokens.end:
                ended.append((counted, text))
            else:
                texts.append((counted, text))
            if len(texts) == breadth:
                break
        if len(ended) >= breadth:
            break

    def likelihood(text: Text) -> float:
        return text[0] / length(text) + earned(text[1], bias) / max(length(one) for one in ended or texts)

    def length(text: Text) -> int:
        return len([token for token in text[1] if token < tokens.timestamp_begin and token != tokens.end]) + 1

    return tuple(token for token in max(ended or texts, key=likelihood)[1] if token != tokens.end)


@pytest.mark.parametrize("beams", [2, 3, 5])
@pytest.mark.parametrize("seed", [0, 4, 6], ids=["none ends", "one ends", "another ends"])
def test_the_texts_are_those_of_a_search_without_caches(seed: int, beams: int) -> None:
    whisper, features = network(seed), spectrograms(3)
    tokens = decoding_tokens(whisper.generation_config, "en", POSITIONS)
    with torch.inference_mode():
        encoded = encode(whisper, features)
        sound = Sound(whisper, encoded)
        ours = search(whisper, sound, tokens, beams)
        theirs = [searched(whisper, encoded[place : place + 1], tokens, beams) for place in range(3)]
    assert [window.tokens for window in ours] == theirs


@pytest.mark.parametrize("seed", [0, 4, 6])
def test_from_doubt_on_they_are_those_of_a_search_that_begins_there(seed: int) -> None:
    whisper, features = surer(network(seed)), spectrograms(5)
    tokens = decoding_tokens(whisper.generation_config, "en", POSITIONS)
    doubts: list[int] = []
    with torch.inference_mode():
        encoded = encode(whisper, features)
        sound = Sound(whisper, encoded)
        ours = search(whisper, sound, tokens, 3, from_doubt=True)
        theirs = [
            searched(whisper, encoded[place : place + 1], tokens, 3, from_doubt=True, doubts=doubts)
            for place in range(5)
        ]
        greedy = decode(whisper, sound, tokens)
    assert [window.tokens for window in ours] == theirs
    for window, first in zip(ours, greedy, strict=True):
        values = first.words(tokens)
        if values and min([*values, first.end_log_probability or 0.0]) >= math.log(0.5):
            assert window.tokens == first.tokens
    assert any(step > 2 for step in doubts)


#: Terms of a list in the random network's tokens; none of these goes on with a word.
TERMS = ([8, 9, 10], [11], [12, 13], [8, 14], [20, 21, 22, 23])


@pytest.mark.parametrize(("seed", "beams", "weight"), [(0, 3, 6.0), (4, 1, 6.0), (4, 3, 1.0), (4, 3, 6.0), (6, 2, 6.0)])
def test_with_a_list_of_terms_they_are_those_that_earn_most_of_all(seed: int, beams: int, weight: float) -> None:
    whisper, features = network(seed), spectrograms(3)
    tokens = decoding_tokens(whisper.generation_config, "en", POSITIONS)
    bias = TermBias(enumerate(TERMS), weight=weight, maximum=2.5 * weight)
    with torch.inference_mode():
        encoded = encode(whisper, features)
        sound = Sound(whisper, encoded)
        ours = search(whisper, sound, tokens, beams, [bias] * 3)
        theirs = [searched(whisper, encoded[place : place + 1], tokens, beams, bias) for place in range(3)]
    assert [window.tokens for window in ours] == theirs


def test_a_list_for_one_window_changes_no_other_and_no_log_probability() -> None:
    whisper, features = network(4), spectrograms(3)
    tokens = decoding_tokens(whisper.generation_config, "en", POSITIONS)
    bias = TermBias(enumerate(TERMS), weight=6.0, maximum=15.0)
    with torch.inference_mode():
        sound = Sound(whisper, encode(whisper, features))
        plain = search(whisper, sound, tokens, 3)
        none, listed, still_none = search(whisper, sound, tokens, 3, [NO_BIAS, bias, NO_BIAS])
        alone = search(whisper, sound.only([1]), tokens, 3, [bias])[0]
    assert [none.tokens, still_none.tokens] == [plain[0].tokens, plain[2].tokens]
    assert listed.tokens == alone.tokens != plain[1].tokens
    assert list(bias.find(listed.tokens))
    assert all(value <= 0 for value in listed.log_probabilities)


@pytest.mark.parametrize("seed", range(3))
def test_one_beam_is_greedy(seed: int) -> None:
    whisper, features = network(seed), spectrograms(4)
    tokens = decoding_tokens(whisper.generation_config, "en", POSITIONS)
    with torch.inference_mode():
        sound = Sound(whisper, encode(whisper, features))
        ours, greedy = search(whisper, sound, tokens, 1), decode(whisper, sound, tokens)
    for window, other in zip(ours, greedy, strict=True):
        assert window.tokens == other.tokens
        assert window.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-4)
        assert window.end_log_probability == pytest.approx(other.end_log_probability, abs=1e-4)
        assert window.no_speech_probability == pytest.approx(other.no_speech_probability, abs=1e-5)


def test_a_window_is_searched_the_same_alone_and_in_a_batch() -> None:
    whisper, features = network(4), spectrograms(5)
    tokens = decoding_tokens(whisper.generation_config, "en", POSITIONS)
    with torch.inference_mode():
        sound = Sound(whisper, encode(whisper, features))
        together = search(whisper, sound, tokens, 3)
        alone = [search(whisper, sound.only([index]), tokens, 3)[0] for index in range(5)]
    assert [window.tokens for window in together] == [window.tokens for window in alone]


@pytest.mark.parametrize("from_doubt", [True, False])
def test_where_no_number_is_one_the_text_stops_without_an_end(from_doubt: bool) -> None:
    """As where half precision overflows in the decoder: that is one window's bad luck, and not the end of the process."""
    whisper = network(0)
    tokens = decoding_tokens(whisper.generation_config, "en", POSITIONS)
    with torch.no_grad():
        encoded = encode(whisper, spectrograms(2))
        encoded[1] = math.nan
        alone = search(whisper, Sound(whisper, encoded[:1]), tokens, 3, from_doubt=from_doubt)
        sound, broken = search(whisper, Sound(whisper, encoded), tokens, 3, from_doubt=from_doubt)
    assert sound.tokens == alone[0].tokens
    assert (broken.tokens, broken.truncated) == ((), True)
