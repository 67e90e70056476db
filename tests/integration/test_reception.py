"""Reception: from a settled file to a row, through every kind of trouble, with nothing lost and nothing twice."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from daemon.intake import arrival as inbox
from daemon.intake import spool
from daemon.intake.ignore import InboxRules
from daemon.intake.inbox import InboxWatch
from daemon.intake.late import LateWatch
from daemon.intake.reception import Intake, IntakeOptions
from daemon.intake.stability import StabilityTracker
from daemon.pulse import Pulse
from daemon.store import jobs, recordings
from daemon.store.connection import Store
from daemon.store.schema import Arrival, Recording
from daemon.store.states import Priority
from medasr.errors import TransientError
from tests.support.stores import NOW, open_store


class Bench:
    """An inbox, a spool, a store and an intake, with a clock that moves when told."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.inbox, self.spool, self.store = folder / "inbox", folder / "spool", store
        self.inbox.mkdir(exist_ok=True)
        spool.prepare(self.spool)
        self.seconds = 0.0
        self.woken = 0
        self.intake = self.restart()

    def restart(self, **options: object) -> Intake:
        import threading

        self.intake = Intake(
            store=self.store,
            options=replace(
                IntakeOptions(
                    inbox=self.inbox,
                    spool=self.spool,
                    rules=InboxRules(extensions=("wav", "flac")),
                    max_bytes=10_000,
                    min_free_bytes=0,
                    empty_seconds=60,
                ),
                **options,  # type: ignore[arg-type]
            ),
            tracker=StabilityTracker(5.0, lambda: self.seconds),
            watch=InboxWatch(self.inbox, threading.Event(), polling="always"),
            late=LateWatch(lambda: self.seconds, 5.0),
            pulse=Pulse(),
            now=self.now,
            on_received=self.wake,
        )
        self.intake.recover()
        return self.intake

    def now(self) -> datetime:
        return NOW

    def wake(self) -> None:
        self.woken += 1

    def drop(self, name: str, content: bytes = b"RIFF....WAVE") -> Path:
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def settle(self) -> int:
        """Look, let the time pass that a file has to keep still, and look again."""
        taken = self.intake.turn()
        self.seconds += 6
        return taken + self.intake.turn()

    def recordings(self) -> list[Recording]:
        with self.store.read() as session:
            return list(session.scalars(select(Recording).order_by(Recording.received_at, Recording.name)))

    def arrivals(self) -> list[Arrival]:
        with self.store.read() as session:
            return list(session.scalars(select(Arrival).order_by(Arrival.id)))

    def copies(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.spool / "recordings").iterdir()}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    store = open_store(tmp_path)
    made = Bench(tmp_path, store)
    yield made
    made.intake.close()
    store.close()


