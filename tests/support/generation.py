"""What transformers' own greedy ``generate`` writes under the rules that ours follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig, GenerationMixin
from transformers.generation.logits_process import (
    LogitsProcessorList,
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
    WhisperTimeStampLogitsProcessor,
)
from transformers.modeling_outputs import BaseModelOutput

from medasr.whisper.context import encode
from medasr.whisper.decoding import DecodedWindow

if TYPE_CHECKING:
    from medasr.whisper.decoding import DecodingTokens


def generated(
    whisper: Any, features: torch.Tensor, tokens: DecodingTokens, *, timestamps: bool = True
) -> list[DecodedWindow]:
    """What transformers decodes in one pass (Whisper's own ``generate`` would go on where it thinks a window ended early).

    Full windows go through transformers' encoder, shorter ones, which it refuses, through ours.
    """
    prefix = list(tokens.prefix) if timestamps else [*tokens.prefix, tokens.no_timestamps]
    rules = [
        SuppressTokensLogitsProcessor(list(tokens.suppressed)),
        SuppressTokensAtBeginLogitsProcessor(list(tokens.suppressed_first), begin_index=len(prefix)),
    ]
    if timestamps:
        rules.append(WhisperTimeStampLogitsProcessor(whisper.generation_config, begin_index=len(prefix)))
    full = features.shape[-1] == 2 * whisper.model.encoder.embed_positions.num_embeddings
    sound = (
        {"inputs": features}
        if full
        else {"encoder_outputs": BaseModelOutput(last_hidden_state=encode(whisper, features))}
    )
    output = GenerationMixin.generate(
        whisper,
        **sound,
        generation_config=GenerationConfig(
            max_new_tokens=tokens.limit,
            eos_token_id=tokens.end,
            pad_token_id=tokens.end,
            decoder_start_token_id=tokens.prefix[0],
            output_scores=True,
            return_dict_in_generate=True,
        ),
        decoder_input_ids=torch.tensor([prefix] * len(features)),
        logits_processor=LogitsProcessorList(rules),
    )
    rows = output.sequences[:, len(prefix) :].tolist()
    likely = torch.stack(output.scores, dim=1).float().log_softmax(dim=-1)
    return [_window(row, likely[place], tokens.end) for place, row in enumerate(rows)]


def _window(row: list[int], likely: torch.Tensor, end: int) -> DecodedWindow:
    """One row up to its end; ``generate`` tells nothing of silence."""
    length = row.index(end) if end in row else len(row)
    values = [float(likely[place, token]) for place, token in enumerate(row[: length + 1])]
    return DecodedWindow(
        tokens=tuple(row[:length]),
        log_probabilities=tuple(values[:length]),
        end_log_probability=values[length] if length < len(row) else None,
        no_speech_probability=float("nan"),
    )
