"""Whisper's decoder, a few tokens at a time, over keys and values that are kept.

The computation is that of transformers' ``WhisperDecoder`` in evaluation mode, step by step over the network's own modules, so that
whatever sits in their place works: 4-bit weights, LoRA layers, merged weights. What differs is what is kept. The keys and values of
the encoded window are computed once. Rows that are done leave; of the others only those are copied that change their place, and of these only
the places that hold text.
"""

from __future__ import annotations

import copy
import itertools
from typing import TYPE_CHECKING, Any

import torch

from medasr.whisper.attention import attend, lie_by_feature, room_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    #: Rows, and the keys and values of their windows.
    _Heard = tuple[slice, torch.Tensor, torch.Tensor]

#: Places for text at the beginning, and for how much more there is room when these are full.
_PLACES, _FURTHER = 64, 32


class Sound:
    """The keys and values of encoded windows in every layer of the decoder, computed once for all that is written of them."""

    def __init__(self, network: Any, encoded: torch.Tensor) -> None:
        """Given a WhisperForConditionalGeneration in evaluation mode, and encoded windows ``[windows, time, width]``."""
        attentions = [layer.encoder_attn for layer in network.model.decoder.layers]
        self.keys, self.values = (
            [_by_heads(getattr(attention, name), encoded, attention.num_heads) for attention in attentions]
            for name in ("k_proj", "v_proj")
        )  #: of each layer ``[windows, heads, time, head width]``
        self.windows = list(range(len(encoded)))  #: which of them are heard, in this order
        self.device, self.type = encoded.device, encoded.dtype

    def __len__(self) -> int:
        """How many windows are heard."""
        return len(self.windows)

    @property
    def time(self) -> int:
        """Encoded positions of a window."""
        return int(self.keys[0].shape[2])

    def only(self, places: Sequence[int]) -> Sound:
        """Some of these windows, in this order.

        On a CPU nothing is copied: what lies side by side is computed together. A GPU is told of all windows at once, side by side.
        """
        some = copy.copy(self)
        some.windows = [self.windows[place] for place in places]
        if self.device.type != "cpu" and some.windows != list(range(len(self.keys[0]))):
            some.keys, some.values = ([one[some.windows] for one in kept] for kept in (self.keys, self.values))
            some.windows = list(range(len(places)))
        return some


class CachedDecoder:
    """The decoder of one batch of encoded windows, a row for each text of a window; windows leave when they are done."""

    def __init__(self, network: Any, sound: Sound, positions: int, *, most_texts: int = 1) -> None:
        """Begin a text for every window.

        Given a WhisperForConditionalGeneration in evaluation mode, what is heard, how many tokens a row is fed at most, prefix included, and
        how many texts a window comes to have at most: their rows stand side by side.
        """
        self._decoder = network.model.decoder
        self._projection = network.proj_out
        self._position = 0
        self._sound, self._runs = sound, runs_of(sound.windows, [1] * len(sound))
        rows = len(sound) * most_texts
        self._layers = [_Layer(layer, rows, positions, sound) for layer in self._decoder.layers]
        self._scores = torch.empty((rows, network.config.vocab_size), dtype=torch.float32, device=sound.device)

    def advance(self, tokens: torch.Tensor) -> torch.Tensor:
        """Given the next tokens of every row ``[rows, n]``, return hidden states ``[rows, n, width]``.

        Several tokens at once are understood only at the beginning.
        """
        count = tokens.shape[1]
        hidden = self._decoder.embed_tokens(tokens)
        hidden = hidden + self._decoder.embed_positions(tokens, past_key_values_length=self._position)
        for number, layer in enumerate(self._layers):
            keys, values = self._sound.keys[number], self._sound.values[number]
            heard = [(rows, keys[windows], values[windows]) for rows, windows in self._runs]
            hidden = layer.advance(hidden, self._position, heard)
        self._position += count
        normalized: torch.Tensor = self._decoder.layer_norm(hidden)
        return normalized

    def scores(self, hidden: torch.Tensor) -> torch.Tensor:
        """Given hidden states of one position ``[rows, width]``, return the logits in fp32 ``[rows, vocabulary]``.

        They may be changed in place, and are overwritten by the next call.
        """
        return self._scores[: len(hidden)].copy_(self._projection(hidden))

    def asked(self, layer: int) -> torch.Tensor:
        """What a layer asked the sound for in the last :meth:`advance`: queries ``[rows, heads, n, head width]``, scaled."""
        return self._layers[layer].asked

    def keep(self, windows: Sequence[int], texts: Sequence[Sequence[int]] | None = None) -> None:
        """Given which window stands at each place from now on, at most as many as there were: drop the others.

        Only what changes its place is copied: let the others stay where they are. Where windows have several texts, given besides for each of
        them which rows its texts go on from.
        """
        texts = [[window] for window in windows] if texts is None else texts
        self._sound = self._sound.only(windows)
        self._runs = runs_of(self._sound.windows, [len(rows) for rows in texts])
        origins = list(itertools.chain.from_iterable(texts))
        for layer in self._layers:
            layer.keep(origins, self._position)


