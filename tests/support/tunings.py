"""A tuning as `medasrd tune` stores it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.tuning.machine import this_machine
from daemon.tuning.setting import Outcome, Setting, wishes_of
from daemon.tuning.tuning import Tuning
from tests.support.stores import NOW

if TYPE_CHECKING:
    from daemon.config import Config

UNTUNED = Setting(precision="fp32", batch_size=8, threads=0)


def outcome(setting: Setting, ratio: float | None, rejected: str = "") -> Outcome:
    """A setting that was measured to be so many times as fast as the untuned one; None: it did not run."""
    ran = ratio is not None
    return Outcome(
        setting=setting,
        seconds=10 / ratio if ratio else None,
        ratio=ratio,
        word_error_rate=12.0 if ran else None,
        other_words=0.5 if ran else None,
        rejected=rejected,
    )


def make_tuning(config: Config, setting: Setting, *, base_sha256: str, ratio: float = 1.8) -> Tuning:
    """A tuning of this machine and configuration that chose the setting, held against fp32."""
    return Tuning(
        at=NOW,
        base_id=config.model.base,
        base_sha256=base_sha256,
        adapter_sha256="",
        machine=this_machine(),
        wishes=wishes_of(config.model),
        device="cpu",
        audio_seconds=230.0,
        untuned=UNTUNED,
        setting=setting,
        outcomes=(outcome(UNTUNED, 1.0), outcome(setting, ratio)),
    )
