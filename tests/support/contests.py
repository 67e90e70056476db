"""A home in which versions can be trained and judged without any weights: trainers and engines follow scripts, all else is real."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from daemon.engine.protocol import EngineOptions
from daemon.registry.serving import adapter_identity
from medasr.gate import judge
from medasr.packs import InstalledModel, locate
from medasr.types import ModelVersion
from tests.conftest import MODELS
from tests.support.adapters import make_files
from tests.support.engines import ScriptedEngine
from tests.support.trainers import done, scripted
from tests.support.trials import QUIET, misheard, said, trial

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.gate.contest import Contest
    from medasr.verdict import GateVerdict

SPOKEN = said(24)
TEXTS = {f"m{number:02}": text for number, text in enumerate(SPOKEN)}
#: The one sound without speech that the gate tries here.
HUM = "hum"
#: How many words the stock weights mishear.
STOCK_MISHEARS = 0.2


def heard(share: float) -> dict[str, str]:
    """What a model writes that mishears so many words, and keeps silent where nobody speaks."""
    return dict(zip(TEXTS, misheard(SPOKEN, share), strict=True)) | {HUM: ""}


def write_dataset(folder: Path) -> Path:
    """The recordings that belong to :data:`TEXTS`, noise really, and their manifest."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(1)
    lines = []
    for number, (name, text) in enumerate(TEXTS.items()):
        soundfile.write(folder / f"{name}.wav", 0.1 * noise.standard_normal(8000 + number), 16000)
        lines.append(json.dumps({"audio": f"{name}.wav", "text": text, "speaker": f"s{number % 3}"}))
    manifest = folder / "manifest.jsonl"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def anything_fits() -> ModuleType:
    """In place of :mod:`medasr.whisper.fit`, for adapters whose weights are no tensors."""
    module = ModuleType("medasr.whisper.fit")
    module.require_fit = lambda _base, _adapter: None  # type: ignore[attr-defined]
    return module


@dataclass
class Engines:
    """Makes engines of which each writes what its adapter's hash stands for; notes who was asked for what."""

    base: InstalledModel
    texts: dict[str, Mapping[str, str]] = field(default_factory=lambda: {"": heard(STOCK_MISHEARS)})
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, options: EngineOptions) -> ScriptedEngine:
        adapter = adapter_identity(options.model)
        version = ModelVersion(
            base_id=self.base.name,
            base_revision=self.base.revision,
            base_sha256=self.base.weights_sha256,
            adapter_sha256=adapter or None,
            precision="fp32",
        )
        asked = self.asked

        class Watched(ScriptedEngine):
            def submit(self, recording: str, pcm: Path, *, urgent: bool = False, terms: str = "") -> None:
                asked.append((adapter, recording))
                super().submit(recording, pcm, urgent=urgent, terms=terms)

            def stop(self) -> None:
                pass

        return Watched(self.texts[adapter], version=version)


@dataclass
class Workshop:
    """Trainers that come to what a test says."""

    folder: Path
    engines: Engines
    turns: list[list[object]] = field(default_factory=list)

    @property
    def notes(self) -> Path:
        """What the trainers were ordered."""
        return self.folder / "notes"

    def candidate(self, label: str, share: float) -> list[object]:
        """What a trainer says whose candidate mishears so many words. Its weights are the bytes of the label."""
        folder = self.folder / label / "candidate"
        if not folder.exists():
            make_files(folder, label, base=self.engines.base)
        self.engines.texts[weights_hash(label)] = heard(share)
        return [done(folder)]

    def command(self, *turns: list[object]) -> tuple[str, ...]:
        """A trainer that acts out one turn after the other."""
        self.folder.mkdir(exist_ok=True)
        self.notes.unlink(missing_ok=True)
        return scripted(self.notes, *turns)


def weights_hash(label: str) -> str:
    """Of the weights of a candidate of that label: the identity of its version."""
    return hashlib.sha256(label.encode()).hexdigest()


def version_of(label: str) -> str:
    """The name of that version."""
    return f"whisper-tiny.en-{weights_hash(label)[:8]}"


def use_scripts(engines: Engines, patch: Any = setattr) -> None:
    """Let this process's gate use the engines; ``patch`` is ``setattr`` or a monkeypatch's."""
    from daemon.evaluation import evaluation
    from daemon.gate import sounds

    patch(evaluation, "EngineHost", engines)
    patch(sounds, "make_sounds", lambda: [(HUM, np.full(4000, 0.001, dtype=np.float32))])


def judge_by_script(engines: Engines, patch: Any) -> None:
    """Let the gate judge by what the engines would write, without asking them; a tie is found as ever."""
    from daemon.gate import gate

    def judged(config: Config, contest: Contest, *_: object) -> GateVerdict:
        options = config.gate.strictness()
        if contest.identical:
            return judge([], (), options, identical=True)
        candidate = next(one for one in engines.texts if one and contest.candidate.endswith(one[:8]))
        sides = (engines.texts[one] for one in (contest.incumbent_sha256, candidate))
        before, after = ([texts[name] for name in TEXTS] for texts in sides)
        return judge([trial(before, after, SPOKEN)], QUIET, options)

    patch(gate, "_judged", judged)


def make_engines() -> Engines:
    """Engines for the tiny model, whose weights have to be installed, though nothing loads them."""
    return Engines(base=locate(MODELS, "whisper-tiny.en"))


def main() -> None:
    """``python -m tests.support.contests CONFIG SCRIPT [CRASH_POINT [SLOT]]``: run a learning cycle in a process of its own.

    Given the slot that it serves, it is a scheduled one. It says how it ended.
    """
    from daemon.config import load_config
    from daemon.crashpoint import VARIABLE
    from daemon.learning.cycle import learn
    from daemon.learning.task import training_request

    config, script = load_config(Path(sys.argv[1])), json.loads(Path(sys.argv[2]).read_text())
    os.environ[VARIABLE] = sys.argv[3] if len(sys.argv) > 3 else ""
    sys.modules["medasr.whisper.fit"] = anything_fits()
    engines = make_engines()
    engines.texts = script["texts"]
    use_scripts(engines)
    slot = datetime.fromisoformat(sys.argv[4]) if len(sys.argv) > 4 else None
    trigger = "scheduled" if slot else "manual"
    outcome = learn(config, training_request(config), trigger=trigger, slot=slot, command=script["command"])
    sys.stdout.write(json.dumps({"state": outcome.state, "reason": outcome.reason, "version": outcome.version}) + "\n")


if __name__ == "__main__":
    main()
