"""Which setting is chosen, when what was measured holds, and what is said about it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from daemon import home as homes
from daemon.config import Config
from daemon.engine.options import engine_options
from daemon.tuning import tuning as stored
from daemon.tuning.examination import check_setting
from daemon.tuning.machine import this_machine
from daemon.tuning.setting import (
    Accuracy,
    Setting,
    Wishes,
    batches_to_try,
    choose,
    judged,
    precisions_to_try,
    threads_to_try,
)
from daemon.tuning.tuning import Tuning
from medasr import packs
from medasr.packs import InstalledModel
from tests.conftest import write_config
from tests.support.tunings import UNTUNED, make_tuning, outcome

SHA256 = "ab" * 32
OPEN = Wishes(precision="auto", batch_size=8, threads=0, device="cpu")
BF16 = Setting(precision="bf16", batch_size=16, threads=0)


@pytest.fixture
def config(home: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A home whose base is installed, and where all is left to choose."""
    config = write_config(home, model={"base": "whisper-tiny.en", "device": "cpu", "threads": 0})
    homes.prepare(config)
    base = InstalledModel(
        name="whisper-tiny.en",
        path=home,
        source="index:tiny",
        revision="1",
        weights_sha256=SHA256,
        bytes=1,
        parameters=1,
    )
    monkeypatch.setattr(packs, "installed", lambda _: [base])
    return config


class TestWhatIsTried:
    def test_the_other_precisions_of_the_device_unless_one_is_configured(self) -> None:
        assert precisions_to_try(OPEN, UNTUNED, ("fp32", "bf16")) == [replace(UNTUNED, precision="bf16")]
        assert precisions_to_try(replace(OPEN, precision="fp32"), UNTUNED, ("fp32", "bf16")) == []

    def test_larger_batches_that_fit_unless_another_is_configured(self) -> None:
        assert [one.batch_size for one in batches_to_try(OPEN, UNTUNED, 100)] == [16, 32]
        assert [one.batch_size for one in batches_to_try(OPEN, UNTUNED, 20)] == [16]
        assert batches_to_try(replace(OPEN, batch_size=4), replace(UNTUNED, batch_size=4), 100) == []

    def test_half_of_several_cores_unless_threads_are_configured(self) -> None:
        assert threads_to_try(OPEN, BF16, 6) == [replace(BF16, threads=3)]
        assert threads_to_try(OPEN, BF16, 1) == []
        assert threads_to_try(replace(OPEN, threads=2), BF16, 6) == []


class TestTheChoice:
    def test_the_fastest_serves(self) -> None:
        half = replace(BF16, threads=1)
        outcomes = [outcome(UNTUNED, 1.0), outcome(BF16, 1.8), outcome(half, 1.2)]
        assert choose(outcomes, UNTUNED).setting == BF16

    def test_a_gain_too_small_to_mean_anything_changes_nothing(self) -> None:
        assert choose([outcome(BF16, 1.04), outcome(UNTUNED, 1.0)], UNTUNED).setting == UNTUNED

    def test_what_was_rejected_or_did_not_run_never_serves(self) -> None:
        outcomes = [outcome(UNTUNED, 1.0), outcome(BF16, 3.0, "writes worse"), outcome(replace(BF16, threads=1), None)]
        assert choose(outcomes, UNTUNED).setting == UNTUNED

    def test_an_untuned_setting_that_writes_worse_gives_way_to_a_slower_one(self) -> None:
        exact = Setting(precision="fp32", batch_size=16, threads=0)
        assert choose([outcome(BF16, 1.0, "writes worse"), outcome(exact, 0.5)], BF16).setting == exact

    @pytest.mark.parametrize(("rate", "able"), [(11.0, True), (12.5, True), (12.6, False)])
    def test_half_a_point_more_errors_than_fp32_is_the_limit(self, rate: float, *, able: bool) -> None:
        accuracy = Accuracy(word_error_rate=rate, exact=12.0, other_words=1.0)
        assert (judged(BF16, [1.0, 9.0, 2.0], [1.0], accuracy).rejected == "") == able

    def test_the_median_of_the_rounds_counts(self) -> None:
        accuracy = Accuracy(word_error_rate=12.0, exact=12.0, other_words=0.0)
        found = judged(BF16, [1.0, 9.0, 2.0], [1.5, 0.2, 1.4], accuracy)
        assert (found.seconds, found.ratio) == (2.0, 1.4)


class TestTheFile:
    def test_it_is_read_as_it_was_written_and_closed_to_others(self, config: Config) -> None:
        tuning = make_tuning(config, BF16, base_sha256=SHA256)
        state = config.paths.state
        stored.write(state, tuning)
        assert stored.read(state) == tuning
        assert (state / stored.FILE).stat().st_mode & 0o777 == 0o600
        assert [one.name for one in state.iterdir() if stored.FILE in one.name] == [stored.FILE]

    @pytest.mark.parametrize("content", ["", "{}", '{"setting": {"precision": "int3"}}'])
    def test_one_that_is_not_understood_is_as_good_as_none(self, config: Config, content: str) -> None:
        (config.paths.state / stored.FILE).write_text(content)
        assert stored.read(config.paths.state) is None

    def test_one_that_cannot_be_read_is_as_good_as_none(self, config: Config) -> None:
        (config.paths.state / stored.FILE).mkdir()  # root may read whatever has no permissions, but no folder
        assert stored.read(config.paths.state) is None

    def test_it_can_be_forgotten(self, config: Config) -> None:
        stored.write(config.paths.state, make_tuning(config, BF16, base_sha256=SHA256))
        assert [stored.forget(config.paths.state) for _ in range(2)] == [True, False]


