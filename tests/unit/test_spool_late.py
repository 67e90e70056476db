"""A recorder that goes on writing after its file was taken: its bytes are found on the open descriptor."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daemon.intake.late import LateWatch
from daemon.intake.source import open_arrival, remove_source
from daemon.intake.spool import copy_in, prepare
from tests.support.intake import FakeClock, arrival_of, open_descriptors, sha256

SETTLE = 5.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def watch(clock: FakeClock) -> LateWatch:
    return LateWatch(clock, SETTLE, seconds=60, limit=3)


class Recorder:
    """Holds its file open, as recorders do."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.open("wb", buffering=0)
        self.file.write(b"first ")

    def is_taken_by(self, watch: LateWatch) -> None:
        arrival = arrival_of(self.path)
        descriptor = open_arrival(arrival)
        remove_source(arrival)
        watch.keep(self.path.stem, arrival, descriptor)


@pytest.fixture
def recorder(tmp_path: Path):
    recorder = Recorder(tmp_path / "one.wav")
    yield recorder
    recorder.file.close()


def test_bytes_written_after_the_removal_are_reported_and_can_be_taken(recorder, watch, clock, tmp_path):
    recorder.is_taken_by(watch)
    recorder.file.write(b"second")
    assert watch.check() == []
    clock.advance(SETTLE)
    (late,) = watch.check()
    assert late.recording_id == "one"
    prepare(tmp_path / "spool")
    copied = copy_in(tmp_path / "spool", late.arrival, late.descriptor)
    assert copied.sha256 == sha256(b"first second")
    os.close(late.descriptor)


def test_nothing_is_reported_while_the_recorder_writes_on(recorder, watch, clock):
    recorder.is_taken_by(watch)
    for _ in range(30):
        recorder.file.write(b"more")
        assert watch.check() == []
        clock.advance(4)
    clock.advance(1)
    (late,) = watch.check()
    assert late.arrival.size == len(b"first ") + 30 * 4
    os.close(late.descriptor)


def test_a_header_patched_without_a_change_of_size_is_reported(recorder, watch, clock):
    recorder.is_taken_by(watch)
    recorder.file.seek(0)
    recorder.file.write(b"F")
    os.utime(recorder.file.fileno(), ns=(1, 1))
    watch.check()
    clock.advance(SETTLE)
    (late,) = watch.check()
    os.close(late.descriptor)


def test_a_quiet_file_is_let_go_after_a_minute(recorder, watch, clock, tmp_path):
    recorder.is_taken_by(watch)
    recorder.file.close()
    clock.advance(59)
    assert watch.check() == []
    assert len(watch) == 1
    clock.advance(1)
    assert watch.check() == []
    assert len(watch) == 0
    assert not [name for name in open_descriptors() if str(tmp_path) in name]


def test_the_oldest_gives_way_and_is_looked_at_once_more(watch, tmp_path):
    recorders = [Recorder(tmp_path / f"{number}.wav") for number in range(4)]
    for recorder in recorders[:3]:
        recorder.is_taken_by(watch)
    recorders[0].file.write(b"late")
    recorders[3].is_taken_by(watch)
    (late,) = watch.check()
    assert late.recording_id == "0"
    assert len(watch) == 3
    os.close(late.descriptor)
    assert watch.close() == []
    for recorder in recorders:
        recorder.file.close()


def test_what_could_not_be_copied_is_reported_again(recorder, watch, clock):
    recorder.is_taken_by(watch)
    recorder.file.write(b"second")
    watch.check()
    clock.advance(SETTLE)
    (late,) = watch.check()
    watch.again(late)
    assert watch.check() == []
    clock.advance(SETTLE)
    (late,) = watch.check()
    assert late.arrival.size == len(b"first second")
    os.close(late.descriptor)


def test_a_file_emptied_after_it_was_taken_holds_nothing_to_take(recorder, watch, clock):
    recorder.is_taken_by(watch)
    recorder.file.truncate(0)
    watch.check()
    clock.advance(SETTLE)
    assert watch.check() == []
    assert len(watch) == 0


def test_at_the_end_late_bytes_are_reported_quiet_or_not(recorder, watch):
    recorder.is_taken_by(watch)
    recorder.file.write(b"second")
    (late,) = watch.close()
    assert late.arrival.size == len(b"first second")
    os.close(late.descriptor)
