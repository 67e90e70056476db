"""A recording as it arrived → 16 kHz mono samples."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import librosa
import numpy as np
import pytest

from medasr.audio import AudioLimits, inspect, normalize, read_normalized
from medasr.errors import Reason, RecordingError
from medasr.types import AudioFacts
from tests.support import recordings
from tests.support.recordings import noise, tone, voice, write_as, write_wav

if TYPE_CHECKING:
    from medasr.types import Waveform

RATES = (4_000, 8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000, 384_000, 44_101, 15_991)


@contextmanager
def opened(path: Path, flags: int = os.O_RDONLY) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def normalized(path: Path, limits: AudioLimits | None = None) -> tuple[Waveform, AudioFacts]:
    sink_path = path.with_suffix(".f32")
    with opened(path) as source, opened(sink_path, os.O_RDWR | os.O_CREAT) as sink:
        facts = normalize(source, sink, limits)
    return read_normalized(sink_path), facts


def without_gain(waveform: Waveform, facts: AudioFacts) -> Waveform:
    return waveform * np.float32(10 ** (-facts.gain_db / 20))


def pitch(waveform: Waveform) -> float:
    """Frequency of the strongest component, Hz."""
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(spectrum.argmax() * 16_000 / len(waveform))


@pytest.mark.parametrize("sample", recordings.WELL_FORMED, ids=lambda sample: sample.name)
def test_every_well_formed_recording_becomes_finite_mono_within_full_scale(
    sample: recordings.Sample, tmp_path: Path
) -> None:
    path = tmp_path / "visit.wav"  # whatever it holds: the name has no say
    sample.write(path)
    waveform, facts = normalized(path)
    assert waveform.dtype == np.float32
    assert waveform.ndim == 1
    assert np.isfinite(waveform).all()
    assert np.abs(waveform).max() <= 1
    assert abs(len(waveform) - facts.seconds * 16_000) <= 1
    assert all(np.isfinite([facts.rms_dbfs, facts.peak_dbfs, facts.dc_offset, facts.clipped_share, facts.gain_db]))


@pytest.mark.parametrize("rate", RATES)
def test_a_tone_keeps_its_pitch_and_length_from_any_rate(rate: int, tmp_path: Path) -> None:
    waveform, facts = normalized(write_wav(tmp_path / "tone.wav", tone(3.0, rate=rate, hertz=1_000.0), rate))
    assert facts.sample_rate == rate
    assert abs(len(waveform) - 48_000) <= 1
    assert pitch(waveform) == pytest.approx(1_000, abs=1)


@pytest.mark.parametrize("rate", [8_000, 44_100, 44_101, 192_000])
def test_blocks_join_without_a_seam(rate: int, tmp_path: Path) -> None:
    """The stream of blocks equals librosa's resampling of the whole recording at once."""
    samples = noise(4.0, rate=rate, level=0.05)
    path = write_wav(tmp_path / "noise.wav", samples, rate, "FLOAT")
    waveform, facts = normalized(path)
    whole = librosa.resample(samples - samples.mean(), orig_sr=rate, target_sr=16_000, res_type="soxr_hq")
    length = min(len(whole), len(waveform))
    assert len(whole) - length <= 1
    np.testing.assert_allclose(without_gain(waveform, facts)[:length], whole[:length], atol=1e-4)


def test_frequencies_above_8_khz_do_not_fold_back(tmp_path: Path) -> None:
    high = tone(2.0, rate=48_000, hertz=12_000.0, level=0.5)
    waveform, facts = normalized(write_wav(tmp_path / "whistle.wav", high, 48_000))
    inner = without_gain(waveform, facts)[1_000:-1_000]
    assert np.abs(inner).max() < 0.5 * 10 ** (-60 / 20)


