"""The worker: every recording ends as what it deserves, whatever fails on the way, and only for its own failures."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from daemon.engine.bias import Bias
from daemon.engine.protocol import Completed, EngineEvent, EngineFailure
from daemon.intake import spool
from daemon.store import jobs, transcripts
from daemon.store.schema import Job
from daemon.store.states import JobState, Priority, doubtful_jobs
from daemon.workload import Workload
from medasr.errors import ModelError, Reason, RecordingError, TransientError
from medasr.types import VerdictKind
from tests.support.stores import NOW
from tests.support.workbench import Workbench, failed, heard, make_workbench

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from daemon.decode.server import DecodeLimits
    from medasr.types import AudioFacts


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    made = make_workbench(tmp_path)
    yield made
    made.store.close()


def guessed(text: str) -> Callable[[str], EngineEvent]:
    """The answer of an engine that was sure of nothing."""

    def answer(number: str) -> EngineEvent:
        event = heard(text, verdict=VerdictKind.NEEDS_REVIEW)(number)
        assert isinstance(event, Completed)
        (segment,) = event.transcript.segments
        unsure = replace(segment, mean_log_probability=-2.0)
        return replace(event, transcript=replace(event.transcript, segments=(unsure,)))

    return answer


def cancel(bench: Workbench, recording: str) -> None:
    """What a person's command does, in a thread of its own."""
    with bench.store.write() as session:
        jobs.quarantine(session, bench.job(recording).id, Reason.CANCELLED, now=NOW, actor="clerk")
    bench.worker.cancel(bench.job(recording).id)


