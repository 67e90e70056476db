"""The breakdown's arithmetic against torch's own count of operations, and its stages on a recording that goes all the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.arithmetic import best_of, counting, counting_sound, encoder_operations
from benchmarks.breakdown import CONTINUATION, STAGES, WORD_TIMES, break_down
from benchmarks.options import ROOT, Options
from medasr.whisper.context import encode
from medasr.whisper.decoder import Sound
from tests.integration.test_whisper_decoding import network, spectrograms


@contextmanager
def counted_by_torch() -> Iterator[FlopCounterMode]:
    """Torch's count; it has no formula for attention on CPUs, so that is computed by plain products."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        yield counter


def test_the_encoders_operations_are_those_that_torch_counts() -> None:
    whisper = network(0).requires_grad_(False)
    features = spectrograms(3)
    with torch.no_grad(), counted_by_torch() as torchs:
        encode(whisper, features)
    assert encoder_operations(whisper.config, 3, features.shape[-1]) == torchs.get_total_flops()


def test_the_decoders_operations_are_those_that_torch_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medasr.whisper.attention._ONE_BY_ONE", 0)  # what numpy multiplies torch does not count
    whisper = network(0).requires_grad_(False)
    notes: list[tuple[float, float]] = []
    with torch.no_grad():
        encoded = encode(whisper, spectrograms(3))
        with counted_by_torch() as torchs:
            sound = counting_sound(lambda *note: notes.append(note))(whisper, encoded)
            decoder = counting(lambda *note: notes.append(note))(whisper, sound, 8, most_texts=2)
            hidden = decoder.advance(torch.tensor([[1, 2, 3]] * 3))
            decoder.scores(hidden[:, -1])
            decoder.keep([2, 1], [[2, 2], [1]])
            hidden = decoder.advance(torch.tensor([[4]] * 3))
            decoder.scores(hidden[:, -1])
    assert sum(operations for operations, _ in notes) == torchs.get_total_flops()


def test_a_step_reads_every_weight_that_it_uses_once_and_what_is_kept_of_each_row() -> None:
    whisper = network(0).requires_grad_(False)
    notes: list[tuple[float, float]] = []
    with torch.no_grad():
        sound = Sound(whisper, torch.zeros(3, 1500, 32))
        decoder = counting(lambda *note: notes.append(note))(whisper, sound, 8, most_texts=2)
        decoder.advance(torch.tensor([[1, 2]] * 3))
        decoder.keep([0, 1, 2], [[0, 0], [1, 1], [2, 2]])
        notes.clear()
        decoder.scores(decoder.advance(torch.tensor([[1]] * 6))[:, -1])
    own = whisper.model.decoder.layers
    only_once = [module for layer in own for module in (layer.encoder_attn.k_proj, layer.encoder_attn.v_proj)]
    weights = sum(one.nbytes for one in own.parameters()) - sum(
        one.nbytes for module in only_once for one in module.parameters()
    )
    kept = 2 * 2 * 32 * 4 * (3 * 1500 + 6 * 3)
    assert [read for _, read in notes] == [weights + kept, whisper.proj_out.weight.nbytes]


def test_the_machine_computes_and_reads_more_than_nothing() -> None:
    machine = best_of(torch.float32, "cpu", 0.0)
    assert min(machine.operations, machine.bytes_read) > 1e6


@pytest.mark.whisper
def test_every_second_of_a_recording_falls_to_a_stage(tiny_whisper: Path) -> None:
    recording = ROOT / "samples" / "sore-throat.mp3"
    figures = break_down(tiny_whisper.name, {"a sample": [recording]}, Options(quick=True))
    (run,) = figures.loads[0].runs
    assert set(run.seconds) <= set(STAGES)
    now_and_then = {CONTINUATION, WORD_TIMES}
    assert all(run.seconds[stage] > 0 for stage in STAGES if stage not in now_and_then)
    assert len([line for line in figures.lines() if line.what.startswith("  ")]) == len(STAGES)
