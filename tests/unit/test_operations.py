"""What a person may do to the queue, in every state a job can be in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from daemon import delivery
from daemon.delivery import Delivery, Places
from daemon.operations import Operations
from daemon.outbox import Folder
from daemon.pulse import Pulse
from daemon.store import audit, jobs, recordings, transcripts
from daemon.store.connection import Store
from daemon.store.schema import Job
from daemon.store.states import IN_WORK, WAITING, JobState
from medasr.errors import FatalError, Reason
from medasr.types import VerdictKind
from tests.support.stores import NOW, copy, later, open_store, result

ENDED_WELL = {
    JobState.DONE: VerdictKind.OK,
    JobState.NEEDS_REVIEW: VerdictKind.NEEDS_REVIEW,
    JobState.NO_SPEECH: VerdictKind.NO_SPEECH,
}
LEASE = timedelta(minutes=5)


@dataclass(kw_only=True)
class Desk:
    """A store, a quarantine, and a person before them."""

    store: Store
    operations: Operations
    places: Places
    dropped: list[int] = field(default_factory=list)

    def job_in(self, state: JobState, id: str = "") -> str:  # noqa: A002
        """Bring a recording into a state; return its id."""
        entry = copy(f"{state}{id}.wav", id=id)
        with self.store.write() as session:
            recordings.receive(session, [entry], now=NOW)
            job = jobs.of_recording(session, entry.id)
            if state == JobState.QUARANTINED:
                jobs.quarantine(session, job.id, Reason.BAD_FORMAT, now=NOW)
            elif state != JobState.RECEIVED:
                jobs.claim(session, job.id, owner="t", lease=LEASE, now=NOW)
            if state == JobState.RETRY:
                jobs.postpone(session, job.id, trouble="OOM", wait=timedelta(minutes=1), now=NOW)
            elif state == JobState.TRANSCRIBING:
                jobs.decoded(session, job.id, now=NOW)
            elif state in ENDED_WELL:
                done = result("Aspirin.", verdict=ENDED_WELL[state])
                transcripts.complete(session, job.id, entry.id, done, now=NOW)
        return entry.id

    def job(self, recording_id: str) -> Job:
        with self.store.read() as session:
            return jobs.of_recording(session, recording_id)

    def quarantine(self) -> list[str]:
        folder = self.places.quarantine.path
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def deliver(self) -> bool:
        return Delivery(self.store, self.places, now=lambda: later(minutes=1), pulse=Pulse()).turn(limit=10)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    store = open_store(tmp_path)
    dropped: list[int] = []
    quarantine = Folder(path=tmp_path / "quarantine")
    operations = Operations(store=store, quarantine=quarantine, now=lambda: later(minutes=2), on_cancel=dropped.append)
    (tmp_path / "spool" / "recordings").mkdir(parents=True)
    places = Places(spool=tmp_path / "spool", outbox=Folder(path=tmp_path / "outbox"), quarantine=quarantine)
    return Desk(store=store, operations=operations, places=places, dropped=dropped)


class TestRetry:
    @pytest.mark.parametrize("state", [JobState.QUARANTINED, JobState.RETRY])
    def test_it_is_tried_again_at_once_as_if_for_the_first_time(self, desk: Desk, state: JobState) -> None:
        recording = desk.job_in(state)
        said = desk.operations.retry(recording, actor="mira")
        job = desk.job(recording)
        assert (job.state, job.attempts, job.reason, job.not_before) == (JobState.RECEIVED, 0, None, later(minutes=2))
        assert said == f"job {job.id} (recording {recording[:8]}) waits for its next attempt"

    @pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.QUARANTINED, JobState.RETRY}))
    def test_in_any_other_state_it_is_refused_and_nothing_changes(self, desk: Desk, state: JobState) -> None:
        recording = desk.job_in(state)
        with pytest.raises(FatalError, match=rf"job \d+ is {state}; this can be done only to .* quarantined or retry"):
            desk.operations.retry(recording, actor="mira")
        assert desk.job(recording).state == state

    def test_its_files_leave_the_quarantine(self, desk: Desk) -> None:
        recording = desk.job_in(JobState.QUARANTINED)
        desk.deliver()
        assert desk.quarantine() == ["quarantined.error.json"]
        desk.operations.retry(recording, actor="mira")
        assert desk.quarantine() == []

    def test_who_did_it_is_in_the_audit_trail(self, desk: Desk) -> None:
        recording = desk.job_in(JobState.QUARANTINED)
        desk.operations.retry(recording, actor="mira")
        with desk.store.read() as session:
            last = audit.of_recording(session, recording)[-1]
            assert (last.actor, last.action, last.at) == ("mira", "received", later(minutes=2))
            assert audit.broken_link(session) is None

    def test_released_while_its_files_are_being_written_it_is_not_taken_for_delivered(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recording = desk.job_in(JobState.QUARANTINED)
        write = delivery.deliver_quarantined

        def write_and_be_released(*args: object) -> str:
            name = write(*args)  # type: ignore[arg-type]
            desk.operations.retry(recording, actor="mira")
            (desk.places.quarantine.path / f"{name}.error.json").write_text(f'{{"recording": {{"id": "{recording}"}}}}')
            return name

        monkeypatch.setattr(delivery, "deliver_quarantined", write_and_be_released)
        desk.deliver()
        assert (desk.job(recording).state, desk.job(recording).delivered_at) == (JobState.RECEIVED, None)
        assert desk.quarantine() == []


class TestRelease:
    def test_a_quarantined_recording_goes_back_into_the_queue(self, desk: Desk) -> None:
        recording = desk.job_in(JobState.QUARANTINED)
        desk.operations.release(recording, actor="mira")
        assert desk.job(recording).state == JobState.RECEIVED

    @pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.QUARANTINED}))
    def test_in_any_other_state_it_is_refused_with_where_to_look(self, desk: Desk, state: JobState) -> None:
        recording = desk.job_in(state)
        with pytest.raises(FatalError, match=f"is {state}, not quarantined; `medasrd quarantine list`"):
            desk.operations.release(recording, actor="mira")
        assert desk.job(recording).state == state


class TestCancel:
    @pytest.mark.parametrize("state", [*WAITING, *IN_WORK])
    def test_it_goes_to_the_quarantine_and_the_worker_drops_it_if_it_has_it(self, desk: Desk, state: JobState) -> None:
        recording = desk.job_in(state)
        said = desk.operations.cancel(recording, actor="mira")
        job = desk.job(recording)
        assert (job.state, job.reason, job.lease_owner) == (JobState.QUARANTINED, Reason.CANCELLED, None)
        assert desk.dropped == ([job.id] if state in IN_WORK else [])
        assert f"`medasrd quarantine release {recording[:8]}` undoes it" in said

    @pytest.mark.parametrize("state", [*ENDED_WELL, JobState.QUARANTINED])
    def test_one_that_has_ended_is_left_as_it_is(self, desk: Desk, state: JobState) -> None:
        recording = desk.job_in(state)
        with pytest.raises(FatalError, match=f"is {state}"):
            desk.operations.cancel(recording, actor="mira")
        assert (desk.job(recording).state, desk.dropped) == (state, [])

    def test_releasing_it_undoes_it(self, desk: Desk) -> None:
        recording = desk.job_in(JobState.RECEIVED)
        desk.operations.cancel(recording, actor="mira")
        desk.operations.release(recording, actor="mira")
        assert desk.job(recording).state == JobState.RECEIVED


class TestWhichOneIsMeant:
    ONE, OTHER = "abcd1" + "0" * 27, "abcd2" + "0" * 27

    @pytest.fixture(autouse=True)
    def two(self, desk: Desk) -> None:
        desk.job_in(JobState.RECEIVED, self.ONE)
        desk.job_in(JobState.RECEIVED, self.OTHER)

    @pytest.mark.parametrize("identifier", ["1", "000001", ONE, "abcd1", "ABCD1"])
    def test_a_job_s_number_or_the_beginning_of_a_recording_s_id(self, desk: Desk, identifier: str) -> None:
        desk.operations.cancel(identifier, actor="mira")
        assert desk.job(self.ONE).state == JobState.QUARANTINED
        assert desk.job(self.OTHER).state == JobState.RECEIVED

    @pytest.mark.parametrize(
        ("identifier", "words"),
        [
            ("abcd", "several recordings begin with this id; `medasrd jobs list`"),
            ("beef", "no recording begins with this id; `medasrd jobs list`"),
            ("7", "there is no job 7; `medasrd jobs list`"),
            ("1234567890", "no recording begins"),
            ("", "no recording begins"),
            ("%", "no recording begins"),
            ("abcd1; DROP TABLE jobs", "no recording begins"),
            ("-1", "no recording begins"),
        ],
    )
    def test_what_names_none_or_several_is_refused_with_where_to_look(
        self, desk: Desk, identifier: str, words: str
    ) -> None:
        with pytest.raises(FatalError, match=words):
            desk.operations.cancel(identifier, actor="mira")
