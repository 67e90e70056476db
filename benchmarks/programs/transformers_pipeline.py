"""The pipeline of transformers, in batches, in bf16 where the processor has it. Long recordings in pieces of 30 s that overlap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.options import cores, installed
from benchmarks.programs.written import LONG, Transcribe, Written
from medasr.audio import read_normalized
from medasr.types import SAMPLE_RATE, WINDOW_SECONDS

BATCH = 8


def load(model: str) -> Transcribe:
    import torch
    from transformers import pipeline

    from medasr.whisper.model import cpu_has_bfloat16

    torch.set_num_threads(cores())
    loaded: Any = pipeline(
        "automatic-speech-recognition",
        model=str(installed(model).path),
        dtype=torch.bfloat16 if cpu_has_bfloat16() else torch.float32,
        device="cpu",
    )
    multilingual = loaded.model.generation_config.is_multilingual
    speech = {"language": "en", "task": "transcribe"} if multilingual else {}

    def transcribe(recordings: Sequence[Path], way: str) -> list[Written]:
        sounds = [{"raw": np.array(read_normalized(pcm)), "sampling_rate": SAMPLE_RATE} for pcm in recordings]
        # Without times the pipeline puts pieces together by what their texts have in common, and loses more.
        pieces = {"chunk_length_s": WINDOW_SECONDS, "return_timestamps": True, "ignore_warning": True}
        answers = loaded(sounds, batch_size=BATCH, generate_kwargs=speech, **(pieces if way == LONG else {}))
        return [_written(answer) for answer in answers]

    return transcribe


def _written(answer: dict[str, Any]) -> Written:
    times = [chunk["timestamp"] for chunk in answer.get("chunks", [])]
    return Written(
        text=answer["text"].strip(),
        spans=tuple((start, end) for start, end in times if start is not None and end is not None),
    )
