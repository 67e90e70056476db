"""The host and a real child process: recordings in, transcripts out. What goes wrong is in tests/faults/test_engine_faults.py."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from daemon.engine.batch import transcribe_all
from daemon.engine.host import EngineHost
from daemon.engine.protocol import Completed, Died, EngineFailure, Failed, Progress, Ready
from medasr.types import TermLists, VerdictKind
from tests.support.transcribers import Behaviour, Mark, engine_command, engine_options, poll_until, write_recording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.engine.protocol import EngineEvent


@pytest.fixture
def host(tmp_path: Path) -> Iterator[EngineHost]:
    host = EngineHost(engine_options(tmp_path), engine_command())
    yield host
    host.stop()


def completed(events: list[EngineEvent]) -> dict[str, Completed]:
    return {event.id: event for event in events if isinstance(event, Completed)}


def settled(host: EngineHost) -> list[EngineEvent]:
    return poll_until(host, lambda _events: not host.in_flight)


def test_recordings_become_transcripts_with_all_that_decided_them(host: EngineHost, tmp_path: Path) -> None:
    host.submit("r1", write_recording(tmp_path / "r1.pcm", Mark.SPEECH, Mark.SPEECH))
    assert host.in_flight == {"r1"}
    assert host.pending_seconds == pytest.approx(0.02)

    events = settled(host)

    result = completed(events)["r1"]
    assert result.transcript.text == "160 samples in a batch of 2 160 samples in a batch of 2"
    assert [segment.start for segment in result.transcript.segments] == [0.0, 0.01]
    assert result.version.base_id == "scripted"
    assert result.device == "cpu"
    assert result.fallback == ""
    assert result.batch_size == 8
    assert host.pending_seconds == 0


def test_nothing_is_started_before_there_is_work(host: EngineHost) -> None:
    assert host.poll() == []
    assert host.pid is None


def test_an_urgent_recording_overtakes_what_the_child_has_already(tmp_path: Path) -> None:
    host = EngineHost(engine_options(tmp_path, batch_size=1), engine_command())
    host.submit("long", write_recording(tmp_path / "long.pcm", *[Mark.LONG] * 16))
    host.submit("next", write_recording(tmp_path / "next.pcm", Mark.SPEECH))
    poll_until(host, lambda events: any(isinstance(event, Progress) and event.done for event in events))
    host.submit("urgent", write_recording(tmp_path / "urgent.pcm", Mark.SPEECH, Mark.SPEECH), urgent=True)

    events = settled(host)
    host.stop()

    assert [event.id for event in events if isinstance(event, Completed)] == ["urgent", "long", "next"]


def test_windows_of_several_recordings_are_decoded_together(host: EngineHost, tmp_path: Path) -> None:
    # The child may see the first recording alone, and take the batch size's worth of windows from it; then the others are there.
    host.submit("long", write_recording(tmp_path / "long.pcm", Mark.LONG, *[Mark.SPEECH] * 8))
    for name in "abcdefg":
        host.submit(name, write_recording(tmp_path / f"{name}.pcm", Mark.SPEECH))

    texts = {name: result.transcript.text for name, result in completed(settled(host)).items()}

    assert texts["long"].endswith("160 samples in a batch of 8")
    assert texts["g"] == "160 samples in a batch of 8"


def test_silence_has_a_transcript_without_text(host: EngineHost, tmp_path: Path) -> None:
    host.submit("silent", write_recording(tmp_path / "silent.pcm", Mark.SILENCE, Mark.SILENCE))

    transcript = completed(settled(host))["silent"].transcript

    assert transcript.text == ""
    assert transcript.verdict.kind is VerdictKind.NO_SPEECH


def test_progress_is_told_from_the_moment_the_speech_is_found(host: EngineHost, tmp_path: Path) -> None:
    host.submit("r1", write_recording(tmp_path / "r1.pcm", *[Mark.SPEECH] * 10))

    progress = [(event.done, event.total) for event in settled(host) if isinstance(event, Progress)]

    assert progress == [(0, 10), (8, 10), (10, 10)]


def test_the_weights_are_loaded_once_and_serve_until_they_are_unloaded(host: EngineHost, tmp_path: Path) -> None:
    pcm = write_recording(tmp_path / "r.pcm", Mark.SPEECH)
    host.submit("r1", pcm)
    first = settled(host)
    pid = host.pid
    host.submit("r2", pcm)
    second = settled(host)

    assert [type(event) for event in first].count(Ready) == 1
    assert not [event for event in second if isinstance(event, Ready)]
    assert host.pid == pid
    assert host.ready is not None

    host.unload()
    assert host.pid is None
    assert host.ready is None
    assert not Path(f"/proc/{pid}").exists()

    host.submit("r3", pcm)
    assert completed(settled(host)).keys() == {"r3"}
    assert host.restarts == 0


def test_weights_in_use_are_not_unloaded(host: EngineHost, tmp_path: Path) -> None:
    host.submit("r1", write_recording(tmp_path / "r1.pcm", Mark.SPEECH))
    poll_until(host, lambda _events: host.pid is not None)

    host.unload()

    assert host.pid is not None
    assert completed(settled(host)).keys() == {"r1"}


def test_the_weights_can_be_loaded_ahead_of_work(host: EngineHost) -> None:
    host.ensure_started()

    (ready,) = poll_until(host, bool)

    assert isinstance(ready, Ready)
    assert ready.load_seconds > 0


def test_a_ready_child_begins_before_anybody_polls(host: EngineHost, tmp_path: Path) -> None:
    host.ensure_started()
    poll_until(host, bool)

    host.submit("r1", write_recording(tmp_path / "r1.pcm", Mark.SPEECH))

    assert host._selector.select(30)  # it speaks of the recording


def test_nothing_is_heard_of_a_cancelled_recording(host: EngineHost, tmp_path: Path) -> None:
    host.ensure_started()
    poll_until(host, bool)
    host.submit("unwanted", write_recording(tmp_path / "unwanted.pcm", *[Mark.SPEECH] * 2000))
    host.submit("wanted", write_recording(tmp_path / "wanted.pcm", Mark.SPEECH))
    poll_until(host, bool)  # under way

    host.cancel("unwanted")
    host.cancel("unknown")
    events = settled(host)

    assert completed(events).keys() == {"wanted"}
    assert {event.id for event in events if isinstance(event, Progress)} == {"wanted"}


def test_a_file_that_is_missing_or_cut_off_is_given_back_without_blame(host: EngineHost, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcm"
    cut.write_bytes(b"\0\0\0")
    host.submit("missing", tmp_path / "missing.pcm")
    host.submit("cut", cut)
    host.submit("well", write_recording(tmp_path / "well.pcm", Mark.SPEECH))

    events = settled(host)

    assert [event for event in events if isinstance(event, Failed)] == [
        Failed(id=name, blame=False, kind=EngineFailure.PCM_UNREADABLE) for name in ("missing", "cut")
    ]
    assert completed(events).keys() == {"well"}
    assert host.restarts == 0


def test_what_libraries_print_does_not_disturb_the_replies(host: EngineHost, tmp_path: Path) -> None:
    host.submit("r1", write_recording(tmp_path / "r1.pcm", Mark.PRINT))

    assert completed(settled(host)).keys() == {"r1"}
    assert host.restarts == 0


def test_more_requests_than_the_pipe_holds_are_all_served(host: EngineHost, tmp_path: Path) -> None:
    pcm = write_recording(tmp_path / "r.pcm", Mark.SPEECH)
    names = {f"recording-{number:060}" for number in range(2000)}

    for name in names:
        host.submit(name, pcm)

    assert completed(settled(host)).keys() == names


def test_options_with_more_terms_than_the_pipe_holds_reach_the_child(tmp_path: Path) -> None:
    terms = tuple(f"term number {number}" for number in range(10_000))
    options = replace(engine_options(tmp_path), term_lists=TermLists(lists={"cardiology": terms}))
    host = EngineHost(options, engine_command())
    try:
        host.submit("r1", write_recording(tmp_path / "r1.pcm", Mark.SPEECH))
        assert completed(settled(host)).keys() == {"r1"}
    finally:
        host.stop()


def test_ctrl_c_and_sigterm_are_the_daemons_business(host: EngineHost, tmp_path: Path) -> None:
    host.ensure_started()
    poll_until(host, bool)
    assert host.pid is not None

    os.kill(host.pid, signal.SIGINT)
    os.kill(host.pid, signal.SIGTERM)
    host.submit("r1", write_recording(tmp_path / "r1.pcm", Mark.SPEECH))

    assert completed(settled(host)).keys() == {"r1"}
    assert host.restarts == 0


def test_stop_ends_a_child_in_the_middle_of_its_work(host: EngineHost, tmp_path: Path) -> None:
    host.submit("r1", write_recording(tmp_path / "r1.pcm", Mark.HANG))
    poll_until(host, lambda events: any(isinstance(event, Progress) for event in events))
    pid = host.pid

    host.stop()

    assert not Path(f"/proc/{pid}").exists()
    assert host.in_flight == set()
    assert host.poll() == []


def test_the_child_does_not_outlive_a_daemon_that_is_killed(tmp_path: Path) -> None:
    daemon = """
