"""The packages by which figures are told apart."""

from __future__ import annotations

from importlib.metadata import version

_PACKAGES = ("medasr", "torch", "transformers", "peft", "bitsandbytes", "librosa", "soundfile", "jiwer")


def package_versions() -> dict[str, str]:
    """The packages that decide what is written and how it is counted."""
    return {name: version(name) for name in _PACKAGES}
