"""A model child that crashes, hangs, runs out of memory, talks nonsense or does not load: who is blamed, and what is still served."""

from __future__ import annotations

import logging
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from daemon.engine.batch import transcribe_all
from daemon.engine.host import EngineHost
from daemon.engine.ladder import FIRST_REST_SECONDS, GIVE_UP_AFTER, LOWERED_SECONDS
from daemon.engine.protocol import Completed, Died, EngineFailure, Failed, Progress
from medasr.errors import EngineError, ModelError
from tests.support.transcribers import Behaviour, Mark, engine_command, engine_options, poll_until, write_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from daemon.engine.protocol import EngineEvent


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def host_of(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., EngineHost]]:
    hosts = []

    def make(
        behaviour: Behaviour | None = None,
        command: Sequence[str] = (),
        hang_seconds: float = 1000.0,
        **model: object,
    ) -> EngineHost:
        options = replace(engine_options(tmp_path, **model), hang_seconds=hang_seconds)
        hosts.append(EngineHost(options, command or engine_command(behaviour), clock))
        return hosts[-1]

    yield make
    for host in hosts:
        host.stop(timeout=0.1)


def completed(events: list[EngineEvent]) -> dict[str, Completed]:
    return {event.id: event for event in events if isinstance(event, Completed)}


def failed(events: list[EngineEvent]) -> list[Failed]:
    return [event for event in events if isinstance(event, Failed)]


def deaths(events: list[EngineEvent]) -> list[EngineFailure]:
    return [event.kind for event in events if isinstance(event, Died)]


def settled(host: EngineHost, each: Callable[[], None] = lambda: None) -> list[EngineEvent]:
    return poll_until(host, lambda _events: not host.in_flight, each)


def loaded(host: EngineHost) -> EngineHost:
    host.ensure_started()
    poll_until(host, bool)
    return host


# Recordings that the model does not survive


@pytest.mark.parametrize(
    ("mark", "kind"),
    [(Mark.SEGFAULT, EngineFailure.CRASHED), (Mark.ERROR, EngineFailure.CRASHED), (Mark.HANG, EngineFailure.HUNG)],
)
@pytest.mark.parametrize("position", [0, 3])
def test_a_recording_that_kills_the_model_is_blamed_and_all_others_are_served(
    host_of: Callable[..., EngineHost], tmp_path: Path, clock: Clock, mark: Mark, kind: EngineFailure, position: int
) -> None:
    host = host_of()
    names = [f"r{number}" for number in range(6)]
    for number, name in enumerate(names):
        host.submit(name, write_recording(tmp_path / name, Mark.SPEECH, mark if number == position else Mark.SPEECH))

    def let_it_hang() -> None:
        if mark is Mark.HANG and names[position] in host._working:
            clock.now += 1001

    events = settled(host, let_it_hang)

    assert failed(events) == [Failed(id=names[position], blame=True, kind=kind)]
    assert completed(events).keys() == set(names) - {names[position]}
    assert deaths(events) == [kind, kind]
    assert host.restarts == 2
    assert host.healthy


def test_two_recordings_that_kill_the_model_are_both_found(host_of: Callable[..., EngineHost], tmp_path: Path) -> None:
    host = host_of()
    for number, mark in enumerate([Mark.SPEECH, Mark.SEGFAULT, Mark.SPEECH, Mark.ERROR, Mark.SPEECH]):
        host.submit(f"r{number}", write_recording(tmp_path / f"r{number}", mark))

    events = settled(host)

    assert {event.id for event in failed(events) if event.blame} == {"r1", "r3"}
    assert completed(events).keys() == {"r0", "r2", "r4"}


def test_a_recording_far_behind_the_one_that_kills_is_not_tried_alone(
    host_of: Callable[..., EngineHost], tmp_path: Path
) -> None:
    host = loaded(host_of())
    host.submit("poison", write_recording(tmp_path / "poison", *[Mark.SPEECH] * 8, Mark.SEGFAULT))
    for number in range(30):
        host.submit(f"r{number}", write_recording(tmp_path / f"r{number}", Mark.SPEECH))

    results = completed(settled(host))

    assert len(results) == 30
    assert results["r20"].transcript.text == "160 samples in a batch of 8"


