"""The store: what is received once is kept once, and every state has one way in and out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import IntegrityError

from daemon.store import audit, jobs, recordings, transcripts
from daemon.store.connection import Store
from daemon.store.recordings import Reception
from daemon.store.schema import AuditRow, Job, Recording, TranscriptRow
from daemon.store.states import JobState, Priority, urgent_jobs
from medasr.errors import FatalError, Reason, StoreError, TransientError
from medasr.types import VerdictKind
from tests.support.stores import MODEL, NOW, copy, hit, later, open_store, result

LEASE = timedelta(minutes=5)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


def receive(store: Store, *copies: recordings.Copy) -> dict[str, Reception]:
    with store.write() as session:
        return recordings.receive(session, copies, now=NOW)


def claim_next(store: Store, *, owner: str = "worker", at: float = 0) -> Job:
    with store.write() as session:
        job = jobs.next_waiting(session, now=later(seconds=at))
        assert job is not None
        return jobs.claim(session, job.id, owner=owner, lease=LEASE, now=later(seconds=at))


def finish(store: Store, job: Job, *texts: str, **options: object) -> None:
    with store.write() as session:
        jobs.decoded(session, job.id, now=NOW)
        transcripts.complete(session, job.id, job.recording_id, result(*texts, **options), now=NOW)  # type: ignore[arg-type]


class TestReceiving:
    def test_new_bytes_become_a_recording_an_arrival_and_a_waiting_job(self, store: Store) -> None:
        first = copy(label="cardiology")
        assert receive(store, first) == {first.id: Reception.NEW}
        with store.read() as session:
            recording = recordings.find(session, first.id[:6])
            assert (recording.name, recording.label, recording.output_name) == ("visit.wav", "cardiology", "visit")
            assert jobs.of_recording(session, recording.id).state == JobState.RECEIVED
            assert len(recordings.arrivals(session, recording.id)) == 1

    def test_the_same_bytes_under_another_name_are_a_duplicate_of_the_first(self, store: Store) -> None:
        first, second = copy("a.wav", content="same"), copy("b.wav", content="same", inode=2)
        assert receive(store, first, second) == {first.id: Reception.NEW, second.id: Reception.DUPLICATE}
        with store.read() as session:
            assert session.scalar(select(func.count()).select_from(Recording)) == 1
            assert [arrival.duplicate for arrival in recordings.arrivals(session, first.id)] == [False, True]

    def test_the_very_file_found_again_after_a_crash_is_no_second_arrival(self, store: Store) -> None:
        receive(store, copy("a.wav", id="a" * 32))
        assert receive(store, copy("a.wav", id="b" * 32)) == {"b" * 32: Reception.REPEATED}
        with store.read() as session:
            assert len(recordings.arrivals(session, "a" * 32)) == 1

    def test_the_same_name_with_new_bytes_is_a_new_recording_with_a_name_of_its_own(self, store: Store) -> None:
        first, second = copy(content="one"), copy(content="two", inode=2)
        receive(store, first, second)
        with store.read() as session:
            assert session.get_one(Recording, second.id).output_name == f"visit-{second.id[:8]}"

    def test_inode_numbers_beyond_sqlites_integers_are_taken(self, store: Store) -> None:
        receive(store, copy(inode=2**64 - 1))
        assert set(receive(store, copy(inode=2**64 - 1)).values()) == {Reception.REPEATED}


class TestTheQueue:
    def test_jobs_are_claimed_in_order_of_arrival(self, store: Store) -> None:
        copies = [copy(f"{number}.wav") for number in range(3)]
        receive(store, *copies)
        assert [claim_next(store).recording_id for _ in copies] == [item.id for item in copies]

    def test_urgent_ones_come_before_all_others_that_wait_and_among_themselves_in_order_of_arrival(
        self, store: Store
    ) -> None:
        names = ("ordinary-1", "urgent-1", "ordinary-2", "urgent-2")
        copies = {name: copy(name, urgent=name.startswith("urgent")) for name in names}
        receive(store, *copies.values())
        assert urgent_jobs(store.path) == 2
        claimed = [claim_next(store).recording_id for _ in names]
        assert claimed == [copies[name].id for name in ("urgent-1", "urgent-2", "ordinary-1", "ordinary-2")]

    def test_only_urgent_ones_are_found_when_nothing_else_is_asked_for(self, store: Store) -> None:
        receive(store, copy("ordinary.wav"))
        with store.read() as session:
            assert jobs.next_waiting(session, now=NOW, least=Priority.URGENT) is None

    def test_an_urgent_one_that_has_to_wait_for_its_next_attempt_holds_no_other_up(self, store: Store) -> None:
        urgent, ordinary = copy("urgent.wav", urgent=True), copy("ordinary.wav")
        receive(store, ordinary, urgent)
        job = claim_next(store)
        with store.write() as session:
            jobs.postpone(session, job.id, trouble="OOM", wait=timedelta(seconds=30), now=NOW)
        assert claim_next(store).recording_id == ordinary.id
        assert claim_next(store, at=30).recording_id == urgent.id

    def test_it_stays_urgent_whatever_becomes_of_it(self, store: Store) -> None:
        receive(store, copy(urgent=True))
        for act in (
            lambda session, job: jobs.postpone(session, job, trouble="OOM", wait=timedelta(0), now=NOW),
            lambda session, job: jobs.put_back(session, job, trouble="STOPPED", wait=timedelta(0), now=NOW),
            lambda session, _job: jobs.void_leases(session, max_attempts=3, now=NOW),
            lambda session, job: jobs.quarantine(session, job, Reason.BAD_FORMAT, now=NOW),
        ):
            job = claim_next(store)
            with store.write() as session:
                act(session, job.id)
                assert session.get_one(Job, job.id).priority == Priority.URGENT
        with store.write() as session:
            jobs.retry(session, job.id, actor="clerk", now=NOW)
        assert claim_next(store).priority == Priority.URGENT

    def test_one_that_waits_becomes_urgent_when_its_bytes_come_again_as_urgent(self, store: Store) -> None:
        first, second = copy("a.wav"), copy("b.wav")
        receive(store, first, second, copy("again.wav", content="b.wav", inode=2, urgent=True))
        assert claim_next(store).recording_id == second.id
        with store.read() as session:
            history = [line.action for line in audit.of_recording(session, second.id)]
        assert history == ["received", "urgent", "duplicate", "decoding"]

    def test_one_that_has_ended_is_not_taken_up_again_because_its_bytes_came_again_as_urgent(
        self, store: Store
    ) -> None:
        receive(store, copy())
        job = claim_next(store)
        finish(store, job, "hello")
        receive(store, copy("again.wav", content="visit.wav", inode=2, urgent=True))
        with store.read() as session:
            ended = session.get_one(Job, job.id)
            assert (ended.state, ended.priority) == (JobState.DONE, Priority.ORDINARY)

    def test_urgent_ones_are_delivered_first(self, store: Store) -> None:
        ordinary, urgent = copy("ordinary.wav"), copy("urgent.wav", urgent=True)
        receive(store, ordinary, urgent)
        for _ in range(2):
            finish(store, claim_next(store), "hello")
        with store.read() as session:
            found = jobs.undelivered(session, limit=2)
            assert [job.recording_id for job in found] == [urgent.id, ordinary.id]

    def test_an_attempt_is_counted_before_the_work(self, store: Store) -> None:
        receive(store, copy())
        job = claim_next(store)
        assert (job.state, job.attempts, job.lease_owner) == (JobState.DECODING, 1, "worker")

    def test_a_postponed_job_waits_and_each_wait_is_longer(self, store: Store) -> None:
        receive(store, copy())
        waits = []
        for _ in range(3):
            job = claim_next(store, at=100_000)
            with store.write() as session:
                jobs.postpone(session, job.id, trouble="OOM", wait=timedelta(seconds=30), now=NOW)
                waits.append((session.get_one(Job, job.id).not_before - NOW).total_seconds())
        assert waits == [30, 60, 120]
        with store.read() as session:
            assert jobs.next_waiting(session, now=later(seconds=119)) is None
            assert jobs.next_waiting(session, now=later(seconds=120)) is not None

    def test_what_is_put_back_was_not_tried(self, store: Store) -> None:
        receive(store, copy())
        job = claim_next(store)
        with store.write() as session:
            jobs.put_back(session, job.id, trouble="STOPPED", wait=timedelta(0), now=NOW)
            assert session.get_one(Job, job.id).attempts == 0
            assert jobs.next_waiting(session, now=NOW) is not None

    def test_leases_of_the_dead_are_void_at_start(self, store: Store) -> None:
        receive(store, copy("a.wav"), copy("b.wav"))
        decoding = claim_next(store)
        transcribing = claim_next(store)
        with store.write() as session:
            jobs.decoded(session, transcribing.id, now=NOW)
        with store.write() as session:
            assert jobs.void_leases(session, max_attempts=3, now=NOW) == 2
            assert {session.get_one(Job, job.id).state for job in (decoding, transcribing)} == {JobState.RETRY}
            assert jobs.next_waiting(session, now=NOW) is not None

    def test_a_job_that_died_once_more_than_allowed_is_quarantined(self, store: Store) -> None:
        receive(store, copy())
        for _ in range(4):
            job = claim_next(store, at=10)
            with store.write() as session:
                jobs.void_leases(session, max_attempts=3, now=NOW)
        with store.read() as session:
            ended = session.get_one(Job, job.id)
            assert (ended.state, ended.reason) == (JobState.QUARANTINED, Reason.ATTEMPTS)

    def test_a_quarantined_recording_can_be_tried_again(self, store: Store) -> None:
        receive(store, copy())
        job = claim_next(store)
        with store.write() as session:
            jobs.quarantine(session, job.id, Reason.BAD_FORMAT, now=NOW)
            jobs.retry(session, job.id, actor="clerk", now=NOW)
        assert claim_next(store).attempts == 1

    def test_what_has_ended_cannot_be_moved_again(self, store: Store) -> None:
        receive(store, copy())
        job = claim_next(store)
        finish(store, job, "hello")
        with pytest.raises(FatalError, match="is done"), store.write() as session:
            jobs.quarantine(session, job.id, Reason.CANCELLED, now=NOW)

    def test_what_every_turn_asks_does_not_read_the_jobs_that_are_done_with(self, store: Store) -> None:
        asked: list[str] = []
        with store.read() as session:
            connection = session.connection()
            event.listen(connection, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))
            jobs.undelivered(session, limit=1)
            jobs.next_waiting(session, now=NOW)
            jobs.next_waiting(session, now=NOW, least=Priority.URGENT)
            plans = [
                " ".join(
                    str(row) for row in connection.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
                )
                for statement in asked
                for parameters in [("?",) * statement.count("?")]
            ]
        assert "USING INDEX jobs_undelivered (state=?)" in plans[0]
        assert all("USING INDEX jobs_by_state (state=?" in plan for plan in plans[1:])

    def test_the_database_itself_refuses_two_active_jobs_for_one_recording(self, store: Store) -> None:
        only = copy()
        receive(store, only)
        extra = Job(
            recording_id=only.id, state=JobState.RETRY, attempts=0, not_before=NOW, created_at=NOW, updated_at=NOW
        )
        with pytest.raises(IntegrityError, match=r"jobs\.recording_id"), store.write() as session:
            session.add(extra)

    @pytest.mark.parametrize(
        "values", [{"state": "sleeping"}, {"state": "quarantined"}, {"state": "decoding"}, {"priority": 2}]
    )
    def test_the_database_itself_refuses_values_that_make_no_sense(
        self, store: Store, values: dict[str, object]
    ) -> None:
        only = copy()
        receive(store, only)
        with pytest.raises(IntegrityError, match="CHECK"), store.write() as session:
            job = jobs.of_recording(session, only.id)
            for name, value in values.items():
                setattr(job, name, value)


class TestTranscripts:
    def test_a_result_and_the_end_of_its_job_are_one_transaction(self, store: Store) -> None:
        receive(store, copy())
        job = claim_next(store)
        with pytest.raises(FatalError), store.write() as session:
            transcripts.complete(session, job.id, job.recording_id, result("hello"), now=NOW)
            raise FatalError("the power fails here")
        with store.read() as session:
            assert transcripts.latest(session, job.recording_id) is None
            assert session.get_one(Job, job.id).state == JobState.DECODING

    def test_storing_a_result_twice_keeps_one(self, store: Store) -> None:
        receive(store, copy())
        job = claim_next(store)
        finish(store, job, "hello")
        with store.write() as session:
            again = session.get_one(Job, job.id)
            again.state, again.lease_owner = JobState.TRANSCRIBING, "worker"
        with store.write() as session:
            transcripts.complete(session, job.id, job.recording_id, result("something else"), now=NOW)
        with store.read() as session:
            assert session.scalars(select(TranscriptRow.text)).all() == ["hello"]

    @pytest.mark.parametrize(
        ("verdict", "state"),
        [
            (VerdictKind.OK, JobState.DONE),
            (VerdictKind.NEEDS_REVIEW, JobState.NEEDS_REVIEW),
            (VerdictKind.NO_SPEECH, JobState.NO_SPEECH),
        ],
    )
    def test_the_verdict_decides_how_the_job_ends(self, store: Store, verdict: VerdictKind, state: JobState) -> None:
        receive(store, copy())
        job = claim_next(store)
        finish(store, job, "hello", verdict=verdict)
        with store.read() as session:
            assert session.get_one(Job, job.id).state == state

    def test_search_takes_every_character_literally(self, store: Store) -> None:
        receive(store, copy("a.wav"), copy("b.wav"))
        finish(store, claim_next(store), "He takes ibuprofen for chest pain.")
        finish(store, claim_next(store), "Pain in the knee, none in the chest.")
        with store.read() as session:
            assert len(transcripts.search(session, "chest pain", limit=9)) == 2
            assert [found.name for found in transcripts.search(session, '"chest pain"', limit=9)] == ["a.wav"]
            for hostile in ("chest OR", "text:pain", "NEAR(chest", 'pain"', "*", "-", "(", "'; DROP TABLE jobs", ""):
                transcripts.search(session, hostile, limit=9)

    def test_of_very_many_matches_the_newest_are_ranked(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transcripts, "RANKED", 2)
        for name, words in (("a", "pain pain pain"), ("b", "some pain in the left knee"), ("c", "pain pain")):
            receive(store, copy(name))
            finish(store, claim_next(store), words)
        with store.read() as session:
            assert [found.name for found in transcripts.search(session, "pain", limit=9)] == ["c", "b"]

    def test_terms_are_counted_over_recordings_and_found_again(self, store: Store) -> None:
        receive(store, copy("a.wav"), copy("b.wav"))
        finish(
            store,
            claim_next(store),
            "cough cough fever",
            terms=(hit("cough", "symptom", 0), hit("cough", "symptom", 6)),
        )
        finish(store, claim_next(store), "cough", terms=(hit("cough", "symptom", 0),))
        with store.read() as session:
            (count,) = transcripts.term_counts(session, now=NOW)
            assert (count.term, count.hits, count.recordings) == ("cough", 3, 2)
            assert transcripts.term_counts(session, category="drug", now=NOW) == []
            assert [row.name for _, row in transcripts.occurrences(session, "COUGH", limit=9)] == [
                "b.wav",
                "a.wav",
                "a.wav",
            ]

    def test_a_model_version_is_one_row_however_often_it_is_used(self, store: Store) -> None:
        with store.write() as session:
            first = transcripts.model_version(session, MODEL, now=NOW).id
            assert transcripts.model_version(session, MODEL, now=NOW).id == first


class TestTheAuditTrail:
    def test_every_transition_leaves_one_line(self, store: Store) -> None:
        receive(store, copy())
        job = claim_next(store)
        finish(store, job, "hello")
        with store.read() as session:
            lines = [line.action for line in audit.of_recording(session, job.recording_id)]
        assert lines == ["received", "decoding", "transcribing", "done"]

    def test_it_holds_no_words_and_no_names(self, store: Store) -> None:
        receive(store, copy("CANARY-name.wav"))
        finish(store, claim_next(store), "CANARY-text", terms=(hit("CANARY-term", "drug", 0),))
        with store.read() as session:
            lines = [f"{line.actor} {line.action} {line.detail}" for line in session.scalars(select(AuditRow))]
        assert not [line for line in lines if "CANARY" in line]

    def test_lines_can_neither_be_changed_nor_removed(self, store: Store) -> None:
        receive(store, copy())
        for change in (lambda row: setattr(row, "actor", "nobody"), None):
            with pytest.raises(IntegrityError, match="append-only"), store.write() as session:
                row = session.scalars(select(AuditRow)).first()
                assert row is not None
                change(row) if change else session.delete(row)

    def test_a_line_changed_behind_our_back_shows(self, store: Store) -> None:
        receive(store, copy("a.wav"), copy("b.wav"))
        with store.write() as session:
            session.connection().exec_driver_sql("DROP TRIGGER audit_no_update")
            session.connection().exec_driver_sql("UPDATE audit SET actor = 'nobody' WHERE id = 1")
        with store.read() as session:
            assert audit.broken_link(session) == 1


class TestOpening:
    def test_readers_cannot_write(self, store: Store) -> None:
        reader = Store(store.path, writable=False)
        with pytest.raises(StoreError, match="SQLITE_READONLY"), reader.read() as session:
            session.connection().exec_driver_sql("DELETE FROM jobs")
        with pytest.raises(StoreError), reader.write():
            pass
        reader.close()

    def test_a_database_locked_by_somebody_else_is_tried_again_later(self, store: Store) -> None:
        other = Store(store.path, writable=True)
        with other.write() as session:
            session.connection().exec_driver_sql("PRAGMA busy_timeout=1")
        with store.write(), pytest.raises(TransientError, match="SQLITE_BUSY"), other.write():
            pass
        with other.write():
            pass
        other.close()

    def test_exceptions_carry_no_parameters_of_statements(self, store: Store) -> None:
        with pytest.raises(IntegrityError) as caught, store.write() as session:
            for _ in range(2):
                session.add(
                    Recording(
                        id="a" * 32, sha256="b", size=1, name="CANARY", name_bytes=b"", output_name="c", received_at=NOW
                    )
                )
                session.flush()
                session.expunge_all()
        assert "CANARY" not in str(caught.value)

    def test_a_missing_database_says_how_to_make_one(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="db upgrade"):
            Store(tmp_path / "none.db", writable=False)
