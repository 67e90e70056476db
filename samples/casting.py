"""Who speaks the texts in consultations/ and what happens to the recordings; consultations.py does it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Voice:
    """A voice as one of the engines speaks it, and what is made of it."""

    name: str
    engine: str
    speaker: str  #: as the engine calls it
    pitch: float = 1.0  #: factor on pitch and formants; the tempo stays
    tempo: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Treatment:
    """What happens between mouth and file, in this order; None is left out."""

    echo: float | None = None  #: seconds in which the room's reverberation falls by 60 dB
    babble: float | None = None  #: speech above other people talking, dB
    noise: float | None = None  #: speech above the noise of a room, dB
    telephone: bool = False
    clipping: float | None = None  #: peaks above full scale, dB
    gain: float | None = None  #: dB, after all else

    def __str__(self) -> str:
        """In words, for the manifest."""
        words = (
            self.echo is not None and f"reverberation {self.echo:g} s",
            self.babble is not None and f"babble at {self.babble:g} dB",
            self.noise is not None and f"room noise at {self.noise:g} dB",
            self.telephone and "telephone band",
            self.clipping is not None and f"clipped by {self.clipping:g} dB",
            self.gain is not None and f"gain {self.gain:g} dB",
        )
        return ", ".join(filter(None, words)) or "clean"


@dataclass(frozen=True, kw_only=True)
class SpeechSet:
    """How a set of texts is spoken."""

    seed: int
    voices: tuple[Voice, ...]
    clear: tuple[str, ...]  #: the voices for long consultations
    treatments: tuple[Treatment, ...]


REHEARSAL = SpeechSet(
    seed=1,
    voices=(
        Voice(name="joe", engine="piper", speaker="joe"),
        Voice(name="heart-high", engine="hibari", speaker="us", pitch=1.08, tempo=1.05),
        Voice(name="rms", engine="flite", speaker="rms"),
        Voice(name="joe-high", engine="piper", speaker="joe", pitch=1.09, tempo=0.95),
        Voice(name="espeak-gb", engine="espeak", speaker="en-gb"),
        Voice(name="heart-low", engine="hibari", speaker="us", pitch=0.93),
        Voice(name="slt-hts", engine="festival", speaker="cmu_us_slt_arctic_hts", tempo=1.05),
        Voice(name="joe-fast", engine="piper", speaker="joe", pitch=0.97, tempo=1.15),
        Voice(name="ked", engine="festival", speaker="ked_diphone"),
        Voice(name="heart-slow", engine="hibari", speaker="us", pitch=0.98, tempo=0.88),
        Voice(name="espeak-us", engine="espeak", speaker="en-us+m3", tempo=0.95),
    ),
    clear=("joe", "heart-high"),
    treatments=(
        Treatment(),
        Treatment(noise=20),
        Treatment(telephone=True),
        Treatment(gain=-18),
        Treatment(echo=0.3),
        Treatment(noise=12),
        Treatment(),
        Treatment(babble=15),
        Treatment(gain=-8, noise=25),
        Treatment(telephone=True, noise=18),
        Treatment(clipping=6),
        Treatment(noise=6),
        Treatment(echo=0.45, noise=25),
    ),
)

UNLIKE = SpeechSet(
    seed=2,
    voices=(
        Voice(name="joe-low", engine="piper", speaker="joe", pitch=0.94, tempo=1.05),
        Voice(name="heart", engine="hibari", speaker="us"),
        Voice(name="awb", engine="flite", speaker="awb"),
        Voice(name="heart-gb", engine="hibari", speaker="gb", pitch=1.03),
        Voice(name="kal", engine="flite", speaker="kal16"),
        Voice(name="joe-higher", engine="piper", speaker="joe", pitch=1.14, tempo=0.97),
        Voice(name="slt", engine="flite", speaker="slt", tempo=0.95),
        Voice(name="heart-gb-low", engine="hibari", speaker="gb", pitch=0.9, tempo=1.08),
        Voice(name="espeak-rp", engine="espeak", speaker="en-gb-x-rp", pitch=1.05, tempo=0.92),
        Voice(name="joe-slow", engine="piper", speaker="joe", pitch=1.03, tempo=0.9),
        Voice(name="espeak-us-low", engine="espeak", speaker="en-us", pitch=0.95, tempo=0.9),
    ),
    clear=("joe-low", "heart", "heart-gb", "joe-higher", "slt"),
    treatments=(
        Treatment(),
        Treatment(noise=15),
        Treatment(gain=-25),
        Treatment(telephone=True),
        Treatment(noise=30),
        Treatment(echo=0.35),
        Treatment(),
        Treatment(babble=12),
        Treatment(telephone=True, noise=20),
        Treatment(clipping=8),
        Treatment(noise=10, gain=-12),
        Treatment(noise=5),
        Treatment(echo=0.25, noise=22),
    ),
)

ALL = {"rehearsal": REHEARSAL, "unlike": UNLIKE}
