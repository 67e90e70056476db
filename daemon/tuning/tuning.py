"""What was measured, kept in the home, and the place where it decides how a model is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter, ValidationError

from daemon.tuning.machine import Machine, this_machine
from daemon.tuning.setting import Outcome, Setting, Wishes, wishes_of

if TYPE_CHECKING:
    from daemon.config import Config

FILE = "tuned.json"


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """The fastest setting, and all that it was measured on."""

    at: datetime
    base_id: str
    base_sha256: str
    adapter_sha256: str  #: empty for the stock weights; every adapter of the base is served alike
    machine: Machine
    wishes: Wishes
    device: Literal["cpu", "cuda"]
    audio_seconds: float
    untuned: Setting
    setting: Setting
    outcomes: tuple[Outcome, ...]

    def outcome(self, setting: Setting) -> Outcome | None:
        """What a setting was measured to be; None where it was not."""
        return next((one for one in self.outcomes if one.setting == setting), None)

    @property
    def over_fp32(self) -> float | None:
        """How many times as fast as fp32 the setting is, with batch and threads as untuned; None where that was not measured."""
        own = self.outcome(self.setting)
        exact = self.outcome(
            Setting(precision="fp32", batch_size=self.untuned.batch_size, threads=self.untuned.threads)
        )
        if own is None or own.ratio is None or exact is None or exact.ratio is None:
            return None
        return own.ratio / exact.ratio


_TUNING: TypeAdapter[Tuning] = TypeAdapter(Tuning)


def write(state: Path, tuning: Tuning) -> None:
    """Keep a tuning in a home's state, whole or not at all."""
    from medasr.whisper.manifest import write_durably

    write_durably(state / FILE, _TUNING.dump_json(tuning, indent=2) + b"\n")


def forget(state: Path) -> bool:
    """Remove what is kept; return whether there was anything."""
    try:
        (state / FILE).unlink()
    except FileNotFoundError:
        return False
    return True


def read(state: Path) -> Tuning | None:
    """What is kept; None where nothing is, or nothing that can be read here, e.g. since root tuned: it saves time, and nothing depends on it."""
    try:
        return _TUNING.validate_json((state / FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def misfit(config: Config, tuning: Tuning, base: str) -> str:
    """Why a tuning does not hold for a base, on this machine with this configuration, in words; empty where it does."""
    from medasr.packs import canonical_name, installed

    name = canonical_name(base)
    if [one.weights_sha256 for one in installed(config.paths.models) if one.name == name] != [tuning.base_sha256]:
        return f"it was measured with {tuning.base_id}"
    if tuning.wishes != wishes_of(config.model):
        return "precision, batch_size, threads or device of [model] were others"
    here = this_machine()
    for what, then, now in (
        ("processor", (tuning.machine.cpu, tuning.machine.features), (here.cpu, here.features)),
        ("number of cores", tuning.machine.cores, here.cores),
        ("graphics card", tuning.machine.gpus, here.gpus),
        ("version of torch", tuning.machine.torch, here.torch),
    ):
        if then != now:
            return f"the {what} was another"
    return ""


def fitting(config: Config, base: str) -> Tuning | None:
    """What is kept, if it holds for this base, machine and configuration."""
    tuning = read(config.paths.state)
    return tuning if tuning and not misfit(config, tuning, base) else None
