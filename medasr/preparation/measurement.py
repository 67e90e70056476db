"""What each recording of a dataset turns out to be, by the code that also serves."""

from __future__ import annotations

import errno
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import soundfile

from medasr.audio.normalization import BLOCK_SAMPLES, AudioLimits, normalize
from medasr.dataset.utterance import Dataset, Exclusion, ExclusionReason, Utterance
from medasr.errors import DatasetError, Reason, RecordingError, TransientError
from medasr.preparation.noise import Levels, measure_levels
from medasr.types import SAMPLE_RATE, AudioFacts

if TYPE_CHECKING:
    from numpy.typing import NDArray

Progress = Callable[[int, int | None], None]

#: Longer recordings are not measured at all; one of this length needs 230 MB of temporary space.
MAX_SECONDS = 3600.0

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_AHEAD = 4  # recordings that wait for each worker


@dataclass(frozen=True, kw_only=True)
class MeasuredUtterance:
    """An utterance and what its recording turned out to be."""

    utterance: Utterance
    facts: AudioFacts  #: of the original, as for a recording that is transcribed
    levels: Levels  #: of speech and noise, at the original gain
    mean_absolute: float  #: mean of abs(sample) of the original, 0..1: the energy that the notebook takes for noise

    @property
    def snr_db(self) -> float | None:
        """Speech over noise; None where no speech stands out or no noise is audible."""
        return self.levels.snr_db

    @property
    def is_normal(self) -> bool:
        """Whether the original is 16 kHz mono already."""
        return (self.facts.sample_rate, self.facts.channels) == (SAMPLE_RATE, 1)


def measure_all(
    dataset: Dataset, *, workers: int, progress: Progress | None = None
) -> tuple[list[MeasuredUtterance], list[Exclusion]]:
    """Measure every recording of a dataset.

    Given the number of threads (decoding and resampling leave the interpreter free), return the utterances that could be measured
    and the others with their reasons, both ordered by id. Only a few recordings are in work at a time, block by block. ``progress``
    hears how many are done, of how many. Raise TransientError when there is no temporary space.
    """
    measured: list[MeasuredUtterance] = []
    exclusions: list[Exclusion] = []
    pool = ThreadPoolExecutor(workers, thread_name_prefix="measurement")
    try:
        for done, outcome in enumerate(_in_order(pool, dataset, workers * _AHEAD), 1):
            if isinstance(outcome, Exclusion):
                exclusions.append(outcome)
            else:
                measured.append(outcome)
            if progress is not None:
                progress(done, len(dataset))
    finally:
        pool.shutdown(cancel_futures=True)
    return measured, exclusions


def measure(dataset: Dataset, utterance: Utterance) -> MeasuredUtterance | Exclusion:
    """Measure one recording, or say why that is impossible. Raise TransientError when there is no temporary space."""
    try:
        with dataset.open_audio(utterance) as recording, tempfile.TemporaryFile() as samples:
            facts = normalize(recording.fileno(), samples.fileno(), AudioLimits(max_seconds=MAX_SECONDS))
            waveform = np.memmap(samples, dtype="<f4", mode="r")
            return MeasuredUtterance(
                utterance=utterance,
                facts=facts,
                levels=measure_levels(waveform, facts.gain_db),
                mean_absolute=_mean_absolute(recording),
            )
    except DatasetError:
        return Exclusion(id=utterance.id, reason=ExclusionReason.NO_AUDIO)
    except RecordingError as error:
        long = error.reason is Reason.TOO_LONG
        reason = ExclusionReason.TOO_LONG if long else ExclusionReason.UNREADABLE
        return Exclusion(id=utterance.id, reason=reason, detail=str(error.reason))
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise TransientError(
                f"no room for temporary files in {tempfile.gettempdir()}; free some, or set TMPDIR"
            ) from error
        code = errno.errorcode.get(error.errno or 0, "OSError")
        return Exclusion(id=utterance.id, reason=ExclusionReason.UNREADABLE, detail=code)


def _in_order(pool: ThreadPoolExecutor, dataset: Dataset, ahead: int) -> Iterator[MeasuredUtterance | Exclusion]:
    """The outcomes in the dataset's order, with so many recordings submitted at a time."""
    waiting: deque[Future[MeasuredUtterance | Exclusion]] = deque()
    for utterance in dataset:
        if len(waiting) == ahead:
            yield waiting.popleft().result()
        waiting.append(pool.submit(measure, dataset, utterance))
    while waiting:
        yield waiting.popleft().result()


def _mean_absolute(recording: BinaryIO) -> float:
    """Of the mean of the channels, which is what the notebook looks at; the recording has been decoded before without error."""
    os.lseek(recording.fileno(), 0, os.SEEK_SET)
    total, frames = 0.0, 0
    with soundfile.SoundFile(recording.fileno(), closefd=False) as opened:
        for block in _blocks(opened):
            total += float(np.abs(block.mean(axis=1)).sum(dtype=np.float64))
            frames += len(block)
    return total / frames if frames else 0.0


def _blocks(opened: soundfile.SoundFile) -> Iterator[NDArray[np.float32]]:
    try:
        while len(block := opened.read(BLOCK_SAMPLES // opened.channels, dtype="float32", always_2d=True)):
            yield block
    except soundfile.LibsndfileError:  # the end of a FLAC stream of unknown length
        return