class TestWhatHolds:
    def test_the_engine_takes_it_for_every_model_of_the_base(self, config: Config) -> None:
        stored.write(config.paths.state, make_tuning(config, BF16, base_sha256=SHA256))
        for name in ("serving", "base"):
            options = engine_options(config, name)
            model = options.model
            assert Setting(precision="bf16", batch_size=16, threads=0) == Setting(
                precision=model.precision,  # type: ignore[arg-type]
                batch_size=model.batch_size,
                threads=model.threads,
            )
            assert options.tuned_for == "cpu"

    def test_the_engine_takes_the_configuration_where_nothing_was_measured(self, config: Config) -> None:
        options = engine_options(config)
        assert (options.model, options.tuned_for) == (config.model.model_copy(update={"adapter": ""}), "")

    def test_other_weights_are_not_loaded_with_it(self, config: Config) -> None:
        stored.write(config.paths.state, make_tuning(config, BF16, base_sha256="cd" * 32))
        assert engine_options(config).model.precision == "auto"

    def test_a_configuration_that_chooses_itself_is_obeyed(self, config: Config, home: Path) -> None:
        stored.write(config.paths.state, make_tuning(config, BF16, base_sha256=SHA256))
        changed = write_config(home, model={"precision": "fp32", "threads": 0})
        model = engine_options(changed).model
        assert (model.precision, model.batch_size) == ("fp32", 8)

    @pytest.mark.parametrize(
        ("field", "value", "what"),
        [
            ("cpu", "another", "processor"),
            ("features", ("another",), "processor"),
            ("cores", 999, "number of cores"),
            ("gpus", ("A100",), "graphics card"),
            ("torch", "1.0", "version of torch"),
        ],
    )
    def test_another_machine_is_not(self, config: Config, field: str, value: object, what: str) -> None:
        tuning = make_tuning(config, BF16, base_sha256=SHA256)
        elsewhere = replace(tuning, machine=replace(tuning.machine, **{field: value}))  # type: ignore[arg-type]
        assert stored.misfit(config, elsewhere, config.model.base) == f"the {what} was another"


class TestTheDoctor:
    def test_says_that_nothing_was_measured(self, config: Config) -> None:
        found = check_setting(config, "bf16", "cpu")
        assert found.level == "ok"
        assert found.text.startswith("bf16 on cpu, batches of 8, a thread per core; ")
        assert "medasrd tune" in found.remedy

    def test_says_which_setting_is_used_and_what_it_brings(self, config: Config) -> None:
        stored.write(config.paths.state, make_tuning(config, BF16, base_sha256=SHA256))
        found = check_setting(config, "fp32", "cpu")
        assert (found.level, found.remedy) == ("ok", "")
        assert found.text == (
            "bf16 on cpu, batches of 16, a thread per core; tuned on 2026-03-01: 1.8 times as fast as fp32, "
            "1.8 times as fast as untuned (fp32 on cpu, batches of 8, a thread per core)"
        )

    @pytest.mark.parametrize("device", ["cpu", "cuda"])
    def test_says_why_what_was_measured_does_not_hold(self, config: Config, device: str) -> None:
        sha256 = SHA256 if device == "cuda" else "cd" * 32
        stored.write(config.paths.state, make_tuning(config, BF16, base_sha256=sha256))
        found = check_setting(config, "fp32", device)
        assert (found.level, found.remedy) == ("warning", "medasrd tune again")
        assert ("it was for cpu" if device == "cuda" else "it was measured with whisper-tiny.en") in found.text

    def test_says_that_the_untuned_setting_writes_worse(self, config: Config) -> None:
        tuning = _worse(make_tuning(config, BF16, base_sha256=SHA256, ratio=0.5))
        stored.write(config.paths.state, tuning)
        assert check_setting(config, "fp32", "cpu").text.endswith(
            "(fp32 on cpu, batches of 8, a thread per core) is out"
        )


def _worse(tuning: Tuning) -> Tuning:
    return replace(tuning, outcomes=(outcome(UNTUNED, 1.0, "is out"), *tuning.outcomes[1:]))


class TestTheMachine:
    CPU = "processor: 0\nmodel name\t: Xeon\nphysical id : 0\ncore id : 0\nflags : fpu avx2 amx_bf16\n\n"

    def test_a_core_counts_once_however_many_threads_it_has(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
        (tmp_path / "cpuinfo").write_text(self.CPU * 2 + self.CPU.replace("core id : 0", "core id : 1") * 2)
        found = this_machine(tmp_path)
        assert (found.cpu, found.features, found.cores, found.gpus) == ("Xeon", ("amx_bf16", "avx2"), 2, ())

    def test_a_processor_without_a_name_has_that_of_its_kind(self, tmp_path: Path) -> None:
        (tmp_path / "cpuinfo").write_text("processor : 0\nFeatures : fp asimd bf16\n")
        found = this_machine(tmp_path)
        assert (found.cpu, found.features) == (os.uname().machine, ("asimd", "bf16"))

    def test_graphics_cards_are_those_that_the_driver_names(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        card = tmp_path / "driver/nvidia/gpus/0000:01:00.0/information"
        card.parent.mkdir(parents=True)
        card.write_text("Model: \t NVIDIA RTX A4000\nIRQ:   200\n")
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
        assert this_machine(tmp_path).gpus == ("NVIDIA RTX A4000", "visible: 0")