import sys
from pathlib import Path
from daemon.engine.host import EngineHost
from tests.support.transcribers import Mark, engine_command, engine_options, poll_until, write_recording

folder = Path(sys.argv[1])
host = EngineHost(engine_options(folder), engine_command())
host.submit("r1", write_recording(folder / "r1.pcm", Mark.HANG))
poll_until(host, lambda events: len(events) > 1)
print(host.pid, flush=True)
sys.stdin.read()
"""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", daemon, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        child = os.pidfd_open(pid)
        process.kill()

    select.select([child], [], [])  # readable once the process has ended
    os.close(child)


def test_transcribing_without_a_queue_hands_over_no_more_than_the_backlog(host: EngineHost, tmp_path: Path) -> None:
    pcm = write_recording(tmp_path / "r.pcm", Mark.SPEECH, Mark.SPEECH)
    names = [f"r{number}" for number in range(20)]
    most = 0

    events = []
    for event in transcribe_all(host, ((name, pcm) for name in names), backlog_seconds=0.05):
        events.append(event)
        most = max(most, len(host.in_flight))

    assert completed(events).keys() == set(names)
    assert most <= 3


def test_a_smaller_batch_within_the_child_is_said_on_the_transcript(tmp_path: Path) -> None:
    host = EngineHost(engine_options(tmp_path), engine_command(Behaviour(fits=3)))
    host.submit("r1", write_recording(tmp_path / "r1.pcm", *[Mark.SPEECH] * 8))

    result = completed(settled(host))["r1"]
    host.stop()

    assert result.fallback == "batch 2"
    assert result.transcript.text == " ".join(["160 samples in a batch of 2"] * 4 * 2)
    assert host.restarts == 0


class TestAnotherModel:
    """A promotion replaces the child; what it had in hand is nobody's fault and nobody's loss."""

    def test_what_is_in_flight_goes_to_the_next_child(self, host: EngineHost, tmp_path: Path) -> None:
        for name in "abc":
            host.submit(name, write_recording(tmp_path / name, Mark.LONG, Mark.LONG, Mark.LONG))
        poll_until(host, lambda events: any(isinstance(event, Progress) for event in events))
        first = host.pid

        host.reload(engine_options(tmp_path, precision="fp32"))
        events = settled(host)

        assert host.pid not in (None, first)
        assert {result.version.precision for result in completed(events).values()} == {"fp32"}
        assert completed(events).keys() == {"a", "b", "c"}
        assert not [event for event in events if isinstance(event, Failed | Died)]
        assert host.restarts == 0

    def test_a_suspect_is_still_tried_alone_by_the_next_child(self, host: EngineHost, tmp_path: Path) -> None:
        host.submit("deadly", write_recording(tmp_path / "deadly", Mark.SEGFAULT))
        host.submit("harmless", write_recording(tmp_path / "harmless", Mark.SPEECH))
        poll_until(host, lambda events: any(isinstance(event, Died) for event in events))
        host.reload(engine_options(tmp_path, precision="fp32"))
        events = settled(host)
        assert [event.id for event in events if isinstance(event, Failed)] == ["deadly"]
        assert completed(events).keys() == {"harmless"}

    def test_the_same_model_is_not_loaded_again(self, host: EngineHost, tmp_path: Path) -> None:
        host.ensure_started()
        pid = host.pid
        host.reload(engine_options(tmp_path))
        assert host.pid == pid

    def test_one_that_is_out_of_memory_is_loaded_when_there_is_work(self, host: EngineHost, tmp_path: Path) -> None:
        host.reload(engine_options(tmp_path, precision="fp32"))
        assert host.pid is None
        host.submit("r1", write_recording(tmp_path / "r1", Mark.SPEECH))
        assert completed(settled(host))["r1"].version.precision == "fp32"
