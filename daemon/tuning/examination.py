"""What the doctor says about precision, batch and threads: which are used, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.finding import Finding
from daemon.registry.serving import resolve
from daemon.tuning.setting import Setting
from daemon.tuning.tuning import misfit, read
from medasr.errors import MedasrError

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.tuning.setting import Precision
    from daemon.tuning.tuning import Tuning

_REMEDY = "medasrd tune"


def check_setting(config: Config, precision: Precision, device: str) -> Finding:
    """How the model that serves is loaded, given the precision without any tuning and the kind of device, cpu or cuda."""
    untuned = Setting(precision=precision, batch_size=config.model.batch_size, threads=config.model.threads)
    tuning = read(config.paths.state)
    if tuning is None:
        text = f"{in_words(untuned, device)}; whether another is faster here was not measured"
        return Finding(level="ok", subject="precision", text=text, remedy=f"{_REMEDY} (some minutes)")
    try:
        reason = misfit(config, tuning, resolve(config).base)
    except MedasrError as error:
        return Finding(level="problem", subject="precision", text=str(error))
    if not reason and tuning.device != device:
        reason = f"it was for {tuning.device}"
    if reason:
        text = f"{in_words(untuned, device)}; what was tuned on {tuning.at:%Y-%m-%d} does not hold: {reason}"
        return Finding(level="warning", subject="precision", text=text, remedy=f"{_REMEDY} again")
    text = f"{in_words(tuning.setting, device)}; tuned on {tuning.at:%Y-%m-%d}: {advantage(tuning)}"
    return Finding(level="ok", subject="precision", text=text)


def in_words(setting: Setting, device: str) -> str:
    """A setting as a person reads it: ``bf16 on cpu, batches of 8, 2 threads``."""
    parts = [f"{setting.precision} on {device}", f"batches of {setting.batch_size}"]
    if device == "cpu":
        number = setting.threads
        parts.append("a thread per core" if not number else "1 thread" if number == 1 else f"{number} threads")
    return ", ".join(parts)


def advantage(tuning: Tuning) -> str:
    """What the tuned setting brings, in words."""
    own, untuned = tuning.outcome(tuning.setting), tuning.outcome(tuning.untuned)
    parts = []
    if tuning.setting.precision != "fp32" and tuning.over_fp32 is not None:
        parts.append(f"{tuning.over_fp32:.1f} times as fast as fp32")
    usual = f"untuned ({in_words(tuning.untuned, tuning.device)})"
    if tuning.setting == tuning.untuned:
        parts.append("nothing else that was tried is faster")
    elif untuned is not None and untuned.rejected:
        parts.append(f"{usual} {untuned.rejected}")
    elif own is not None and own.ratio is not None:
        parts.append(f"{own.ratio:.1f} times as fast as {usual}")
    return ", ".join(parts)
