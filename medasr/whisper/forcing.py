"""What the decoder makes of whole texts that are given to it, rather than written by it (teacher forcing).

The computation is that of transformers' ``WhisperDecoder`` without a cache and without dropout, over the network's own modules. Gradients flow.
"""

from __future__ import annotations

from typing import Any

import torch

from medasr.whisper.attention import written


def read_texts(network: Any, tokens: torch.Tensor, encoded: torch.Tensor) -> torch.Tensor:
    """The decoder's states at every token of texts, each of which sees the sound and the tokens before it.

    Given a WhisperForConditionalGeneration, tokens ``[rows, n]`` from the prefix on and encoded windows ``[rows, time, width]``, return
    ``[rows, n, width]``: the output projection makes of each the logits of the next token.
    """
    decoder = network.model.decoder
    hidden = decoder.embed_tokens(tokens) + decoder.embed_positions(tokens)
    for layer in decoder.layers:
        text = layer.self_attn_layer_norm(hidden)
        hidden = hidden + written(layer.self_attn, text, text, causal=True)
        hidden = hidden + written(layer.encoder_attn, layer.encoder_attn_layer_norm(hidden), encoded, causal=False)
        hidden = hidden + layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(hidden))))
    states: torch.Tensor = decoder.layer_norm(hidden)
    return states
