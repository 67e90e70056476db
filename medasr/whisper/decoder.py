"""Whisper's decoder, a few tokens at a time, over keys and values that are kept.

The computation is that of transformers' ``WhisperDecoder`` in evaluation mode, step by step over the network's own modules, so that
whatever sits in their place works: 4-bit weights, LoRA layers, merged weights. What differs is what is kept. The keys and values of
the encoded window are computed once. A row that is done makes room: a row from the end takes its place, so that at most one row is copied
for each that leaves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

#: From so many rows on the product from the left is faster, by type; below and for other types it is not. Measured with whisper-base.
_ROWS_FROM_THE_LEFT = {torch.bfloat16: 2, torch.float32: 4}

#: Places for text at the beginning; there are more when these are full.
_PLACES = 64
#: Up to so many queries are few, see :func:`_attended`.
_FEW_QUERIES = 32
#: Products of so many rows at a time: oneDNN keeps a program of half a megabyte for every shape that it has met.
_ROWS_TOGETHER = 4


class CachedDecoder:
    """The decoder of one batch of encoded windows, so many rows to each window; windows leave when they are done."""

    def __init__(self, network: Any, encoded: torch.Tensor, positions: int, *, beams: int = 1) -> None:
        """Compute the keys and values of encoded windows ``[windows, time, width]``.

        Given besides a WhisperForConditionalGeneration in evaluation mode, how many tokens a row is fed at most, prefix included, and how
        many texts are followed for a window: its rows stand side by side.
        """
        self._decoder = network.model.decoder
        self._projection = network.proj_out
        self._beams = beams
        self._position = 0
        self._layers = [_Layer(layer, encoded, positions, beams) for layer in self._decoder.layers]
        size = (len(encoded) * beams, network.config.vocab_size)
        self._scores = torch.empty(size, dtype=torch.float32, device=encoded.device)

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

    def asked(self, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What a layer asked the sound for in the last :meth:`advance`, and what it was asked.

        Return queries ``[windows, heads, n, head width]``, scaled, and keys ``[windows, heads, time, head width]``.
        """
        return self._layers[layer].asked, self._layers[layer].sound_keys

    def keep(self, windows: Sequence[int], parents: Sequence[int] | None = None) -> None:
        """Given which window stands at each place from now on, at most as many as there were: drop the others.

        Only what changes its place is copied: let the others stay where they are. Where several texts are followed for a window, given
        besides which row each row goes on from.
        """
        for layer in self._layers:
            layer.keep_sound(_moves(windows), len(windows))
            layer.keep_text(_moves(windows if parents is None else parents), len(windows) * self._beams, self._position)