class TestUrgent:
    def priorities(self, bench: Bench) -> dict[str, Priority]:
        with bench.store.read() as session:
            return {
                job.recording.name: Priority(job.priority)
                for job in sorted(jobs.listing(session), key=lambda job: job.id)
            }

    def test_what_lies_in_the_urgent_folder_or_below_it_is_urgent_and_labelled_as_ever(self, bench: Bench) -> None:
        bench.restart(urgent=("urgent",))
        for name in ("a.wav", "cardiology/b.wav", "urgently/c.wav", "cardiology/urgent/d.wav"):
            bench.drop(name, name.encode())
        for name in ("urgent/e.wav", "Urgent/cardiology/f.wav"):
            bench.drop(name, name.encode())
        bench.settle()
        found = self.priorities(bench)
        assert sorted(name for name, priority in found.items() if priority is Priority.URGENT) == ["e.wav", "f.wav"]
        assert len(found) == 6
        labels = {recording.name: recording.label for recording in bench.recordings()}
        assert (labels["e.wav"], labels["f.wav"]) == ("urgent", "Urgent/cardiology")

    def test_a_path_of_folders_may_be_the_urgent_one(self, bench: Bench) -> None:
        bench.restart(urgent=("ward", "now"))
        bench.drop("ward/a.wav", b"a")
        bench.drop("ward/now/b.wav", b"b")
        bench.settle()
        assert self.priorities(bench) == {"a.wav": Priority.ORDINARY, "b.wav": Priority.URGENT}

    def test_without_such_a_folder_its_name_means_nothing(self, bench: Bench) -> None:
        bench.drop("urgent/a.wav", b"a")
        bench.settle()
        assert self.priorities(bench) == {"a.wav": Priority.ORDINARY}

    def test_it_is_taken_before_others_that_settled_with_it(self, bench: Bench) -> None:
        bench.restart(urgent=("urgent",))
        for name in ("a.wav", "b.wav", "urgent/c.wav"):
            bench.drop(name, name.encode())
        bench.settle()
        assert list(self.priorities(bench)) == ["c.wav", "a.wav", "b.wav"]

    def test_it_need_not_wait_until_all_that_settled_before_it_are_taken(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("daemon.intake.reception.BATCH_FILES", 1)
        monkeypatch.setattr("daemon.intake.reception.TURN_BATCHES", 2)
        bench.restart(urgent=("urgent",))
        for number in range(6):
            bench.drop(f"{number}.wav", b"%d" % number)
        bench.intake.turn()
        bench.seconds += 4
        bench.drop("urgent/late.wav", b"urgent")
        bench.intake.turn()
        bench.seconds += 4
        assert bench.intake.turn() == 2
        bench.seconds += 4
        while bench.intake.turn():
            pass
        assert list(self.priorities(bench)) == ["0.wav", "1.wav", "late.wav", "2.wav", "3.wav", "4.wav", "5.wav"]

    def test_bytes_that_came_late_to_an_urgent_recording_are_urgent_too(self, bench: Bench) -> None:
        bench.restart(urgent=("urgent",))
        path = bench.drop("urgent/a.wav", b"the beginning")
        with path.open("ab") as recorder:
            bench.settle()
            recorder.write(b" and the rest")
            recorder.flush()
            bench.settle()
        with bench.store.read() as session:
            assert [job.priority for job in jobs.listing(session)] == [Priority.URGENT] * 2


class TestTaking:
    def test_a_settled_file_becomes_a_recording_and_leaves_the_inbox(self, bench: Bench) -> None:
        original = bench.drop("visit.wav", b"the bytes")
        assert bench.settle() == 1
        (recording,) = bench.recordings()
        assert recording.name == "visit.wav"
        assert bench.copies() == {recording.id: b"the bytes"}
        assert not original.exists()
        assert bench.woken == 1

    def test_a_file_still_growing_is_left_alone(self, bench: Bench) -> None:
        original = bench.drop("visit.wav", b"half")
        bench.intake.turn()
        for _ in range(5):
            bench.seconds += 4
            with original.open("ab") as file:
                file.write(b" more")
            assert bench.intake.turn() == 0
        assert original.exists()

    def test_sub_folders_are_its_label_and_metadata_beside_it_comes_along(self, bench: Bench) -> None:
        bench.drop("cardiology/visit.wav")
        sidecar = bench.drop("cardiology/visit.json", json.dumps({"ward": "3B"}).encode())
        bench.settle()
        (recording,) = bench.recordings()
        assert (recording.label, recording.sidecar) == ("cardiology", {"ward": "3B"})
        assert not sidecar.exists()

    def test_metadata_that_is_no_json_is_kept_as_text_and_flagged(self, bench: Bench) -> None:
        bench.drop("visit.wav")
        bench.drop("visit.json", b"not json")
        bench.settle()
        assert bench.recordings()[0].sidecar == {"text": "not json"}
        assert bench.arrivals()[0].warning == "SIDECAR_MALFORMED"

    def test_the_same_bytes_twice_are_one_recording_and_two_arrivals(self, bench: Bench) -> None:
        bench.drop("a.wav", b"same")
        bench.drop("b.wav", b"same")
        bench.settle()
        (recording,) = bench.recordings()
        assert set(bench.copies()) == {recording.id}
        assert [arrival.duplicate for arrival in bench.arrivals()] == [False, True]
        assert list(bench.inbox.iterdir()) == []

    @pytest.mark.parametrize("damage", ["lost", "altered"])
    def test_a_recording_dropped_again_restores_our_copy_of_it(self, bench: Bench, damage: str) -> None:
        bench.drop("visit.wav", b"the bytes")
        bench.settle()
        ((identifier, content),) = bench.copies().items()
        copy = spool.recording_path(bench.spool, identifier)
        copy.unlink() if damage == "lost" else copy.write_bytes(b"other bytes")
        again = bench.drop("again.wav", content)
        bench.settle()
        assert bench.copies() == {identifier: b"the bytes"}
        assert not again.exists()

    def test_metadata_that_comes_with_a_duplicate_is_kept_where_there_was_none(self, bench: Bench) -> None:
        bench.drop("visit.wav", b"same")
        bench.settle()
        bench.drop("visit.wav", b"same")
        bench.drop("visit.json", json.dumps({"ward": "3B"}).encode())
        bench.settle()
        assert bench.recordings()[0].sidecar == {"ward": "3B"}

    def test_what_is_too_big_stays_and_is_named(self, bench: Bench) -> None:
        original = bench.drop("long.wav", bytes(10_001))
        bench.drop("short.wav")
        assert bench.settle() == 1
        assert original.exists()
        assert bench.intake.status.left_counts == {"TOO_BIG": 1}

    def test_when_there_is_no_room_everything_stays_and_is_named(self, bench: Bench) -> None:
        bench.restart(min_free_bytes=shutil.disk_usage(bench.spool).total * 2)
        original = bench.drop("visit.wav")
        assert bench.settle() == 0
        assert original.exists()
        assert bench.intake.status.left_counts == {"NO_SPACE": 1}

    def test_many_files_are_taken_each_once(self, bench: Bench) -> None:
        for number in range(200):
            bench.drop(f"{number}.wav", str(number).encode())
        assert bench.settle() == 200
        assert sorted(bench.copies().values()) == sorted(str(number).encode() for number in range(200))

    def test_when_told_to_stop_it_begins_no_further_batch_and_leaves_the_rest_where_it_is(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("daemon.intake.reception.BATCH_FILES", 2)
        for number in range(5):
            bench.drop(f"{number}.wav", str(number).encode())
        monkeypatch.setattr(bench.intake, "on_received", bench.intake.interrupt)
        assert bench.settle() == 2
        assert len(list(bench.inbox.iterdir())) == 3


class TestTrouble:
    def test_a_database_that_refuses_delays_and_loses_nothing(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = bench.drop("visit.wav", b"the bytes")
        real = recordings.receive
        refusals = iter([True, True])

        def refuse_twice(*arguments: object, **options: object) -> object:
            if next(refusals, False):
                raise TransientError("database locked")
            return real(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr("daemon.intake.reception.recordings.receive", refuse_twice)
        assert bench.settle() == 0
        assert original.exists()
        assert bench.intake.status.problem == "TransientError"
        bench.intake.turn()
        bench.intake.turn()
        assert list(bench.copies().values()) == [b"the bytes"]
        assert not original.exists()
        assert bench.intake.status.problem == ""

    def test_the_inbox_may_vanish_and_come_back(self, bench: Bench) -> None:
        bench.inbox.rmdir()
        bench.intake.turn()
        assert bench.intake.status.problem == "MISSING"
        bench.inbox.mkdir()
        bench.drop("visit.wav")
        assert bench.settle() == 1
        assert bench.intake.status.problem == ""

    def test_a_recorder_that_writes_on_after_its_file_was_taken_loses_nothing(self, bench: Bench) -> None:
        original = bench.drop("visit.wav", b"first half")
        with original.open("ab") as recorder:
            assert bench.settle() == 1
            recorder.write(b", second half")
            recorder.flush()
            assert bench.settle() == 1
        assert sorted(bench.copies().values()) == [b"first half", b"first half, second half"]
        assert [arrival.warning for arrival in bench.arrivals()] == [None, "LATE_BYTES"]

    def test_late_bytes_of_one_are_not_lost_with_the_disk_full_for_another(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        originals = [bench.drop("a.wav", b"a"), bench.drop("b.wav", b"b")]
        recorders = [original.open("ab") for original in originals]
        bench.settle()

        def refuse(*arguments: object) -> spool.Copied:
            raise TransientError("disk full")

        with monkeypatch.context() as patch:
            patch.setattr("daemon.intake.reception.spool.copy_in", refuse)
            for recorder in recorders:
                recorder.write(b" and more")
                recorder.close()
            bench.settle()
        bench.seconds += 6
        bench.settle()
        assert sorted(bench.copies().values()) == [b"a", b"a and more", b"b", b"b and more"]

    @pytest.mark.parametrize("at_the_end", [False, True])
    def test_late_bytes_that_cannot_be_read_do_not_hold_up_those_of_another(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, at_the_end: bool
    ) -> None:
        bad, good = bench.drop("a-bad.wav", b"bad"), bench.drop("b-good.wav", b"good")
        recorders = [original.open("ab") for original in (bad, good)]
        bench.settle()
        real = spool.copy_in

        def refuse_bad(folder: Path, arrival: inbox.Arrival, descriptor: int) -> spool.Copied:
            if arrival.path.name == bad.name:
                raise TransientError("it cannot be read")
            return real(folder, arrival, descriptor)

        monkeypatch.setattr("daemon.intake.reception.spool.copy_in", refuse_bad)
        for recorder in recorders:
            recorder.write(b" and more")
            recorder.close()
        if at_the_end:
            bench.intake.close()
        else:
            bench.settle()
        assert sorted(bench.copies().values()) == [b"bad", b"good", b"good and more"]

    def test_a_spool_that_refuses_a_restored_copy_delays_and_loses_nothing(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.drop("visit.wav", b"the bytes")
        bench.settle()
        again = bench.drop("again.wav", b"the bytes")
        new = bench.drop("new.wav", b"new bytes")

        def refuse(*arguments: object) -> None:
            raise TransientError("disk trouble")

        with monkeypatch.context() as patch:
            patch.setattr("daemon.intake.reception.spool.replace", refuse)
            bench.settle()
            assert again.exists()
        bench.intake.turn()
        assert sorted(bench.copies().values()) == [b"new bytes", b"the bytes"]
        assert not again.exists()
        assert not new.exists()


class TestRestarts:
    def test_an_unfinished_copy_is_swept(self, bench: Bench) -> None:
        (bench.spool / "tmp" / ("0" * 32)).write_bytes(b"half")
        bench.restart()
        assert list((bench.spool / "tmp").iterdir()) == []

    def test_a_copy_without_a_row_gives_way_to_the_original_that_is_still_there(self, bench: Bench) -> None:
        (bench.spool / "recordings" / ("0" * 32)).write_bytes(b"the bytes")
        bench.drop("visit.wav", b"the bytes")
        bench.restart()
        bench.settle()
        (recording,) = bench.recordings()
        assert recording.name == "visit.wav"
        assert bench.copies() == {recording.id: b"the bytes"}

    def test_a_copy_without_a_row_and_without_an_original_is_adopted(self, bench: Bench) -> None:
        (bench.spool / "recordings" / ("0" * 32)).write_bytes(b"the bytes")
        bench.restart()
        bench.intake.turn()
        (recording,) = bench.recordings()
        assert (recording.id, recording.name) == ("0" * 32, "recovered-00000000")
        assert bench.arrivals()[0].warning == "RECOVERED"

    def test_an_original_whose_row_is_there_is_removed_and_not_taken_again(self, bench: Bench) -> None:
        original = bench.drop("visit.wav", b"the bytes")
        status = original.stat()
        bench.settle()
        shutil.copy(next((bench.spool / "recordings").iterdir()), bench.inbox / "again.wav")
        os.utime(bench.inbox / "again.wav", ns=(status.st_atime_ns, status.st_mtime_ns))
        bench.settle()
        assert len(bench.recordings()) == 1
        assert len(bench.copies()) == 1
        assert list(bench.inbox.iterdir()) == []