def test_an_error_is_told_by_class_and_place_and_patients_words_reach_no_log(
    host_of: Callable[..., EngineHost], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    host = host_of()
    host.submit("r1", write_recording(tmp_path / "Jane Doe.pcm", Mark.ERROR))

    events = settled(host)

    (died, *_) = (event for event in events if isinstance(event, Died))
    assert died.fault.startswith("RuntimeError at support/transcribers.py:")
    logged = repr([vars(record) for record in caplog.records])
    assert "model process lost" in logged
    assert "lisinopril" not in logged + repr(events)
    assert "Jane Doe" not in logged


# A machine that fails


def test_a_child_killed_from_outside_costs_no_recording_anything(
    host_of: Callable[..., EngineHost], tmp_path: Path
) -> None:
    host = loaded(host_of())
    for name in ("r1", "r2", "r3"):
        host.submit(name, write_recording(tmp_path / name, *[Mark.SPEECH] * 400))
    host.poll()
    assert host.pid is not None

    os.kill(host.pid, signal.SIGKILL)
    events = settled(host)

    assert completed(events).keys() == {"r1", "r2", "r3"}
    assert failed(events) == []
    assert host.restarts == 1


def test_a_child_killed_while_idle_is_replaced_when_there_is_work(
    host_of: Callable[..., EngineHost], tmp_path: Path
) -> None:
    host = loaded(host_of())
    assert host.pid is not None

    os.kill(host.pid, signal.SIGKILL)
    assert deaths(poll_until(host, bool)) == [EngineFailure.OUT_OF_MEMORY]
    assert host.pid is None
    host.submit("r1", write_recording(tmp_path / "r1", Mark.SPEECH))

    assert completed(settled(host)).keys() == {"r1"}


def test_a_stopped_child_counts_as_hung_and_its_work_is_done_by_another(
    host_of: Callable[..., EngineHost], tmp_path: Path, clock: Clock
) -> None:
    host = loaded(host_of())
    assert host.pid is not None
    os.kill(host.pid, signal.SIGSTOP)
    host.submit("r1", write_recording(tmp_path / "r1", Mark.SPEECH))
    # More than the pipe takes: the host must not wait for a child that does not read.
    for number in range(2000):
        host.submit(f"{number:0100}", tmp_path / "r1")
    host.poll()

    clock.now += 999
    assert host.poll() == []
    clock.now += 1
    events = host.poll()
    assert deaths(events) == [EngineFailure.HUNG]
    events += settled(host)

    assert len(completed(events)) == 2001
    assert failed(events) == []


def test_a_child_without_work_may_be_silent_for_ever(host_of: Callable[..., EngineHost], clock: Clock) -> None:
    host = loaded(host_of())

    clock.now += 1e9

    assert host.poll() == []
    assert host.pid is not None


def test_a_busy_daemon_that_polls_late_does_not_take_its_own_delay_for_a_hang(
    host_of: Callable[..., EngineHost], tmp_path: Path, clock: Clock
) -> None:
    host = loaded(host_of())
    host.submit("r1", write_recording(tmp_path / "r1", Mark.SPEECH))
    host.poll()
    poll_until(host, lambda events: bool(completed(events)))
    host.submit("r2", write_recording(tmp_path / "r2", *[Mark.SPEECH] * 10))
    host.poll()
    # The replies lie in the pipe while the daemon is elsewhere.
    while not _readable(host):
        pass

    clock.now += 1e9
    events = settled(host)

    assert completed(events).keys() == {"r2"}
    assert deaths(events) == []


def test_a_stopped_child_is_gone_after_stop(host_of: Callable[..., EngineHost]) -> None:
    host = loaded(host_of())
    pid = host.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)

    host.stop(timeout=0.1)

    assert not Path(f"/proc/{pid}").exists()


# Memory


