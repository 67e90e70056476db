"""Runs of the learning cycle in the database, and the two ways in which its process tells them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime

import pytest
from sqlalchemy import select

from daemon import control, home
from daemon.config import Config
from daemon.control import ControlServer
from daemon.learning import record
from daemon.learning.record import RunRecord, begin_record
from daemon.store import audit, learning, models
from daemon.store.connection import Store
from daemon.store.learning import UNDER_WAY, LearningState
from daemon.store.models import NewAdapter
from daemon.store.schema import AuditRow
from medasr.errors import AlreadyRunning, FatalError
from tests.support.stores import NOW, later, open_store


@pytest.fixture
def store(config: Config) -> Iterator[Store]:
    home.prepare(config)
    opened = open_store(config.paths.state)
    yield opened
    opened.close()


def begin(
    store: Store, *, trigger: str = "manual", key: str = "a", minutes: int = 0, slot: datetime | None = None
) -> int:
    with store.write() as session:
        return learning.begin(session, trigger, key, actor="ann", now=later(minutes=minutes), slot=slot)


def note(store: Store, run: int, state: LearningState, *, minutes: int = 0, **facts: object) -> None:
    with store.write() as session:
        learning.note(session, run, state, actor="ann", now=later(minutes=minutes), **facts)  # type: ignore[arg-type]


def states(store: Store) -> list[tuple[int, str]]:
    with store.read() as session:
        return [(run.id, str(run.state)) for run in learning.listing(session)]


def trail(store: Store) -> list[tuple[str, str, dict[str, object]]]:
    with store.read() as session:
        return [(row.actor, row.action, row.detail) for row in session.scalars(select(AuditRow).order_by(AuditRow.id))]


def add_version(store: Store) -> str:
    with store.write() as session:
        new = NewAdapter(
            name="tiny-abababab",
            base_id="tiny",
            base_sha256="00" * 32,
            adapter_sha256="ab" * 32,
            origin="trained",
            audio_context="variable",
            manifest={},
        )
        return models.add_adapter(session, new, now=NOW).name


class TestRuns:
    def test_one_begins_with_gathering(self, store: Store) -> None:
        number = begin(store, trigger="scheduled")
        with store.read() as session:
            run = learning.find(session, number)
        assert (run.state, run.trigger, run.detail, run.ended_at) == (LearningState.GATHERING, "scheduled", {}, None)
        assert trail(store) == [("ann", "learning-begun", {"run": number, "trigger": "scheduled"})]

    def test_what_its_process_left_goes_on(self, store: Store) -> None:
        number = begin(store)
        note(store, number, LearningState.TRAINING)
        assert begin(store, minutes=5) == number
        with store.read() as session:
            run = learning.find(session, number)
        assert (run.state, run.started_at, run.updated_at) == (LearningState.TRAINING, NOW, later(minutes=5))

    @pytest.mark.parametrize("other", [{"key": "b"}, {"trigger": "scheduled"}])
    def test_another_one_takes_its_place(self, store: Store, other: dict[str, str]) -> None:
        first = begin(store)
        second = begin(store, minutes=5, **other)  # type: ignore[arg-type]
        assert states(store) == [(second, "gathering"), (first, "interrupted")]
        assert ("ann", "learning-interrupted", {"run": first, "reason": "INTERRUPTED"}) in trail(store)

    def test_an_ended_one_does_not_go_on(self, store: Store) -> None:
        first = begin(store)
        note(store, first, LearningState.FAILED, reason="NO_DATA")
        assert begin(store) != first

    def test_states_are_audited_once_and_facts_add_up(self, store: Store) -> None:
        number = begin(store)
        note(store, number, LearningState.TRAINING)
        note(store, number, LearningState.TRAINING, detail={"step": 1, "steps": 9})
        note(store, number, LearningState.TRAINING, detail={"step": 2})
        note(store, number, LearningState.JUDGING, version=add_version(store))
        with store.read() as session:
            run = learning.find(session, number)
        assert (run.detail, run.version) == ({"step": 2, "steps": 9}, "tiny-abababab")
        assert [action for _, action, _ in trail(store)] == ["learning-begun", "learning-training", "learning-judging"]

    @pytest.mark.parametrize("state", sorted(set(LearningState) - set(UNDER_WAY)))
    def test_an_end_is_for_good(self, store: Store, state: LearningState) -> None:
        number = begin(store)
        note(store, number, state, reason="WHY", minutes=3)
        with store.read() as session:
            run = learning.find(session, number)
            assert audit.broken_link(session) is None
        assert (run.state, run.reason, run.ended_at) == (state, "WHY", later(minutes=3))
        with pytest.raises(FatalError, match="medasrd learn status"):
            note(store, number, LearningState.TRAINING)

    def test_nobody_tells_of_a_run_that_was_never_begun(self, store: Store) -> None:
        with pytest.raises(FatalError, match="there is no learning run 7 under way"):
            note(store, 7, LearningState.TRAINING)
        with store.read() as session, pytest.raises(FatalError, match="there is no learning run 7"):
            learning.find(session, 7)

    def test_the_newest_come_first(self, store: Store) -> None:
        for minutes in range(3):
            note(store, begin(store, minutes=minutes), LearningState.REJECTED)
        with store.read() as session:
            assert [run.id for run in learning.listing(session, limit=2)] == [3, 2]


class TestEndedForASlot:
    def ended(self, store: Store, slot: datetime = NOW) -> LearningState | None:
        with store.read() as session:
            return learning.ended_for(session, slot)

    def test_only_a_run_of_that_slot_that_ended_counts(self, store: Store) -> None:
        note(store, begin(store), LearningState.PROMOTED)
        number = begin(store, trigger="scheduled", slot=NOW)
        assert self.ended(store) is None
        note(store, number, LearningState.REJECTED)
        assert self.ended(store) is LearningState.REJECTED
        assert self.ended(store, later(minutes=1)) is None

    def test_one_that_goes_on_when_the_next_is_due_serves_that_one(self, store: Store) -> None:
        number = begin(store, trigger="scheduled", slot=NOW)
        assert begin(store, trigger="scheduled", slot=later(minutes=1), minutes=1) == number
        note(store, number, LearningState.FAILED, reason="LEAK")
        assert self.ended(store, later(minutes=1)) is LearningState.FAILED
        assert self.ended(store) is None

    def test_one_that_was_interrupted_does_not(self, store: Store) -> None:
        begin(store, trigger="scheduled", slot=NOW)
        begin(store, trigger="scheduled", key="b", slot=NOW)
        assert self.ended(store) is None


class TestRecord:
    @pytest.fixture
    def daemon(self, config: Config, store: Store) -> Iterator[ControlServer]:
        server = ControlServer(config.paths.state, record.handlers(store))
        with home.locked(config.paths.state):
            server.start()
            yield server
            server.stop()

    def test_alone_it_writes_itself(self, config: Config) -> None:
        home.prepare(config)
        run = begin_record(config, "manual", "a")
        run.note(LearningState.TRAINING, detail={"step": 3})
        run.note(LearningState.FAILED, reason="NO_DATA")
        assert (run.read().state, run.read().reason, run.read().detail) == ("failed", "NO_DATA", {"step": 3})

    def test_a_daemon_writes_for_it(self, config: Config, store: Store, daemon: ControlServer) -> None:
        run = begin_record(config, "scheduled", "a")
        run.note(LearningState.TRAINING)
        assert states(store) == [(run.number, "training")]
        with pytest.raises(control.Refused, match="medasrd learn status"):
            RunRecord(config=config, number=9).note(LearningState.TRAINING)

    def test_while_a_daemon_begins_it_is_patient(
        self, config: Config, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(control, "LOOK_SECONDS", 0.01)
        server = ControlServer(config.paths.state, record.handlers(store))
        numbers: list[int] = []
        with home.locked(config.paths.state):
            asked = threading.Event()
            perform_alone = record._perform_alone

            def refused(*arguments: object) -> object:
                asked.set()
                return perform_alone(*arguments)  # type: ignore[arg-type]

            monkeypatch.setattr(record, "_perform_alone", refused)
            thread = threading.Thread(target=lambda: numbers.append(begin_record(config, "manual", "a").number))
            thread.start()
            assert asked.wait(30)
            server.start()
            thread.join()
            server.stop()
        assert numbers == [1]

    def test_not_for_ever(self, config: Config, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(record, "PATIENCE_SECONDS", 0.0)
        with home.locked(config.paths.state), pytest.raises(AlreadyRunning):
            begin_record(config, "manual", "a")

    @pytest.mark.parametrize(
        ("verb", "argument"),
        [
            (record.BEGIN_VERB, "nonsense"),
            (record.BEGIN_VERB, "[]"),
            (record.BEGIN_VERB, "{}"),
            (record.BEGIN_VERB, json.dumps({"trigger": "scheduled", "key": "a", "slot": "at night"})),
            (record.NOTE_VERB, json.dumps({"run": 1, "state": "dancing"})),
            (record.NOTE_VERB, json.dumps({"run": 1, "state": "training", "other": 1})),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, store: Store, verb: str, argument: str) -> None:
        begin(store)
        with pytest.raises(FatalError, match="same version"):
            record.handlers(store)[verb](argument, "ann")
        assert states(store) == [(1, "gathering")]
