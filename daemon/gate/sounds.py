"""What a model writes where nobody speaks: sounds handed to it with the voice detector wide open.

In service the detector keeps nearly all such sounds from the model. The gate asks what happens on the day it is wrong: every sound
goes to the model, and only the guards of ``[quality]`` may withhold what it writes.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from daemon.evaluation.evaluation import workbench
from daemon.evaluation.hypotheses import Heard
from daemon.evaluation.run import transcribe
from medasr.dataset.utterance import Exclusion, Utterance
from medasr.errors import EngineError
from medasr.nonspeech import make_sounds
from medasr.types import SAMPLE_RATE
from medasr.verdict import Sound

if TYPE_CHECKING:
    from collections.abc import Callable

    from daemon.config import Config
    from daemon.evaluation.plan import EvaluationPlan

#: From this probability of speech on all is speech to the detector.
_WIDE_OPEN = 1e-9


@dataclass(frozen=True, kw_only=True)
class Sounds:
    """The sounds as a dataset without words; implements :class:`medasr.dataset.utterance.Dataset`."""

    folder: Path
    utterances: tuple[Utterance, ...]
    source: str = "sounds"
    exclusions: tuple[Exclusion, ...] = ()

    @property
    def sha256(self) -> str:
        """Of the recordings."""
        return hashlib.sha256("".join(one.audio_sha256 for one in self.utterances).encode()).hexdigest()

    def __len__(self) -> int:
        """How many there are."""
        return len(self.utterances)

    def __iter__(self) -> Iterator[Utterance]:
        """The sounds, ordered by name."""
        return iter(self.utterances)

    def open_audio(self, utterance: Utterance) -> BinaryIO:
        """The recording."""
        return (self.folder / utterance.audio_sha256).open("rb")


def words_on_sounds(
    config: Config, plan: EvaluationPlan, progress: Callable[[int, int], None], must_wait: Callable[[], bool]
) -> dict[str, int]:
    """Given any evaluation of a model, return how many words that model writes for each sound.

    Raise EngineError when it fails on one, and what :func:`transcribe` raises.
    """
    with _written() as sounds:
        speech = plan.engine.speech.model_copy(update={"threshold": _WIDE_OPEN})
        ids = tuple(one.id for one in sounds)
        own = replace(
            plan, dataset=sounds, ids=ids, heard=frozenset(), engine=replace(plan.engine, speech=speech), split_leaks=()
        )
        with workbench(own.engine, progress, must_wait) as bench:
            results = transcribe(config, own, bench)
        shutil.rmtree(config.paths.evaluations / own.key, ignore_errors=True)
    words = {}
    for name, result in results.items():
        if not isinstance(result, Heard):
            raise EngineError(
                f"the model fails on the sound {name!r}, which is just noise; `medasrd doctor` looks further"
            )
        words[name] = len(result.text.split())
    return words


def as_sounds(candidate: dict[str, int], other: dict[str, int] | None) -> tuple[Sound, ...]:
    """What the candidate wrote, and what serves where it was asked."""
    return tuple(
        Sound(name=name, words=words, words_before=other[name] if other else None)
        for name, words in sorted(candidate.items())
    )


@contextmanager
def _written() -> Iterator[Sounds]:
    """The sounds as files, for as long as they are needed."""
    import soundfile

    with tempfile.TemporaryDirectory(prefix="medasr-sounds-") as name:
        utterances = []
        for sound, samples in make_sounds():
            digest = hashlib.sha256(samples.tobytes()).hexdigest()
            soundfile.write(Path(name) / digest, samples, SAMPLE_RATE, format="WAV", subtype="FLOAT")
            utterances.append(
                Utterance(id=sound, reference="", speaker=None, prompt=None, part=None, audio_sha256=digest)
            )
        yield Sounds(folder=Path(name), utterances=tuple(sorted(utterances, key=lambda one: one.id)))
