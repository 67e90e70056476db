"""Every error medasr raises on purpose; each class says what has to be done about it.

::

    MedasrError
    ├── TransientError            retry: the recording is fine, try again later (disk full, busy, out of memory)
    │   ├── EngineError           retry: the model process died, hung or ran out of memory
    │   └── SteppedAside          retry: a training makes room for recordings
    ├── RecordingError            quarantine: this recording cannot be transcribed; carries a Reason
    └── FatalError                stop: nothing can be done until a person mends it; the inbox stays untouched
        ├── ConfigurationError    exit 78
        ├── ModelError            weights missing, altered, unsafe or of the wrong kind
        │   └── PackUnavailable   neither the package index nor the hub could give the weights
        ├── DatasetError          the dataset cannot be read at all, or holds nothing to use
        ├── TrainingError         a training cannot go on or must not be used; what serves is untouched
        ├── NotComparable         two scores were not made the same way, so no difference is told
        ├── StoreError            database missing, newer than the program, or damaged; exit 10
        └── AlreadyRunning        another daemon holds this home; exit 75

An error's message names the file or option and the remedy, and never holds a transcript's text. Messages may name paths of the
installation; names of recordings belong to patients and appear in no message that is logged.
"""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """What the job boundary does about an error."""

    RETRY = "retry"
    QUARANTINE = "quarantine"
    STOP = "stop"


class Reason(StrEnum):
    """Why a recording was quarantined: stored, shown, and stable for programs to rely on."""

    NO_AUDIO = "NO_AUDIO"  # no samples at all
    TRUNCATED = "TRUNCATED"  # the header promises more than the file holds
    BAD_FORMAT = "BAD_FORMAT"  # not audio, or audio that libsndfile does not read
    BAD_RATE = "BAD_RATE"  # outside 4..384 kHz
    TOO_MANY_CHANNELS = "TOO_MANY_CHANNELS"  # more than 16
    TOO_LONG = "TOO_LONG"  # over intake.max_seconds
    NOT_FINITE = "NOT_FINITE"  # NaN or infinity among the samples
    DECODER_CRASHED = "DECODER_CRASHED"
    DECODER_TIMEOUT = "DECODER_TIMEOUT"
    DECODER_MEMORY = "DECODER_MEMORY"
    ENGINE_FAILED = "ENGINE_FAILED"  # the model process failed on this recording alone, every time
    LOST = "LOST"  # our copy is missing or no longer has its sha256
    ATTEMPTS = "ATTEMPTS"  # still failing after the last attempt
    CANCELLED = "CANCELLED"  # taken out of the queue by a person


class MedasrError(Exception):
    """Base of all errors raised on purpose."""

    action: Action = Action.STOP
    exit_code: int = 1


class TransientError(MedasrError):
    """The recording is fine; try again later."""

    action = Action.RETRY
    exit_code = 75


class EngineError(TransientError):
    """The model process died, hung or ran out of memory."""


class RecordingError(MedasrError):
    """This recording cannot be transcribed, now or later."""

    action = Action.QUARANTINE
    exit_code = 3

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class FatalError(MedasrError):
    """Nothing can be done until a person mends it."""


class ConfigurationError(FatalError):
    """The configuration is wrong; the message lists every problem found."""

    exit_code = 78


class ModelError(FatalError):
    """The weights are missing, altered, unsafe or of the wrong kind."""


class PackUnavailable(ModelError):  # noqa: N818 - reads as the state it reports
    """Neither the package index nor the hub could give the weights."""

    exit_code = 75


class DatasetError(FatalError):
    """The dataset cannot be read at all, or holds nothing that could be used; single bad entries are counted, never raised."""


class TrainingFailure(StrEnum):
    """Why nothing came of a training: stored, shown, and stable for programs to rely on."""

    NO_DATA = "NO_DATA"  # nothing, or too little, to learn from
    TOO_FEW_TERMS = "TOO_FEW_TERMS"  # too few medical terms among it to tell whether they get better
    LEAK = "LEAK"  # what is learned from is also what is tested
    NOT_FINITE = "NOT_FINITE"  # the loss or the gradients are no numbers
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    DISK_FULL = "DISK_FULL"
    LOAD_FAILED = "LOAD_FAILED"  # the same weights were to serve before, and could not be loaded here


class TrainingError(FatalError):
    """A training cannot begin or go on, or its result must not be used; what serves is untouched."""

    def __init__(self, message: str, failure: TrainingFailure) -> None:
        super().__init__(message)
        self.failure = failure


class SteppedAside(TransientError):  # noqa: N818 - reads as the state it reports
    """A training makes room; the same call goes on from its checkpoint."""


class NotComparable(FatalError):  # noqa: N818 - reads as the state it reports
    """Two scores were not made the same way (recipe, utterances or references differ), so no difference between them is told."""


class StoreError(FatalError):
    """The database is missing, newer than this program, or damaged."""

    exit_code = 10


class AlreadyRunning(FatalError):  # noqa: N818 - reads as the state it reports
    """Another daemon holds this home."""

    exit_code = 75
