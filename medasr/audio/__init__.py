"""Any recording as 16 kHz mono samples, and the facts about it."""

from medasr.audio.normalization import AudioHeader, AudioLimits, inspect, let_go, normalize, read_normalized

__all__ = ["AudioHeader", "AudioLimits", "inspect", "let_go", "normalize", "read_normalized"]
