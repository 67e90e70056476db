"""Recordings in which nobody speaks, made by arithmetic: a model must write nothing for them.

Whisper is known to invent sentences on silence and noise, and a model that was tuned on short clips, each with a sentence in it, may
learn that there always is one. The same seed gives the same samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medasr.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from medasr.types import Waveform

    Signal = NDArray[np.float64]
    Maker = Callable[["Signal", np.random.Generator], "Signal"]

#: How long each is.
SECONDS = 10.0


def make_sounds(seed: int = 0) -> Iterator[tuple[str, Waveform]]:
    """Give each sound by its name: float32 at 16 kHz, within ±1, :data:`SECONDS` long."""
    times = np.arange(int(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    for number, (name, (level, make)) in enumerate(_SOUNDS.items()):
        sound = make(times, np.random.default_rng([seed, number]))
        peak = np.abs(sound).max()
        yield name, (sound * (level / peak if peak else 0.0)).astype(np.float32)


def _silence(times: Signal, _random: np.random.Generator) -> Signal:
    return np.zeros_like(times)


def _hum(times: Signal, random: np.random.Generator) -> Signal:
    """Mains, with harmonics, and a little noise of the room."""
    sound: Signal = 0.02 * random.standard_normal(len(times))
    for harmonic in range(1, 9):
        sound += np.sin(2 * np.pi * 50 * harmonic * times + harmonic) / harmonic**1.5
    return sound


def _hiss(times: Signal, random: np.random.Generator) -> Signal:
    return random.standard_normal(len(times))


def _ventilation(times: Signal, random: np.random.Generator) -> Signal:
    """Noise that falls with frequency, swelling slowly."""
    return _shaped(random, len(times), lambda hertz: 1 / np.maximum(hertz, 20)) * (1 + 0.3 * np.sin(times))


def _murmur(times: Signal, random: np.random.Generator) -> Signal:
    """Noise with the spectrum and the syllables' rhythm of many distant voices, and none of their words."""
    noise = _shaped(random, len(times), lambda hertz: np.exp(-(((hertz - 500) / 600) ** 2)))
    syllables = _shaped(random, len(times), lambda hertz: np.where((hertz > 1) & (hertz < 6), 1.0, 0.0))
    voiced: Signal = noise * (1 + 0.5 * syllables / np.abs(syllables).max())
    return voiced


def _beeps(times: Signal, _random: np.random.Generator) -> Signal:
    """A monitor: a short tone every 0.8 s."""
    tone: Signal = np.sin(2 * np.pi * 960 * times) * (times % 0.8 < 0.12)
    return tone


def _ringing(times: Signal, _random: np.random.Generator) -> Signal:
    """A telephone: two tones for a second, three seconds of rest."""
    tones: Signal = np.sin(2 * np.pi * 440 * times) + np.sin(2 * np.pi * 480 * times)
    return tones * (times % 4 < 1)


def _music(times: Signal, _random: np.random.Generator) -> Signal:
    """Four plucked chords, again and again."""
    chords = ((220.0, 277.2, 329.6), (174.6, 220.0, 261.6), (196.0, 246.9, 293.7), (164.8, 207.7, 246.9))
    sound = np.zeros_like(times)
    for number, chord in enumerate(chords):
        own = (times // 0.6 % len(chords)) == number
        for tone in chord:
            for harmonic in (1, 2, 3):
                sound += own * np.sin(2 * np.pi * tone * harmonic * times) / harmonic
    plucked: Signal = sound * np.exp(-4 * (times % 0.6))
    return plucked


def _knocks(times: Signal, random: np.random.Generator) -> Signal:
    """Steps, a door: thuds at uneven moments."""
    sound = 0.002 * random.standard_normal(len(times))
    for begin in np.sort(random.uniform(0.3, SECONDS - 0.5, 12)):
        since = np.maximum(times - begin, 0)
        sound += (times >= begin) * np.exp(-since * 40) * np.sin(2 * np.pi * 110 * since)
    return sound


def _typing(times: Signal, random: np.random.Generator) -> Signal:
    """Keys: clicks of a few milliseconds."""
    sound = 0.002 * random.standard_normal(len(times))
    for begin in np.sort(random.uniform(0.2, SECONDS - 0.2, 50)):
        sound += (times >= begin) * np.exp(-np.maximum(times - begin, 0) * 400) * random.standard_normal(len(times))
    return sound


def _breath(times: Signal, random: np.random.Generator) -> Signal:
    """In and out, every three seconds."""
    noise = _shaped(random, len(times), lambda hertz: np.exp(-(((hertz - 900) / 900) ** 2)))
    breathed: Signal = noise * np.sin(np.pi * times / 3) ** 4
    return breathed


def _shaped(random: np.random.Generator, count: int, gain: Callable[[Signal], Signal]) -> Signal:
    """Noise whose spectrum is what ``gain`` makes of the frequency in Hz."""
    spectrum = np.fft.rfft(random.standard_normal(count))
    frequencies: Signal = np.fft.rfftfreq(count, 1 / SAMPLE_RATE).astype(np.float64)
    shaped: Signal = np.fft.irfft(spectrum * gain(frequencies), count)
    return shaped


#: Name → peak of the samples, and what makes it.
_SOUNDS: dict[str, tuple[float, Maker]] = {
    "silence": (0.0, _silence),
    "faint hiss": (0.003, _hiss),
    "hiss": (0.2, _hiss),
    "hum": (0.2, _hum),
    "ventilation": (0.3, _ventilation),
    "murmur": (0.3, _murmur),
    "beeps": (0.3, _beeps),
    "ringing": (0.4, _ringing),
    "music": (0.4, _music),
    "knocks": (0.6, _knocks),
    "typing": (0.4, _typing),
    "breath": (0.2, _breath),
}