def test_memory_the_kernel_took_back_halves_the_batch_until_it_fits(
    host_of: Callable[..., EngineHost], tmp_path: Path
) -> None:
    host = host_of(batch_size=4)
    host.submit("r1", write_recording(tmp_path / "r1", Mark.KILL, Mark.SPEECH))

    events = settled(host)

    # Four windows at a time, two, one: it never fits, and below one window on the CPU there is nothing.
    assert deaths(events) == [EngineFailure.OUT_OF_MEMORY] * 3
    assert failed(events) == [Failed(id="r1", blame=True, kind=EngineFailure.OUT_OF_MEMORY)]


def test_what_does_not_fit_on_the_gpu_is_transcribed_on_the_cpu_and_says_so(
    host_of: Callable[..., EngineHost], tmp_path: Path
) -> None:
    host = host_of(Behaviour(cuda=True), precision="nf4")
    host.submit("large", write_recording(tmp_path / "large", Mark.ASIDE))
    host.submit("small", write_recording(tmp_path / "small", Mark.SPEECH))

    results = completed(settled(host))

    assert results["large"].fallback == results["small"].fallback == "cpu"
    assert results["large"].device == "cpu"
    assert results["large"].version.precision == "auto"
    assert host.restarts == 1


def test_weights_that_do_not_fit_on_the_gpu_are_loaded_on_the_cpu(
    host_of: Callable[..., EngineHost], tmp_path: Path
) -> None:
    host = host_of(Behaviour(cuda=True, loading="memory"))
    host.submit("r1", write_recording(tmp_path / "r1", Mark.SPEECH))

    assert completed(settled(host))["r1"].fallback == "cpu"
    assert host.restarts == 1


def test_the_gpu_is_tried_again_after_an_hour_once_the_child_has_run_dry(
    host_of: Callable[..., EngineHost], tmp_path: Path, clock: Clock
) -> None:
    host = host_of(Behaviour(cuda=True))
    host.submit("large", write_recording(tmp_path / "large", Mark.ASIDE))
    settled(host)
    before = host.restarts

    clock.now += LOWERED_SECONDS
    host.submit("small", write_recording(tmp_path / "small", Mark.SPEECH))
    result = completed(settled(host))["small"]

    assert (result.device, result.fallback) == ("cuda:0", "")
    assert host.restarts == before


def test_an_urgent_recording_does_not_wait_until_the_child_has_run_dry(
    host_of: Callable[..., EngineHost], tmp_path: Path, clock: Clock
) -> None:
    host = host_of(Behaviour(cuda=True), hang_seconds=2 * LOWERED_SECONDS)
    host.submit("large", write_recording(tmp_path / "large", Mark.ASIDE))
    settled(host)
    host.submit("long", write_recording(tmp_path / "long", *[Mark.LONG] * 16))
    poll_until(host, lambda events: any(isinstance(event, Progress) and event.total for event in events))

    clock.now += LOWERED_SECONDS
    host.submit("next", write_recording(tmp_path / "next", Mark.SPEECH))
    host.submit("urgent", write_recording(tmp_path / "urgent", Mark.SPEECH), urgent=True)
    events = settled(host)

    finished = [event for event in events if isinstance(event, Completed)]
    assert [event.id for event in finished] == ["urgent", "long", "next"]
    assert [event.device for event in finished] == ["cpu", "cpu", "cuda:0"]


def test_a_recording_too_large_for_any_memory_is_blamed_when_it_was_alone(
    host_of: Callable[..., EngineHost], tmp_path: Path
) -> None:
    host = host_of()
    host.submit("r1", write_recording(tmp_path / "r1", Mark.SPEECH))
    host.submit("large", write_recording(tmp_path / "large", Mark.MEMORY))

    events = settled(host)

    assert failed(events) == [Failed(id="large", blame=True, kind=EngineFailure.OUT_OF_MEMORY)]
    assert completed(events).keys() == {"r1"}


# Children that are no model