def test_a_constant_offset_is_measured_and_removed(tmp_path: Path) -> None:
    waveform, facts = normalized(write_wav(tmp_path / "offset.wav", voice() + np.float32(0.2)))
    assert facts.dc_offset == pytest.approx(0.2, abs=1e-3)
    assert abs(float(waveform.mean())) < 1e-4


def test_an_inverted_channel_does_not_cancel_the_voice(tmp_path: Path) -> None:
    left = voice()
    mono, _ = normalized(write_wav(tmp_path / "mono.wav", left))
    waveform, facts = normalized(write_wav(tmp_path / "inverted.wav", np.stack([left, -left], axis=1)))
    assert facts.warnings == ("PHASE_INVERTED",)
    np.testing.assert_allclose(waveform, mono, atol=1e-6)


def test_a_dead_channel_does_not_halve_the_voice(tmp_path: Path) -> None:
    left = voice()
    _, mono = normalized(write_wav(tmp_path / "mono.wav", left))
    _, facts = normalized(write_wav(tmp_path / "dead.wav", np.stack([left, 0 * left], axis=1)))
    assert facts.warnings == ("DEAD_CHANNEL",)
    assert facts.rms_dbfs == pytest.approx(mono.rms_dbfs)


def test_two_speakers_on_two_channels_are_both_kept(tmp_path: Path) -> None:
    doctor, patient = tone(2.0, hertz=300.0), tone(2.0, hertz=700.0)
    waveform, facts = normalized(write_wav(tmp_path / "two.wav", np.stack([doctor, patient], axis=1)))
    spectrum = np.abs(np.fft.rfft(waveform))
    assert facts.warnings == ()
    assert spectrum[600] == pytest.approx(spectrum[1_400], rel=0.01)


@pytest.mark.parametrize("level", [0.01, 0.03, 0.1, 0.3])
def test_speech_comes_out_equally_loud_however_loud_it_went_in(level: float, tmp_path: Path) -> None:
    samples = voice(4.0, level=level, noise_level=1e-4)
    waveform, _ = normalized(write_wav(tmp_path / "voice.wav", samples, encoding="FLOAT"))
    syllables = waveform[np.abs(samples) > 0.1 * level]
    assert 10 * np.log10(np.mean(syllables**2)) == pytest.approx(-21.75, abs=0.2)


def test_gain_is_bounded(tmp_path: Path) -> None:
    _, facts = normalized(write_wav(tmp_path / "far.wav", voice(level=5e-4, noise_level=1e-6), encoding="FLOAT"))
    assert facts.gain_db == 30.0


def test_an_empty_room_is_not_blown_up_into_noise(tmp_path: Path) -> None:
    waveform, _ = normalized(write_wav(tmp_path / "room.wav", noise(2.0, level=1e-3), encoding="FLOAT"))
    assert 20 * np.log10(np.sqrt(np.mean(waveform**2))) <= -49.0


def test_a_knock_on_the_table_does_not_hold_down_quiet_speech(tmp_path: Path) -> None:
    quiet = voice(20.0, level=0.01, noise_level=1e-5)
    knocked = quiet.copy()
    knocked[100_000:100_100] = 1.0
    _, facts = normalized(write_wav(tmp_path / "quiet.wav", quiet))
    waveform, knocked_facts = normalized(write_wav(tmp_path / "knocked.wav", knocked))
    assert knocked_facts.gain_db == pytest.approx(facts.gain_db, abs=0.5)
    assert 20 * np.log10(np.abs(waveform).max()) == pytest.approx(-1.0, abs=0.01)


def test_clipping_is_measured_across_block_borders(tmp_path: Path) -> None:
    samples = tone(20.0, level=0.5)
    samples[2**18 - 2 : 2**18 + 2] = 1.0  # a run of four over the border of the first block
    samples[1_000:1_002] = 1.0  # two in a row may be chance
    _, facts = normalized(write_wav(tmp_path / "clipped.wav", samples))
    assert facts.clipped_share == pytest.approx(4 / len(samples))


