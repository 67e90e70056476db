"""whisper.cpp through pywhispercpp, in half precision. Greedy, without looking back or trying again, in English."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.options import cores
from benchmarks.programs.ggml import ggml_file
from benchmarks.programs.written import SHORT, Transcribe, Written
from medasr.audio import read_normalized

#: Segments' times come in hundredths of a second.
_TIME_STEP = 0.01


def load(model: str) -> Transcribe:
    from pywhispercpp.model import Model

    loaded = Model(
        str(ggml_file(model)),
        redirect_whispercpp_logs_to=None,
        n_threads=cores(),
        language="en",
        greedy={"best_of": 1},
        temperature_inc=0.0,
        print_progress=False,
    )

    def transcribe(recordings: Sequence[Path], way: str) -> list[Written]:
        written = []
        for pcm in recordings:
            segments = loaded.transcribe(np.array(read_normalized(pcm)), no_timestamps=way == SHORT)
            timed = segments if way != SHORT else []
            spans = tuple((segment.t0 * _TIME_STEP, segment.t1 * _TIME_STEP) for segment in timed)
            written.append(Written(text=" ".join(segment.text for segment in segments), spans=spans))
        return written

    return transcribe