@pytest.mark.parametrize(
    "code",
    [
        "print('Traceback (most recent call last): the patient takes lisinopril', flush=True); sys.stdin.read()",
        "sys.stdout.buffer.write(b'\\x00\\x00\\x00\\x05hello'); sys.stdout.flush(); sys.stdin.read()",
        "sys.stdout.buffer.write(b'\\xff\\xff\\xff\\xff'); sys.stdout.flush(); sys.stdin.read()",
        'sys.stdout.buffer.write(b\'\\x00\\x00\\x01\\x00{"frame": "rea\')',
        "pass",
        "sys.exit(3)",
        "os.close(1); sys.stdin.read()",
    ],
    ids=["text", "no message", "no length", "half a frame", "nothing", "exit", "closed pipe"],
)
def test_a_child_that_talks_nonsense_is_replaced_and_then_given_a_rest(
    host_of: Callable[..., EngineHost], tmp_path: Path, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    host = host_of(command=[sys.executable, "-c", f"import os, sys; {code}"])
    host.submit("r1", write_recording(tmp_path / "r1", Mark.SPEECH))

    events = poll_until(host, lambda _events: not host.healthy)

    assert deaths(events) == [EngineFailure.CRASHED] * GIVE_UP_AFTER
    assert failed(events) == []
    assert host.in_flight == {"r1"}
    assert host.poll() == []
    assert "lisinopril" not in repr([vars(record) for record in caplog.records])


def test_a_command_that_does_not_exist_is_a_child_that_died(host_of: Callable[..., EngineHost], tmp_path: Path) -> None:
    host = host_of(command=[str(tmp_path / "no-such-program")])
    host.submit("r1", write_recording(tmp_path / "r1", Mark.SPEECH))

    (died,) = host.poll()

    assert died == Died(kind=EngineFailure.CRASHED, fault="CANNOT_START:ENOENT")


def test_transcribing_without_a_queue_ends_when_the_child_keeps_dying(
    host_of: Callable[..., EngineHost], tmp_path: Path
) -> None:
    host = host_of(Behaviour(loading="segfault"))

    with pytest.raises(EngineError, match="keeps dying"):
        list(transcribe_all(host, [("r1", write_recording(tmp_path / "r1", Mark.SPEECH))]))


# Loading


def test_a_child_that_dies_while_loading_blames_no_recording_and_serves_once_the_machine_is_mended(
    host_of: Callable[..., EngineHost], tmp_path: Path, clock: Clock
) -> None:
    mended = tmp_path / "mended"
    well = engine_command()
    broken_first = f"import os, sys; os.path.exists({str(mended)!r}) or sys.exit(1); os.execv({well[0]!r}, {well!r})"
    host = host_of(command=[sys.executable, "-c", broken_first])
    host.submit("r1", write_recording(tmp_path / "r1", Mark.SPEECH))
    poll_until(host, lambda _events: not host.healthy)

    mended.touch()
    assert host.poll() == []
    clock.now += FIRST_REST_SECONDS
    assert host.healthy
    events = settled(host)

    assert completed(events).keys() == {"r1"}
    assert failed(events) == []


def test_loading_has_a_limit_of_its_own(host_of: Callable[..., EngineHost], tmp_path: Path, clock: Clock) -> None:
    host = host_of(Behaviour(loading="hang"))
    host.submit("r1", write_recording(tmp_path / "r1", Mark.SPEECH))

    assert host.poll() == []
    clock.now += 1000

    assert deaths(host.poll()) == [EngineFailure.HUNG]
    assert host.in_flight == {"r1"}


def test_weights_that_cannot_be_used_stop_everything_and_say_the_remedy(
    host_of: Callable[..., EngineHost], tmp_path: Path
) -> None:
    host = host_of(Behaviour(loading="model error"))
    host.submit("r1", write_recording(tmp_path / "r1", Mark.SPEECH))

    with pytest.raises(ModelError, match="medasrd models pull"):
        settled(host)

    assert host.in_flight == {"r1"}
    assert host.pid is None
    assert host.restarts == 0


def _readable(host: EngineHost) -> bool:
    return bool(host._selector.select(0))
