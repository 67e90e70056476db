"""Examples to learn from: the very windows that would be transcribed, on disk, with what is said in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medasr.audio import normalize, read_normalized
from medasr.dataset.utterance import Dataset, Exclusion, ExclusionReason
from medasr.errors import DatasetError, RecordingError
from medasr.speech import SpeechDetector, SpeechOptions, plan_windows
from medasr.types import SAMPLE_RATE, SpeechSpan

if TYPE_CHECKING:
    from medasr.types import Waveform


@dataclass(frozen=True, kw_only=True)
class Example:
    """A window of a recording and its text."""

    id: str
    samples: Path  #: of the whole recording, normalized
    window: SpeechSpan
    text: str  #: as published: the model learns how it is written, too

    @property
    def seconds(self) -> float:
        """The window's length."""
        return self.window.seconds

    def waveform(self) -> Waveform:
        """The window's samples, 16 kHz mono, shape ``[n]``; a copy."""
        first, last = (round(moment * SAMPLE_RATE) for moment in (self.window.start, self.window.end))
        return np.array(read_normalized(self.samples)[first:last])


def read_examples(
    dataset: Dataset,
    ids: Collection[str],
    folder: Path,
    options: SpeechOptions,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Example], list[Exclusion]]:
    """Decode utterances into a folder and find their speech, as the service does.

    Return the examples, ordered by id, and what cannot be one: recordings that cannot be decoded, in which nobody speaks, or whose
    speech does not fit into one window (their text cannot be divided). Memory does not grow with their number.
    """
    detector = SpeechDetector(options)
    wanted = set(ids)
    examples: list[Example] = []
    excluded: list[Exclusion] = []
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    done = 0
    for utterance in dataset:
        if utterance.id not in wanted:
            continue
        samples = folder / f"{done:06d}.f32"
        sink = os.open(samples, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with dataset.open_audio(utterance) as source:
                normalize(source.fileno(), sink)
            windows = plan_windows(detector.detect(read_normalized(samples)), options)
        except (RecordingError, DatasetError) as error:
            detail = str(error.reason) if isinstance(error, RecordingError) else ""
            excluded.append(Exclusion(id=utterance.id, reason=ExclusionReason.UNREADABLE, detail=detail))
            windows = None
        finally:
            os.close(sink)
        if windows is not None and len(windows) == 1:
            examples.append(Example(id=utterance.id, samples=samples, window=windows[0], text=utterance.reference))
        else:
            samples.unlink()
            if windows is not None:
                reason = ExclusionReason.TOO_LONG if windows else ExclusionReason.SILENT
                excluded.append(Exclusion(id=utterance.id, reason=reason, detail=f"{len(windows)} windows"))
        done += 1
        if progress:
            progress(done, len(wanted))
    return examples, excluded