class _Layer:
    """One layer of the decoder with its keys and values: of sound ``[windows, heads, time, head width]``, of text ``[rows, ...]``."""

    def __init__(self, layer: Any, encoded: torch.Tensor, positions: int, beams: int) -> None:
        self._layer = layer
        self._heads = int(layer.self_attn.num_heads)
        self.asked = encoded[:0]  #: queries of sound, of the last tokens
        windows, time, width = encoded.shape
        shape = (windows, self._heads, time, width // self._heads)
        self.sound_keys, self._sound_values = encoded.new_empty(shape), encoded.new_empty(shape)
        for window in range(windows):
            heard = encoded[window : window + 1]
            self.sound_keys[window] = self._split(layer.encoder_attn.k_proj(heard))[0]
            self._sound_values[window] = self._split(layer.encoder_attn.v_proj(heard))[0]
        self._positions = positions
        # Few numbers, for which a CPU's products in bf16 are slower than in fp32.
        kind = torch.float32 if encoded.device.type == "cpu" else encoded.dtype
        places = (windows * beams, self._heads, min(positions, _PLACES), shape[3])
        self._text_keys, self._text_values = encoded.new_empty(places, dtype=kind), encoded.new_empty(places, dtype=kind)

    def advance(self, hidden: torch.Tensor, position: int) -> torch.Tensor:
        layer = self._layer
        hidden = hidden + self._over_text(layer.self_attn_layer_norm(hidden), position)
        hidden = hidden + self._over_sound(layer.encoder_attn_layer_norm(hidden))
        inner = layer.activation_fn(layer.fc1(layer.final_layer_norm(hidden)))
        after: torch.Tensor = hidden + layer.fc2(inner)
        return after

    def keep_sound(self, moves: Sequence[tuple[int, int]], windows: int) -> None:
        for kept in (self.sound_keys, self._sound_values):
            for place, window in moves:
                kept[place] = kept[window]
        self.sound_keys, self._sound_values = self.sound_keys[:windows], self._sound_values[:windows]

    def keep_text(self, moves: Sequence[tuple[int, int]], rows: int, position: int) -> None:
        places, origins = [place for place, _ in moves], [row for _, row in moves]
        for kept in (self._text_keys, self._text_values):
            if moves:  # all are read before any is written: a row may go on from one that itself is overwritten
                kept[places, :, :position] = kept[origins, :, :position]
        self._text_keys, self._text_values = self._text_keys[:rows], self._text_values[:rows]

    def _over_text(self, hidden: torch.Tensor, position: int) -> torch.Tensor:
        attention, count = self._layer.self_attn, hidden.shape[1]
        end = position + count
        if end > self._text_keys.shape[2]:
            self._text_keys, self._text_values = (self._grown(kept, end) for kept in (self._text_keys, self._text_values))
        self._text_keys[:, :, position:end] = self._split(attention.k_proj(hidden))
        self._text_values[:, :, position:end] = self._split(attention.v_proj(hidden))
        query = self._queries(attention, hidden).to(self._text_keys.dtype)
        keys, values = self._text_keys[:, :, :end], self._text_values[:, :, :end]
        return self._written(attention, _attended(query, keys, values, causal=count > 1).to(hidden.dtype))

    def _grown(self, kept: torch.Tensor, least: int) -> torch.Tensor:
        """With twice as many places for text, or as many as are needed, or as many as there are at most."""
        rows, heads, places, width = kept.shape
        larger = kept.new_empty((rows, heads, min(max(2 * places, least), self._positions), width))
        larger[:, :, :places] = kept
        return larger

    def _over_sound(self, hidden: torch.Tensor) -> torch.Tensor:
        attention = self._layer.encoder_attn
        asking = hidden.view(len(self.sound_keys), -1, hidden.shape[2])  # all rows of a window hear the same
        self.asked = self._queries(attention, asking)
        attended = _attended(self.asked, self.sound_keys, self._sound_values, causal=False)
        return self._written(attention, attended).view(hidden.shape)

    def _queries(self, attention: Any, hidden: torch.Tensor) -> torch.Tensor:
        # As in transformers the query is scaled before the product, not the product: in half precision that is not the same.
        return self._split(attention.q_proj(hidden) * attention.scaling)

    def _written(self, attention: Any, attended: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = attention.out_proj(attended.transpose(1, 2).flatten(2))
        return out

    def _split(self, states: torch.Tensor) -> torch.Tensor:
        """From ``[rows, time, width]`` to ``[rows, heads, time, head width]``."""
        rows, time, _width = states.shape
        return states.view(rows, time, self._heads, -1).transpose(1, 2)


def _attended(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, *, causal: bool) -> torch.Tensor:
    """What queries ``[rows, heads, n, head width]`` gather from values.

    For a few queries in bf16 torch's own way copies keys and values into another layout first, on a CPU: two products cost a sixth of it.
    """
    few = not causal and query.shape[2] <= _FEW_QUERIES
    if not (few and query.dtype == torch.bfloat16 and query.device.type == "cpu"):
        return torch.nn.functional.scaled_dot_product_attention(query, keys, values, is_causal=causal, scale=1.0)
    parts = zip(*(states.split(_ROWS_TOGETHER) for states in (query, keys, values)), strict=True)
    return torch.cat([_gathered(*part) for part in parts])


def _gathered(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    shares = torch.bmm(query.flatten(0, 1), keys.flatten(0, 1).transpose(1, 2)).softmax(dim=-1)
    return torch.bmm(shares, values.flatten(0, 1)).view(query.shape)


def _moves(origins: Sequence[int]) -> list[tuple[int, int]]:
    return [(place, origin) for place, origin in enumerate(origins) if place != origin]


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
