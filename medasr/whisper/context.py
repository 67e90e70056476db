"""Encoding windows shorter than 30 s, so that only speech is paid for.

Whisper's encoder learned positions for 30 s and transformers insists on all of them. It computes as well over the first few: the
positions of a shorter window are the beginning of the others. A stock model writes worse for it and has to be trained with windows
of all lengths first; what a model was trained for, its adapter's manifest declares.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from medasr.types import WINDOW_SECONDS
from medasr.whisper.attention import written

#: Windows are computed in lengths of so many seconds, so that a batch seldom waits for its longest.
STEP_SECONDS = 5.0
#: Silence that follows the speech at least: without any the model does not know that a sentence has ended.
TAIL_SECONDS = 1.0


def encode(network: Any, features: torch.Tensor) -> torch.Tensor:
    """Encode a batch of windows of any one length.

    Given a WhisperForConditionalGeneration, stock, quantized or with LoRA layers within, and log-mel features ``[batch, mel, frames]``
    of an even number of at most 3000 frames, return hidden states ``[batch, frames / 2, width]``. Gradients flow. For 3000 frames
    this is what the network's own encoder gives, but for what bf16 rounds on a CPU. Raise ValueError for an odd or larger number of frames.
    """
    encoder = network.model.encoder
    frames = features.shape[-1]
    if frames % 2 or frames > 2 * encoder.embed_positions.num_embeddings:
        raise ValueError(
            f"{frames} frames; a window has an even number of at most {2 * encoder.embed_positions.num_embeddings}"
        )
    hidden = torch.nn.functional.gelu(encoder.conv1(features))
    hidden = torch.nn.functional.gelu(encoder.conv2(hidden)).permute(0, 2, 1)
    hidden = hidden + encoder.embed_positions(torch.arange(frames // 2, device=hidden.device))
    for layer in encoder.layers:
        hidden = _encoded_by(layer, hidden)
    encoded: torch.Tensor = encoder.layer_norm(hidden)
    return encoded


def _encoded_by(layer: Any, hidden: torch.Tensor) -> torch.Tensor:
    """What a layer of the encoder makes of hidden states ``[batch, time, width]`` without dropout, over its modules as transformers does."""
    normalized = layer.self_attn_layer_norm(hidden)
    hidden = hidden + written(layer.self_attn, normalized, normalized, causal=False)
    hidden = hidden + layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(hidden))))
    if hidden.dtype == torch.float16:
        most = torch.finfo(torch.float16).max - 1000
        hidden = hidden.clamp(min=-most, max=most)
    return hidden


def context_seconds(longest: float, floor: float) -> float:
    """How long the windows of a batch are computed, in seconds.

    Given the length of the longest and the shortest context that the model was trained for, return the next step that leaves room
    for a tail of silence: at least the floor, at most 30 s.
    """
    steps = math.ceil((longest + TAIL_SECONDS) / STEP_SECONDS)
    return min(max(steps * STEP_SECONDS, floor), WINDOW_SECONDS)
