"""Speech that comes with the package: invented texts, synthetic voices, exact references."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from medasr.errors import ConfigurationError

SPEECH_LANGUAGE = "en"  #: of all of them, ISO 639-1
UNLIKE = "unlike"  #: speech unlike any training data; the gate's measure of general speech
REHEARSAL = "rehearsal"  #: heard in training so that general speech is not forgotten; never measured on
PRACTICE = "practice"  #: sentences in many accents, most of them complaints of patients, that the decoder learns from

_NAMES = (REHEARSAL, PRACTICE, UNLIKE)


def path_of(name: str) -> Path:
    """The manifest of the set of that name, as :func:`medasr.dataset.loading.load_dataset` takes it.

    Raise ConfigurationError when there is no such set.
    """
    manifest = Path(str(files("medasr"))) / "data" / "speech" / name / "manifest.jsonl"
    if name not in _NAMES or not manifest.is_file():
        raise ConfigurationError(f"{name} is no speech set of this package; known are: {', '.join(_NAMES)}")
    return manifest
