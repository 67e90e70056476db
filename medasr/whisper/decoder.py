"""Whisper's decoder, a few tokens at a time, over keys and values that are kept.

The computation is that of transformers' ``WhisperDecoder`` in evaluation mode, step by step over the network's own modules, so that
whatever sits in their place works: 4-bit weights, LoRA layers, merged weights. What differs is what is kept. The keys and values of
the encoded window are computed once. Those of the text have their places from the beginning, and a row that is done makes room: a
row from the end takes its place, so that at most one row is copied for each that leaves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

#: From so many rows on the product from the left is faster, by type; below and for other types it is not. Measured with whisper-base.
_ROWS_FROM_THE_LEFT = {torch.bfloat16: 2, torch.float32: 4}


class CachedDecoder:
    """The decoder of one batch of encoded windows, one row a window; rows leave when they are done."""

    def __init__(self, network: Any, encoded: torch.Tensor, positions: int) -> None:
        """Compute the keys and values of encoded windows ``[rows, time, width]``.

        Given besides a WhisperForConditionalGeneration in evaluation mode, and how many tokens a row is fed at most, prefix included.
        """
        self._decoder = network.model.decoder
        self._projection = network.proj_out
        self._rows = len(encoded)
        self._position = 0
        self._layers = [_Layer(layer, encoded, positions) for layer in self._decoder.layers]
        self._scores = torch.empty((self._rows, network.config.vocab_size), dtype=torch.float32, device=encoded.device)

    def advance(self, tokens: torch.Tensor) -> torch.Tensor:
        """Given the next tokens of every row ``[rows, n]``, return hidden states ``[rows, n, width]``.

        Several tokens at once are understood only at the beginning.
        """
        count = tokens.shape[1]
        hidden = self._decoder.embed_tokens(tokens)
        hidden = hidden + self._decoder.embed_positions(tokens, past_key_values_length=self._position)
        for layer in self._layers:
            hidden = layer.advance(hidden, self._position)
        self._position += count
        normalized: torch.Tensor = self._decoder.layer_norm(hidden)
        return normalized

    def scores(self, hidden: torch.Tensor) -> torch.Tensor:
        """Given hidden states of one position ``[rows, width]``, return the logits in fp32 ``[rows, vocabulary]``.

        They may be changed in place, and are overwritten by the next call.
        """
        return self._scores[: len(hidden)].copy_(_project(self._projection, hidden))

    def keep(self, rows: Sequence[int]) -> None:
        """Given which row stands at each place from now on, at most as many as there were: drop the others.

        Only the rows that change their place are copied: let the others stay where they are.
        """
        moves = [(place, row) for place, row in enumerate(rows) if place != row]
        self._rows = len(rows)
        for layer in self._layers:
            layer.keep(moves, self._rows, self._position)


class _Layer:
    """One layer of the decoder with its keys and values ``[rows, heads, time, head width]``."""

    def __init__(self, layer: Any, encoded: torch.Tensor, positions: int) -> None:
        self._layer = layer
        self._heads = int(layer.self_attn.num_heads)
        self._sound_keys = self._split(layer.encoder_attn.k_proj(encoded)).contiguous()
        self._sound_values = self._split(layer.encoder_attn.v_proj(encoded)).contiguous()
        shape = (*self._sound_keys.shape[:2], positions, self._sound_keys.shape[3])
        self._text_keys = self._sound_keys.new_empty(shape)
        self._text_values = self._sound_values.new_empty(shape)

    def advance(self, hidden: torch.Tensor, position: int) -> torch.Tensor:
        layer = self._layer
        hidden = hidden + self._over_text(layer.self_attn_layer_norm(hidden), position)
        hidden = hidden + self._over_sound(layer.encoder_attn_layer_norm(hidden))
        inner = layer.activation_fn(layer.fc1(layer.final_layer_norm(hidden)))
        after: torch.Tensor = hidden + layer.fc2(inner)
        return after

    def keep(self, moves: Sequence[tuple[int, int]], rows: int, position: int) -> None:
        for place, row in moves:
            self._sound_keys[place] = self._sound_keys[row]
            self._sound_values[place] = self._sound_values[row]
            self._text_keys[place, :, :position] = self._text_keys[row, :, :position]
            self._text_values[place, :, :position] = self._text_values[row, :, :position]
        self._sound_keys, self._sound_values = self._sound_keys[:rows], self._sound_values[:rows]
        self._text_keys, self._text_values = self._text_keys[:rows], self._text_values[:rows]

    def _over_text(self, hidden: torch.Tensor, position: int) -> torch.Tensor:
        attention, count = self._layer.self_attn, hidden.shape[1]
        end = position + count
        self._text_keys[:, :, position:end] = self._split(attention.k_proj(hidden))
        self._text_values[:, :, position:end] = self._split(attention.v_proj(hidden))
        return self._attend(
            attention, hidden, self._text_keys[:, :, :end], self._text_values[:, :, :end], causal=count > 1
        )

    def _over_sound(self, hidden: torch.Tensor) -> torch.Tensor:
        return self._attend(self._layer.encoder_attn, hidden, self._sound_keys, self._sound_values, causal=False)

    def _attend(
        self, attention: Any, hidden: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, *, causal: bool
    ) -> torch.Tensor:
        # As in transformers the query is scaled before the product, not the product: in half precision that is not the same.
        query = self._split(attention.q_proj(hidden) * attention.scaling)
        attended = torch.nn.functional.scaled_dot_product_attention(query, keys, values, is_causal=causal, scale=1.0)
        out: torch.Tensor = attention.out_proj(attended.transpose(1, 2).reshape(hidden.shape))
        return out

    def _split(self, states: torch.Tensor) -> torch.Tensor:
        """From ``[rows, time, width]`` to ``[rows, heads, time, head width]``."""
        rows, time, _width = states.shape
        return states.view(rows, time, self._heads, -1).transpose(1, 2)


def _project(projection: Any, hidden: torch.Tensor) -> torch.Tensor:
    """The logits of hidden states ``[rows, width]``.

    On a CPU, where most of a step may go into this one product, the weights are multiplied from the left: a product of few rows with a
    large matrix copies the matrix into another layout first.
    """
    plain = type(projection) is torch.nn.Linear and projection.bias is None and hidden.device.type == "cpu"
    if plain and len(hidden) >= _ROWS_FROM_THE_LEFT.get(hidden.dtype, len(hidden) + 1):
        return torch.mm(projection.weight, hidden.t()).t()
    logits: torch.Tensor = projection(hidden)
    return logits