def test_a_clipped_recording_is_flagged(tmp_path: Path) -> None:
    recordings.clipped(tmp_path / "loud.wav")
    _, facts = normalized(tmp_path / "loud.wav")
    assert facts.warnings == ("CLIPPED",)
    assert facts.peak_dbfs == pytest.approx(0.0, abs=0.01)


def test_digital_silence_stays_silent(tmp_path: Path) -> None:
    recordings.silence(tmp_path / "silence.wav")
    waveform, facts = normalized(tmp_path / "silence.wav")
    assert not waveform.any()
    assert (facts.rms_dbfs, facts.gain_db, facts.snr_db) == (-120.0, 0.0, None)


def test_values_close_to_the_largest_float_do_not_overflow(tmp_path: Path) -> None:
    waveform, facts = normalized(write_wav(tmp_path / "huge.wav", np.float32(3e38) * tone(level=1.0), encoding="FLOAT"))
    assert np.isfinite(waveform).all()
    assert np.abs(waveform).max() > 0.01
    assert facts.gain_db < -700


@pytest.mark.parametrize("write", [recordings.half_wav, recordings.half_flac, recordings.half_ogg, recordings.half_mp3])
def test_a_truncated_recording_is_transcribed_and_flagged_when_asked_for(
    write: recordings.Writer, tmp_path: Path
) -> None:
    write(tmp_path / "cut.wav")
    waveform, facts = normalized(tmp_path / "cut.wav", AudioLimits(accept_truncated=True))
    assert "TRUNCATED" in facts.warnings
    assert abs(len(waveform) - facts.seconds * 16_000) <= 1
    assert facts.seconds > 0.9


def test_what_was_decoded_before_the_damage_is_not_lost(tmp_path: Path) -> None:
    """A FLAC cut at 10 s of 20 gives all the frames before the cut, not only whole blocks."""
    path = write_as(tmp_path / "cut.flac", noise(20.0, rate=44_100), 44_100, "FLAC", "PCM_16")
    os.truncate(path, path.stat().st_size // 2)
    _, facts = normalized(path, AudioLimits(accept_truncated=True))
    assert facts.seconds == pytest.approx(10.0, abs=0.2)
    assert facts.declared_frames == 20 * 44_100


def test_the_length_limit_holds_where_the_header_does_not_tell_the_length(tmp_path: Path) -> None:
    recordings.flac_of_unknown_length(tmp_path / "stream.flac")
    with pytest.raises(RecordingError) as raised:
        normalized(tmp_path / "stream.flac", AudioLimits(max_seconds=3.0))
    assert raised.value.reason is Reason.TOO_LONG


def test_a_header_alone_tells_the_length(tmp_path: Path) -> None:
    recordings.wav_24_bit(tmp_path / "visit.wav")
    with opened(tmp_path / "visit.wav") as source:
        header = inspect(source)
    assert (header.container, header.encoding, header.sample_rate, header.channels) == ("WAV", "PCM_24", 48_000, 1)
    assert header.seconds == 2.0
    assert header.declared_frames == 96_000


def test_a_recording_shorter_than_one_output_sample_holds_no_audio(tmp_path: Path) -> None:
    with pytest.raises(RecordingError) as raised:
        normalized(write_wav(tmp_path / "click.wav", np.zeros(1, dtype=np.float32), 384_000))
    assert raised.value.reason is Reason.NO_AUDIO


def test_the_same_recording_gives_the_same_bytes_twice_and_nothing_of_what_was_there(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "visit.wav", voice())
    first, _ = normalized(path)
    expected = first.tobytes()
    path.with_suffix(".f32").write_bytes(bytes(10_000_000))
    second, _ = normalized(path)
    assert second.tobytes() == expected


def test_normalized_samples_are_read_only(tmp_path: Path) -> None:
    waveform, _ = normalized(write_wav(tmp_path / "visit.wav", voice()))
    with pytest.raises(ValueError, match="read-only"):
        waveform[0] = 1.0
