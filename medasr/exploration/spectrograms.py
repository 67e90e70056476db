"""Log-mel spectrograms of three recordings: what the model gets to see of a quiet, a typical and a noisy one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medasr.errors import DatasetError
from medasr.exploration import style
from medasr.exploration.plots import Picture
from medasr.preparation import MeasuredUtterance
from medasr.types import SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medasr.dataset.utterance import Dataset

#: As Whisper's features: 80 bands of 25 ms every 10 ms, up to 8 kHz.
MEL_BANDS = 80
_WINDOW = 400
_HOP = 160
#: A longer recording is shown up to here.
SHOWN_SECONDS = 30.0
#: What is this much below the loudest is drawn as silence.
RANGE_DB = 80.0


def draw_spectrograms(dataset: Dataset, measured: Sequence[MeasuredUtterance]) -> Picture | None:
    """Draw the three; None when nothing was measured."""
    chosen = choose(measured)
    if not chosen:
        return None
    figure, panels = style.panels(3.4, columns=len(chosen), share_y=True)
    for axes, (word, one) in zip(panels, chosen.items(), strict=True):
        mel = _log_mel(_waveform(dataset, one))
        image = axes.imshow(
            mel,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=-RANGE_DB,
            vmax=0.0,
            extent=(0, mel.shape[1] * _HOP / SAMPLE_RATE, 0, MEL_BANDS),
        )
        snr = "" if one.snr_db is None else f", SNR {one.snr_db:.0f} dB"
        style.entitle(axes, f"{word}: {one.facts.rms_dbfs:.0f} dBFS{snr}")
        axes.set_xlabel("seconds", color=style.INK, fontsize=9)
    panels[0].set_ylabel("mel band", color=style.INK, fontsize=9)
    figure.colorbar(image, ax=panels, label="dB below the loudest", fraction=0.03, pad=0.01)
    caption = (
        "The quietest, the one in the middle of all signal-to-noise ratios, and the one with the lowest. A voice is a ladder of lines; "
        "noise fills the space between."
    )
    return Picture(
        name="spectrograms", title="A quiet, a typical and a noisy recording", caption=caption, png=style.png(figure)
    )


def choose(measured: Sequence[MeasuredUtterance]) -> dict[str, MeasuredUtterance]:
    """The quietest by RMS level, the median and the lowest by SNR; each once."""
    by_snr = sorted((one for one in measured if one.snr_db is not None), key=lambda one: (one.snr_db, one.utterance.id))
    if not by_snr:
        return {}
    quiet = min(by_snr, key=lambda one: (one.facts.rms_dbfs, one.utterance.id))
    chosen = {"quiet": quiet, "typical": by_snr[len(by_snr) // 2], "noisy": by_snr[0]}
    seen: set[str] = set()
    return {
        word: one
        for word, one in chosen.items()
        if one.utterance.id not in seen and not seen.add(one.utterance.id)  # type: ignore[func-returns-value]
    }


def _waveform(dataset: Dataset, one: MeasuredUtterance) -> NDArray[np.float32]:
    import librosa
    import soundfile

    with dataset.open_audio(one.utterance) as recording:
        try:
            samples, _ = librosa.load(recording, sr=SAMPLE_RATE, mono=True, duration=SHOWN_SECONDS)
        except soundfile.LibsndfileError as error:
            raise DatasetError(
                f"a recording of {dataset.source} changed while it was read; explore it again"
            ) from error
    return np.asarray(samples, dtype=np.float32)


def _log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Decibels below the loudest, shape ``[80, frames]``."""
    import librosa

    power: Any = librosa.feature.melspectrogram(
        y=samples, sr=SAMPLE_RATE, n_fft=_WINDOW, hop_length=_HOP, n_mels=MEL_BANDS
    )
    return np.asarray(librosa.power_to_db(power, ref=np.max, top_db=RANGE_DB), dtype=np.float32)