def runs_of(windows: Sequence[int], texts: Sequence[int]) -> list[tuple[slice, slice]]:
    """Rows of windows that lie side by side and have as many texts each, and these windows."""
    firsts = [
        place
        for place, window in enumerate(windows)
        if place == 0 or window != windows[place - 1] + 1 or texts[place] != texts[place - 1]
    ]
    rows = [0, *itertools.accumulate(texts)]
    return [
        (slice(rows[first], rows[last]), slice(windows[first], windows[first] + last - first))
        for first, last in itertools.pairwise([*firsts, len(windows)])
    ]


class _Layer:
    """One layer of the decoder with the keys and values of its text ``[rows, heads, time, head width]``."""

    def __init__(self, layer: Any, rows: int, positions: int, sound: Sound) -> None:
        self._layer = layer
        self._heads = int(layer.self_attn.num_heads)
        self._positions = positions
        self.asked = sound.keys[0][:0]  #: queries of sound, of the last tokens
        shape = (rows, self._heads, min(positions, _PLACES), sound.keys[0].shape[3])
        self._text_keys, self._text_values = (sound.keys[0].new_empty(shape) for _ in range(2))

    def advance(self, hidden: torch.Tensor, position: int, heard: Sequence[_Heard]) -> torch.Tensor:
        layer = self._layer
        hidden = hidden + self._over_text(layer.self_attn_layer_norm(hidden), position)
        hidden = hidden + self._over_sound(layer.encoder_attn_layer_norm(hidden), heard)
        inner = layer.activation_fn(layer.fc1(layer.final_layer_norm(hidden)))
        after: torch.Tensor = hidden + layer.fc2(inner)
        return after

    def keep(self, origins: Sequence[int], position: int) -> None:
        moves = [(place, origin) for place, origin in enumerate(origins) if place != origin]
        places, rows_moved = [place for place, _ in moves], [row for _, row in moves]
        for kept in (self._text_keys, self._text_values):
            if moves:  # all are read before any is written: a row may go on from one that itself is overwritten
                kept[places, :, :position] = kept[rows_moved, :, :position]

    def _over_text(self, hidden: torch.Tensor, position: int) -> torch.Tensor:
        attention, (rows, count, _) = self._layer.self_attn, hidden.shape
        end = position + count
        if end > self._text_keys.shape[2]:
            self._text_keys, self._text_values = (
                self._grown(kept, rows, end) for kept in (self._text_keys, self._text_values)
            )
        self._text_keys[:rows, :, position:end] = self._split(attention.k_proj(hidden))
        self._text_values[:rows, :, position:end] = self._split(attention.v_proj(hidden))
        query = self._split(_asking(attention, hidden))
        keys, values = self._text_keys[:rows, :, :end], self._text_values[:rows, :, :end]
        attended = attend(query, keys, values, causal=count > 1)
        written: torch.Tensor = attention.out_proj(_joined(attended))
        return written

    def _grown(self, kept: torch.Tensor, rows: int, least: int) -> torch.Tensor:
        """With more places for text, or as many as are needed, or as many as there are at most; only so many rows hold any."""
        most, heads, places, width = kept.shape
        larger = kept.new_empty((most, heads, min(max(places + _FURTHER, least), self._positions), width))
        larger[:rows, :, :places] = kept[:rows]
        return larger

    def _over_sound(self, hidden: torch.Tensor, heard: Sequence[_Heard]) -> torch.Tensor:
        attention = self._layer.encoder_attn
        asking = _asking(attention, hidden)
        self.asked = self._split(asking)
        attended = []
        for rows, keys, values in heard:  # all texts of a window hear the same
            together = self._split(asking[rows].reshape(len(keys), -1, hidden.shape[2]))
            attended.append(_joined(attend(together, keys, values, causal=False)).view(-1, *hidden.shape[1:]))
        written: torch.Tensor = attention.out_proj(torch.cat(attended))
        return written

    def _split(self, states: torch.Tensor) -> torch.Tensor:
        """From ``[rows, time, width]`` to ``[rows, heads, time, head width]``."""
        rows, time, _width = states.shape
        return states.view(rows, time, self._heads, -1).transpose(1, 2)


def _asking(attention: Any, hidden: torch.Tensor) -> torch.Tensor:
    # As in transformers the query is scaled before the product, not the product: in half precision that is not the same.
    scaled: torch.Tensor = attention.q_proj(hidden) * attention.scaling
    return scaled


def _joined(attended: torch.Tensor) -> torch.Tensor:
    """From ``[rows, heads, time, head width]`` to ``[rows, time, width]``."""
    return attended.transpose(1, 2).flatten(2)


def _by_heads(projection: Any, encoded: torch.Tensor, heads: int) -> torch.Tensor:
    """What a projection makes of each window, ``[windows, heads, time, head width]``."""
    windows, time, _width = encoded.shape
    made = room_for(encoded, windows, heads, time)
    together = 1 if encoded.device.type == "cpu" else windows  # few shapes: see attention.py
    for first in range(0, windows, together):
        some = slice(first, first + together)
        product = projection(encoded[some])
        if lie_by_feature(made):  # a whole matrix of one window to be transposed, which torch does in blocks
            made[first].transpose(1, 2).flatten(0, 1).copy_(product[0].t())
        else:
            made[some] = product.unflatten(2, (heads, -1)).transpose(1, 2)
    return made
