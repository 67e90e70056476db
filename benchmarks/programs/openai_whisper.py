"""openai-whisper in float32, the only precision it has for processors. Greedy, without looking back, in English."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.options import cores
from benchmarks.programs.openai_weights import openai_weights
from benchmarks.programs.written import SHORT, Transcribe, Written
from medasr.audio import read_normalized


def load(model: str) -> Transcribe:
    import torch
    from whisper.model import ModelDimensions, Whisper

    torch.set_num_threads(cores())
    weights = openai_weights(model)
    sizes = weights.architecture
    loaded = Whisper(
        ModelDimensions(
            n_mels=sizes.num_mel_bins,
            n_audio_ctx=sizes.max_source_positions,
            n_audio_state=sizes.d_model,
            n_audio_head=sizes.encoder_attention_heads,
            n_audio_layer=sizes.encoder_layers,
            n_vocab=sizes.vocab_size,
            n_text_ctx=sizes.max_target_positions,
            n_text_state=sizes.d_model,
            n_text_head=sizes.decoder_attention_heads,
            n_text_layer=sizes.decoder_layers,
        )
    )
    loaded.load_state_dict(
        {name: torch.from_numpy(tensor.astype(np.float32)) for name, tensor in weights.tensors.items()}
    )
    loaded.eval()

    def transcribe(recordings: Sequence[Path], way: str) -> list[Written]:
        written = []
        for pcm in recordings:
            answer = loaded.transcribe(
                np.array(read_normalized(pcm)),
                language="en",
                temperature=0.0,
                condition_on_previous_text=False,
                without_timestamps=way == SHORT,
                fp16=False,
            )
            timed = answer["segments"] if way != SHORT else []
            spans = tuple((segment["start"], segment["end"]) for segment in timed)
            written.append(Written(text=answer["text"].strip(), spans=spans))
        return written

    return transcribe
