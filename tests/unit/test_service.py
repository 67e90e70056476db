"""The service: how it stops, and what its watchdog believes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from daemon.cli.run import scan_outcome
from daemon.config import Config, load_config
from daemon.intake.reception import IntakeStatus
from daemon.pulse import Pulse
from daemon.service import Service, listen_to_signals
from daemon.store.states import JobState
from tests.support.intake import FakeClock

NOTHING = dict.fromkeys(JobState, 0)


class ScriptedIntake:
    """Finds nothing, and does what a test wants at its turn."""

    def __init__(self, clock: FakeClock, at_turn: Callable[[], None] = lambda: None) -> None:
        self.pulse = Pulse(clock)
        self.interrupted = False
        self._at_turn = at_turn

    def turn(self) -> int:
        self.pulse.expect(120.0)
        self._at_turn()
        return 0

    def interrupt(self) -> None:
        self.interrupted = True


def make_service(config: Config, **parts: Any) -> Service:
    decoder = SimpleNamespace(stopped=False)
    decoder.stop = lambda: setattr(decoder, "stopped", True)
    defaults: dict[str, Any] = {
        **dict.fromkeys(("store", "engine")),
        "intake": ScriptedIntake(FakeClock()),
        "worker": SimpleNamespace(pulse=Pulse()),
        "decoder": decoder,
        "wake_worker": threading.Event(),
        "wake_intake": threading.Event(),
        "once": False,
    }
    return Service(config=config, **(defaults | parts))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "config.toml").write_text("[intake]\nsettle_seconds = 900\nrescan_seconds = 900\n")
    return load_config(tmp_path / "config.toml")


@pytest.fixture
def handlers() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [(number, signal.getsignal(number)) for number in numbers]
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_while_the_main_thread_holds_what_it_waits_for_stops_the_service(
    config: Config, number: signal.Signals
) -> None:
    service = make_service(config)
    listen_to_signals(service)
    with service.wake_worker._cond:  # as within Event.wait, whose lock cannot be taken twice
        os.kill(os.getpid(), number)
        assert service.stopping.wait(60)
    service._guard()
    assert service.wake_worker.is_set()
    assert service.wake_intake.is_set()
    assert cast("ScriptedIntake", service.intake).interrupted
    assert cast("SimpleNamespace", service.decoder).stopped


def test_a_long_wait_between_two_looks_at_the_inbox_is_no_hang(config: Config) -> None:
    clock = FakeClock()

    def at_turn() -> None:
        service.stopping.set()
        service.wake_intake.set()  # so that the test need not wait

    service = make_service(config, intake=ScriptedIntake(clock, at_turn))
    service._turn_intake()
    clock.advance(900)
    assert not service.intake.pulse.late
    clock.advance(900)
    assert service.intake.pulse.late


class TestScanOutcome:
    def test_it_tells_what_ended_since_it_began(self) -> None:
        before = NOTHING | {JobState.DONE: 5, JobState.QUARANTINED: 1, JobState.RECEIVED: 1}
        after = NOTHING | {JobState.DONE: 6, JobState.QUARANTINED: 1}
        outcome = scan_outcome(before, after, IntakeStatus())
        assert outcome["ended"] == {"done": 1, "needs_review": 0, "no_speech": 0, "quarantined": 0}
        assert not outcome["waiting"]

    @pytest.mark.parametrize("state", [JobState.RECEIVED, JobState.RETRY, JobState.DECODING, JobState.TRANSCRIBING])
    def test_what_a_stop_left_undone_is_not_called_transcribed(self, state: JobState) -> None:
        outcome = scan_outcome(NOTHING, NOTHING | {state: 2}, IntakeStatus())
        assert outcome["waiting"] == 2
        assert set(outcome["ended"].values()) == {0}

    def test_an_inbox_that_cannot_be_read_is_not_called_empty(self) -> None:
        assert scan_outcome(NOTHING, NOTHING, IntakeStatus(problem="MISSING"))["problem"] == "MISSING"
