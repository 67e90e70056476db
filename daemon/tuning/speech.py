"""What settings are measured on: real windows, the same ones each time."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.decode.host import DecodeServer, decode_limits
from medasr.dataset.loading import load_dataset
from medasr.speech_sets import UNLIKE, path_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.config import Config


@dataclass(frozen=True, kw_only=True)
class Speech:
    """A recording whose text is known."""

    id: str
    samples: Path
    seconds: float
    reference: str


@contextmanager
def decoded_speech(config: Config, count: int) -> Iterator[list[Speech]]:
    """So many recordings that come with medasr and that no adapter has learned from, the shortest of the set, gone when this ends."""
    dataset = load_dataset(str(path_of(UNLIKE)), cache=config.paths.datasets)
    with tempfile.TemporaryDirectory(prefix="medasrd-") as name, DecodeServer() as decoder:
        found: list[Speech] = []
        for number, utterance in enumerate(dataset):
            samples = Path(name) / f"{number}"
            sink = os.open(samples, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                with dataset.open_audio(utterance) as source:
                    seconds = decoder.decode(source.fileno(), sink, decode_limits(config)).seconds
            finally:
                os.close(sink)
            found.append(Speech(id=utterance.id, samples=samples, seconds=seconds, reference=utterance.reference))
        yield sorted(found, key=lambda one: one.seconds)[:count]
