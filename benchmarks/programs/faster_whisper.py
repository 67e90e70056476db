"""faster-whisper on the pack's own CTranslate2 files, in each way that could be its fastest. Greedy, without looking back, in English."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import ctranslate2
from benchmarks.options import cores
from benchmarks.programs.written import Transcribe, Written
from medasr.audio import read_normalized
from medasr.types import SAMPLE_RATE

if TYPE_CHECKING:
    from medasr.types import Waveform

BATCH = 8

#: Ways for short recordings: one after the other with voice activity and timestamps, or without either; several in a batch.
VOICE_ACTIVITY, PLAIN, TOGETHER = "voice activity", "plain", "together"
#: Ways for long ones: as openai-whisper goes through them after voice activity, or the pieces between pauses in batches.
SEQUENTIAL, BATCHED = "sequential", "batched"

SHORT_WAYS = (VOICE_ACTIVITY, PLAIN, TOGETHER)
LONG_WAYS = (SEQUENTIAL, BATCHED)

_GREEDY: dict[str, Any] = {"language": "en", "beam_size": 1, "temperature": 0.0, "condition_on_previous_text": False}


def load(model: str, precision: str) -> Transcribe:
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    loaded = WhisperModel(
        str(ctranslate2.folder(model)), device="cpu", compute_type=precision, cpu_threads=cores(), local_files_only=True
    )
    pipeline = BatchedInferencePipeline(loaded)

    def transcribe(recordings: Sequence[Path], way: str) -> list[Written]:
        waveforms = [np.array(read_normalized(pcm)) for pcm in recordings]
        if way == TOGETHER:
            return _together(pipeline, waveforms)
        if way == BATCHED:
            return [_gather(pipeline.transcribe(one, batch_size=BATCH, **_GREEDY)) for one in waveforms]
        if way == PLAIN:
            answers = [_gather(loaded.transcribe(one, without_timestamps=True, **_GREEDY)) for one in waveforms]
            return [Written(text=answer.text) for answer in answers]
        return [_gather(loaded.transcribe(one, vad_filter=True, **_GREEDY)) for one in waveforms]

    return transcribe


def _gather(answer: Any) -> Written:
    segments = list(answer[0])
    return Written(
        text=" ".join(segment.text.strip() for segment in segments),
        spans=tuple((segment.start, segment.end) for segment in segments),
    )


def _together(pipeline: Any, waveforms: Sequence[Waveform]) -> list[Written]:
    """Recordings of less than 30 s as clips of one: the only way to have several of them in a batch."""
    ends = np.cumsum([len(one) for one in waveforms]) / SAMPLE_RATE
    starts = [0.0, *ends[:-1].tolist()]
    clips = [{"start": start, "end": end} for start, end in zip(starts, ends.tolist(), strict=True)]
    segments, _ = pipeline.transcribe(np.concatenate(waveforms), clip_timestamps=clips, batch_size=BATCH, **_GREEDY)
    texts: list[list[str]] = [[] for _ in waveforms]
    for segment in segments:
        middle = (segment.start + segment.end) / 2
        texts[min(int(np.searchsorted(ends, middle)), len(texts) - 1)].append(segment.text.strip())
    return [Written(text=" ".join(parts)) for parts in texts]
