"""What errors that nobody raises on purpose mean to a training."""

from __future__ import annotations

import errno

from medasr.errors import MedasrError, TrainingError, TrainingFailure, TransientError


def system_trouble(error: OSError) -> MedasrError:
    """What an error of the system means: a full disk has a reason of its own, all else may pass."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return TrainingError(
            "the disk is full; make room (paths.state) and start the training again, it goes on from its checkpoint",
            TrainingFailure.DISK_FULL,
        )
    return TransientError(
        f"the training met an error of the system ({error.strerror}); try again, it goes on from there"
    )


def memory_trouble() -> TrainingError:
    """Memory ran out where a batch cannot be cut: while something is loaded, rehearsed or measured."""
    return TrainingError(
        "memory does not suffice for what a training measures beside learning; free some, lower model.batch_size, or train a "
        "smaller model (model.base)",
        TrainingFailure.OUT_OF_MEMORY,
    )
