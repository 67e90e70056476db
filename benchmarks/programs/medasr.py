"""medasr, as the model child of the daemon runs it: voice activity, windows of all recordings in one pool, guards, words of terms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.homes import temporary_home
from benchmarks.options import cores
from benchmarks.programs.written import Transcribe, Written
from daemon.engine.child import load_recognizer
from daemon.engine.engine import Engine
from daemon.engine.options import engine_options
from daemon.engine.protocol import Completed, Reply
from daemon.engine.protocol import Transcribe as Request

if TYPE_CHECKING:
    from medasr.types import Transcript


def load(model: str, adapter: str) -> Transcribe:
    """``adapter`` as the configuration has it: "serving", or empty for the stock weights."""
    with temporary_home(model={"base": model, "adapter": adapter, "threads": cores()}) as config:
        options = engine_options(config)
        recognizer = load_recognizer(options)

    def transcribe(recordings: Sequence[Path], _way: str) -> list[Written]:
        finished: dict[str, Transcript] = {}

        def note(reply: Reply) -> None:
            if isinstance(reply, Completed):
                finished[reply.id] = reply.transcript

        engine = Engine(recognizer, options.model.batch_size, note)
        for number, pcm in enumerate(recordings):
            engine.accept(Request(id=str(number), pcm=pcm))
        while not engine.idle:
            engine.step()
        return [_written(finished[str(number)]) for number in range(len(recordings))]

    return transcribe


def _written(transcript: Transcript) -> Written:
    spans = tuple((segment.start, segment.end) for segment in transcript.segments)
    return Written(text=transcript.text, spans=spans)