class TestTheWayOfARecording:
    def test_it_is_decoded_transcribed_stored_with_its_terms_and_delivered(self, bench: Workbench) -> None:
        (recording,) = bench.drop("visit.wav")
        bench.turn(2)
        with bench.store.read() as session:
            transcript = transcripts.latest(session, recording)
            assert transcript is not None
            assert transcript.text == "The patient takes ibuprofen."
            assert [(term.term, term.category) for term in transcript.terms] == [("ibuprofen", "drug")]
            assert transcript.recording.facts is not None
        assert bench.names("outbox") == ["visit.json", "visit.srt", "visit.txt", "visit.vtt"]
        assert bench.job(recording).delivered_at is not None

    @pytest.mark.parametrize("verdict", list(VerdictKind))
    def test_the_verdict_is_its_state(self, bench: Workbench, verdict: VerdictKind) -> None:
        bench.engine.answer = heard(*([] if verdict is VerdictKind.NO_SPEECH else ["hello"]), verdict=verdict)
        bench.drop("visit.wav")
        bench.turn(2)
        assert bench.states() == {JobState.DONE if verdict is VerdictKind.OK else JobState(verdict): 1}
        assert "visit.json" in bench.names("outbox")

    def test_a_drug_that_was_a_guess_is_to_review_and_seen_first(self, bench: Workbench) -> None:
        (looped,) = bench.drop("looped.wav")
        bench.engine.answer = heard("The same.", verdict=VerdictKind.NEEDS_REVIEW)
        bench.turn(2)
        bench.engine.answer = guessed("The patient takes ibuprofen.")
        (recording,) = bench.drop("visit.wav")
        bench.turn(2)
        with bench.store.read() as session:
            transcript = transcripts.latest(session, recording)
            assert transcript is not None
            assert [concern["code"] for concern in transcript.concerns] == ["DOUBTFUL_TERM", "LOOP"]
            assert transcript.segments[0].concerns == ["DOUBTFUL_TERM"]
        assert bench.job(recording).state == bench.job(looped).state == JobState.NEEDS_REVIEW
        assert doubtful_jobs(bench.store.path) == 1

    def test_the_folder_it_was_dropped_in_names_its_list_of_terms(self, tmp_path: Path) -> None:
        bench = make_workbench(tmp_path, bias=Bias(lists={"cardiology": Path("heart.txt")}))
        for label in ("", "cardiology/visits"):
            bench.drop(f"{len(label)}.wav", label=label)
        bench.turn(2)
        assert list(bench.engine.terms.values()) == ["", "cardiology"]
        bench.store.close()

    def test_normalized_samples_do_not_outlive_the_work(self, bench: Workbench) -> None:
        bench.drop("a.wav", "b.wav")
        bench.turn(2)
        assert bench.names("samples") == []

    def test_no_more_audio_waits_before_the_model_than_allowed(self, tmp_path: Path) -> None:
        bench = make_workbench(tmp_path, backlog_seconds=3.0)
        bench.engine.silent = True
        bench.drop(*(f"{number}.wav" for number in range(10)))
        bench.turn(5)
        assert bench.engine.most_in_flight == 3
        bench.store.close()

    def test_samples_on_the_disk_are_bounded_however_many_recordings_wait(self, tmp_path: Path) -> None:
        bench = make_workbench(tmp_path, backlog_seconds=4.0)
        bench.drop(*(f"{number}.wav" for number in range(100)))
        most = 0
        while bench.states().get(JobState.DONE, 0) < 100:
            bench.engine.silent = not bench.engine.silent
            bench.turn()
            most = max(most, len(bench.names("samples")))
        assert most == 4
        assert bench.decoder.decoded == 100
        bench.store.close()

    def test_a_result_that_cannot_be_stored_yet_counts_among_what_waits(self, tmp_path: Path) -> None:
        """Its samples lie on the disk until then."""
        load = Workload(backlog_seconds=2.0)
        load.add(1, "a" * 32, Priority.ORDINARY)
        load.decoded(1, 2.5)
        assert load.claimable() is Priority.URGENT
        load.remove(1)
        assert load.claimable() is Priority.ORDINARY

    def test_no_more_recordings_are_in_work_than_can_be_put_back_soon(
        self, bench: Workbench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("daemon.workload.MOST_IN_WORK", 2)
        bench.engine.silent = True
        bench.drop("a.wav", "b.wav", "c.wav")
        bench.turn(3)
        assert bench.engine.most_in_flight == 2


class TestUrgent:
    def test_one_goes_to_the_model_before_all_that_wait(self, bench: Workbench) -> None:
        ordinary = bench.drop("a.wav", "b.wav")
        (urgent,) = bench.drop("urgent.wav", urgent=True)
        bench.engine.silent = True
        bench.turn()
        assert list(bench.engine.queue) == [str(bench.job(recording).id) for recording in (urgent, *ordinary)]
        assert bench.engine.urgent == {str(bench.job(urgent).id)}

    def test_what_was_decoded_ahead_does_not_keep_one_waiting(self, tmp_path: Path) -> None:
        bench = make_workbench(tmp_path, backlog_seconds=3.0)
        bench.engine.silent = True
        bench.drop(*(f"{number}.wav" for number in range(5)))
        bench.turn(2)
        assert len(bench.engine.queue) == 3
        (urgent,) = bench.drop("urgent.wav", urgent=True)
        bench.turn(2)
        assert list(bench.engine.queue)[3:] == [str(bench.job(urgent).id)]
        bench.store.close()

    def test_many_of_them_are_decoded_ahead_no_farther_than_others(self, tmp_path: Path) -> None:
        bench = make_workbench(tmp_path, backlog_seconds=3.0)
        bench.engine.silent = True
        bench.drop(*(f"{number}.wav" for number in range(5)))
        bench.turn(2)
        bench.drop(*(f"urgent-{number}.wav" for number in range(5)), urgent=True)
        bench.turn(5)
        assert len(bench.engine.queue) == 6
        assert len(bench.names("samples")) == 6
        bench.store.close()

    def test_it_is_urgent_again_after_a_stop(self, bench: Workbench) -> None:
        bench.drop("a.wav")
        (urgent,) = bench.drop("urgent.wav", urgent=True)
        bench.engine.silent = True
        bench.turn()
        bench.worker.release()
        bench.engine.queue.clear()
        bench.turn()
        assert next(iter(bench.engine.queue)) == str(bench.job(urgent).id)


class TestBadRecordings:
    def test_one_that_cannot_be_decoded_is_quarantined_with_its_bytes_and_the_others_go_on(
        self, bench: Workbench
    ) -> None:
        bench.decoder.errors = [RecordingError(Reason.BAD_FORMAT, "no audio")]
        bad, good = bench.drop("bad.wav", "good.wav")
        bench.turn(2)
        assert bench.job(bad).reason == Reason.BAD_FORMAT
        assert bench.job(good).state == JobState.DONE
        assert bench.names("quarantine") == ["bad.error.json", "bad.wav"]
        error = json.loads((bench.folder / "quarantine/bad.error.json").read_text())
        assert error["reason"] == "BAD_FORMAT"
        assert error["meaning"]

    def test_one_that_brings_the_decoder_down_gets_a_second_chance_and_no_third(self, bench: Workbench) -> None:
        bench.decoder.errors = [RecordingError(Reason.DECODER_CRASHED, "died")] * 2
        (recording,) = bench.drop("poison.wav")
        bench.turn()
        assert bench.job(recording).state == JobState.RETRY
        bench.advance(seconds=31)
        bench.turn()
        assert bench.job(recording).reason == Reason.DECODER_CRASHED

    def test_one_whose_copy_was_altered_is_lost_and_not_transcribed(self, bench: Workbench) -> None:
        (recording,) = bench.drop("visit.wav")
        spool.recording_path(bench.folder / "spool", recording).write_bytes(b"something else")
        bench.turn()
        assert bench.job(recording).reason == Reason.LOST
        assert bench.decoder.decoded == 0

    def test_one_that_the_model_fails_on_alone_is_quarantined_at_the_last_attempt(self, bench: Workbench) -> None:
        bench.engine.answer = failed(EngineFailure.CRASHED, blame=True)
        (recording,) = bench.drop("poison.wav")
        for _ in range(3):
            assert bench.job(recording).state in (JobState.RECEIVED, JobState.RETRY)
            bench.turn(2)
            bench.advance(hours=1)
        assert (bench.job(recording).reason, bench.job(recording).attempts) == (Reason.ENGINE_FAILED, 3)

    def test_innocent_ones_are_tried_as_often_as_it_takes(self, bench: Workbench) -> None:
        bench.engine.answer = failed(EngineFailure.HUNG, blame=False)
        (recording,) = bench.drop("visit.wav")
        bench.turn(20)
        bench.engine.answer = heard("hello")
        bench.turn(3)
        assert (bench.job(recording).state, bench.job(recording).attempts) == (JobState.DONE, 1)

    def test_one_that_failed_before_has_the_model_to_itself_at_its_last_attempt(self, tmp_path: Path) -> None:
        bench = make_workbench(tmp_path, max_attempts=1)
        ids = bench.drop("poison.wav", "other.wav")
        with bench.store.write() as session:
            job = jobs.of_recording(session, ids[0])
            job.attempts = 1
        bench.engine.silent = True
        bench.turn(3)
        assert bench.engine.most_in_flight == 1
        bench.store.close()

    def test_an_error_nobody_expected_ends_at_its_recording(self, bench: Workbench) -> None:
        bench.decoder.errors = [ZeroDivisionError("a fault of ours")]
        bad, good = bench.drop("bad.wav", "good.wav")
        bench.turn(2)
        assert bench.job(bad).state == JobState.RETRY
        assert bench.job(good).state == JobState.DONE

    def test_a_result_that_cannot_be_stored_ends_at_its_recording(
        self, bench: Workbench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bad, good = bench.drop("bad.wav", "good.wav")
        real = transcripts.complete

        def fail_on_bad(session: object, job_id: int, recording_id: str, *rest: object, **options: object) -> None:
            if recording_id == bad:
                raise ZeroDivisionError("a fault of ours")
            real(session, job_id, recording_id, *rest, **options)  # type: ignore[arg-type]

        monkeypatch.setattr("daemon.results.transcripts.complete", fail_on_bad)
        bench.turn(2)
        assert bench.job(bad).state == JobState.RETRY
        assert bench.job(good).state == JobState.DONE


class TestTroubleWithTheMachine:
    def test_a_full_disk_is_nobodys_attempt_and_everything_goes_on_afterwards(self, bench: Workbench) -> None:
        (recording,) = bench.drop("visit.wav")
        for _ in range(10):
            bench.decoder.errors = [TransientError("disk full")]
            bench.turn()
            bench.advance(seconds=11)
        assert (bench.job(recording).state, bench.job(recording).attempts) == (JobState.RETRY, 0)
        bench.decoder.errors = []
        bench.turn(3)
        assert bench.job(recording).state == JobState.DONE

    def test_a_result_that_the_database_does_not_take_is_kept_and_not_computed_again(
        self, bench: Workbench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (recording,) = bench.drop("visit.wav")
        real = transcripts.complete
        refusals = iter([True, True])

        def refuse_twice(*arguments: object, **options: object) -> None:
            if next(refusals, False):
                raise TransientError("database locked")
            real(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr("daemon.results.transcripts.complete", refuse_twice)
        for _ in range(5):
            bench.turn()
            bench.advance(seconds=11)
        assert bench.job(recording).state == JobState.DONE
        assert bench.decoder.decoded == 1

    def test_files_that_cannot_be_delivered_now_are_delivered_later(self, bench: Workbench) -> None:
        (recording,) = bench.drop("visit.wav")
        (bench.folder / "outbox").write_text("somebody put a file in the folder's place")
        bench.turn(2)
        assert bench.job(recording).state == JobState.DONE
        assert bench.job(recording).delivered_at is None
        (bench.folder / "outbox").unlink()
        bench.advance(seconds=11)
        bench.turn(2)
        assert "visit.json" in bench.names("outbox")

    def test_a_folder_that_is_away_keeps_files_waiting_and_not_the_transcription(self, bench: Workbench) -> None:
        (bench.folder / "outbox").write_text("somebody put a file in the folder's place")
        (first,) = bench.drop("first.wav")
        bench.turn(2)
        (second,) = bench.drop("second.wav")
        bench.turn(2)
        assert [bench.job(recording).state for recording in (first, second)] == [JobState.DONE, JobState.DONE]
        assert bench.worker.trouble == "DELIVERY"

    def test_an_urgent_one_that_meets_trouble_each_time_keeps_no_other_waiting(self, bench: Workbench) -> None:
        bad, *others = bench.drop("bad.wav", "one.wav", "two.wav")
        with bench.store.write() as session:
            session.get_one(Job, bench.job(bad).id).priority = Priority.URGENT
        real = bench.decoder.decode

        def decode(source: int, sink: int, limits: DecodeLimits) -> AudioFacts:
            if os.fstat(source).st_ino == (bench.folder / "spool" / "recordings" / bad).stat().st_ino:
                raise TransientError("the kernel ended the decoder for its memory")
            return real(source, sink, limits)

        bench.decoder.decode = decode  # type: ignore[method-assign]
        for _ in range(4):
            bench.turn()
            bench.advance(seconds=11)
        assert [bench.job(recording).state for recording in others] == [JobState.DONE, JobState.DONE]
        assert (bench.job(bad).state, bench.job(bad).attempts) == (JobState.RETRY, 0)
        bench.decoder.decode = real  # type: ignore[method-assign]
        bench.turn(2)
        assert bench.job(bad).state == JobState.DONE

    def test_one_whose_files_cannot_be_delivered_keeps_no_other_waiting(self, bench: Workbench) -> None:
        (bench.folder / "outbox" / "bad.txt").mkdir(parents=True)
        bench.drop("bad.wav", "good.wav")
        bench.turn(3)
        assert "good.json" in bench.names("outbox")
        assert bench.worker.trouble == "DELIVERY"
        bench.advance(seconds=11)
        bench.drop("later.wav")
        bench.turn(3)
        assert "later.json" in bench.names("outbox")
        (bench.folder / "outbox" / "bad.txt").rmdir()
        bench.advance(seconds=21)
        bench.turn(2)
        assert "bad.json" in bench.names("outbox")
        assert bench.worker.trouble == ""

    def test_samples_that_cannot_be_written_are_not_the_recordings_fault(self, bench: Workbench) -> None:
        (recording,) = bench.drop("visit.wav")
        (bench.folder / "samples").rmdir()
        for _ in range(5):
            bench.turn()
            bench.advance(hours=1)
        assert (bench.job(recording).state, bench.job(recording).attempts) == (JobState.RETRY, 0)

    def test_results_that_come_with_bad_news_are_kept_while_the_database_refuses_the_news(
        self, bench: Workbench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bad, good = bench.drop("bad.wav", "good.wav")
        answers = {str(bench.job(bad).id): failed(EngineFailure.CRASHED, blame=True)}
        bench.engine.answer = lambda number: answers.get(number, heard("hello"))(number)

        def refuse(*arguments: object, **options: object) -> None:
            raise TransientError("database locked")

        with monkeypatch.context() as patch:
            patch.setattr("daemon.claims.jobs.postpone", refuse)
            bench.turn(2)
        bench.advance(seconds=11)
        bench.turn()
        assert bench.job(good).state == JobState.DONE
        assert bench.decoder.decoded == 3  # the bad one was decoded again, the good one was not

    def test_a_clock_that_was_set_back_keeps_nothing_waiting(self, bench: Workbench) -> None:
        bench.advance(days=365)
        fresh, troubled = bench.drop("fresh.wav", "troubled.wav")
        with bench.store.write() as session:
            jobs.claim(session, bench.job(troubled).id, owner="t", lease=timedelta(minutes=5), now=bench.clock[0])
            jobs.postpone(session, bench.job(troubled).id, trouble="", wait=timedelta(minutes=1), now=bench.clock[0])
        bench.decoder.errors = [TransientError("disk full")]
        bench.turn()
        bench.advance(days=-365)
        bench.turn(2)
        assert [bench.job(recording).state for recording in (fresh, troubled)] == [JobState.DONE, JobState.DONE]

    def test_weights_that_cannot_be_used_stop_the_worker_and_harm_no_recording(self, bench: Workbench) -> None:
        (recording,) = bench.drop("visit.wav")
        bench.decoder.errors = [ModelError("altered weights")]
        with pytest.raises(ModelError):
            bench.turn()
        assert (bench.job(recording).state, bench.job(recording).attempts) == (JobState.RETRY, 0)

    def test_a_resting_engine_is_given_nothing(self, bench: Workbench) -> None:
        bench.engine.healthy = False
        (recording,) = bench.drop("visit.wav")
        bench.turn(3)
        assert bench.job(recording).state == JobState.RECEIVED


class TestPersons:
    def test_a_recording_cancelled_in_work_is_dropped_and_its_result_ignored(self, bench: Workbench) -> None:
        (recording,) = bench.drop("visit.wav")
        bench.engine.silent = True
        bench.turn()
        job = bench.job(recording)
        with bench.store.write() as session:
            jobs.quarantine(session, job.id, Reason.CANCELLED, now=NOW, actor="clerk")
        bench.worker.cancel(job.id)
        bench.turn()
        assert bench.engine.in_flight == set()
        assert bench.job(recording).reason == Reason.CANCELLED
        assert bench.worker.idle

    def test_a_recording_may_be_cancelled_while_it_is_decoded(self, bench: Workbench) -> None:
        cancelled, other = bench.drop("visit.wav", "other.wav")
        bench.decoder.meanwhile = lambda: cancel(bench, cancelled)
        bench.turn(3)
        assert bench.job(cancelled).reason == Reason.CANCELLED
        assert bench.job(other).state == JobState.DONE
        assert bench.worker.idle

    def test_a_recording_may_be_cancelled_between_its_being_found_and_claimed(
        self, bench: Workbench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cancelled, other = bench.drop("visit.wav", "other.wav")
        real = jobs.next_waiting

        def find_too_early(session: Session, **which: Any) -> Job | None:
            found = real(session, **which)
            if found is not None and found.recording_id == cancelled:
                cancel(bench, cancelled)
            return found

        monkeypatch.setattr("daemon.worker.jobs.next_waiting", find_too_early)
        bench.turn(3)
        assert bench.job(cancelled).reason == Reason.CANCELLED
        assert bench.job(other).state == JobState.DONE

    def test_a_recording_cancelled_and_released_at_once_is_transcribed(self, bench: Workbench) -> None:
        (recording,) = bench.drop("visit.wav")
        bench.engine.silent = True
        bench.turn()
        (other,) = bench.drop("other.wav")

        def change_ones_mind() -> None:
            cancel(bench, recording)
            with bench.store.write() as session:
                jobs.retry(session, bench.job(recording).id, actor="clerk", now=NOW)

        bench.decoder.meanwhile = change_ones_mind
        bench.turn()
        bench.engine.silent = False
        bench.turn(3)
        assert [bench.job(number).state for number in (recording, other)] == [JobState.DONE, JobState.DONE]

    def test_a_clean_stop_puts_back_what_is_in_work(self, bench: Workbench) -> None:
        (recording,) = bench.drop("visit.wav")
        bench.engine.silent = True
        bench.turn()
        bench.worker.release()
        assert (bench.job(recording).state, bench.job(recording).attempts) == (JobState.RETRY, 0)


class TestOutputs:
    def test_recordings_of_the_same_name_get_files_of_their_own(self, bench: Workbench) -> None:
        bench.drop("visit.wav", "visit.flac")
        bench.turn(3)
        stems = {name.rsplit(".", 1)[0] for name in bench.names("outbox")}
        assert len(stems) == 2
        assert "visit" in stems

    def test_a_file_of_somebody_else_in_the_outbox_is_never_replaced(self, bench: Workbench) -> None:
        (bench.folder / "outbox").mkdir()
        (bench.folder / "outbox/visit.json").write_text('{"recording": {"id": "another"}}')
        (recording,) = bench.drop("visit.wav")
        bench.turn(2)
        assert json.loads((bench.folder / "outbox/visit.json").read_text())["recording"]["id"] == "another"
        assert f"visit-{recording[:8]}.json" in bench.names("outbox")

    def test_files_are_for_us_alone_whatever_the_umask(self, bench: Workbench) -> None:
        bench.decoder.errors = [RecordingError(Reason.BAD_FORMAT, "no audio")]
        bench.drop("bad.wav", "visit.wav")
        bench.turn(2)
        for folder in (bench.folder / "outbox", bench.folder / "quarantine"):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}

    def test_the_json_holds_what_the_documentation_promises(self, bench: Workbench) -> None:
        (recording,) = bench.drop("visit.wav")
        bench.turn(2)
        document = json.loads((bench.folder / "outbox/visit.json").read_text())
        assert document["schema"] == "medasr.transcript/1"
        assert document["recording"]["id"] == recording
        assert document["verdict"] == {"kind": "ok", "concerns": []}
        (term,) = document["terms"]
        assert document["text"][term["position"] : term["position"] + term["length"]] == term["surface"]
        assert {"audio", "model", "segments", "speech", "language", "created_at"} <= document.keys()
