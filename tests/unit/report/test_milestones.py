"""A report tells what the gate said and which version came to serve when, once each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.report.chart import WIDTH, chart
from daemon.report.history import histories
from daemon.report.milestones import Milestone, milestones
from daemon.store import evaluations, verdicts
from daemon.store.connection import Store
from tests.support.evaluations import NOW, make_report
from tests.support.stores import open_store
from tests.support.verdicts import fill_history
from tests.unit.report.stored import stored


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path)
    yield store
    store.close()


@pytest.fixture
def history(store: Store) -> tuple[Milestone, ...]:
    with store.write() as session:
        fill_history(session, NOW)
    with store.read() as session:
        return milestones(verdicts.stored_verdicts(session), verdicts.serving_changes(session))


def test_a_promotion_and_its_verdict_are_one(history: tuple[Milestone, ...]) -> None:
    assert [(str(one.kind), one.version[-8:], one.serves, one.verdict) for one in history] == [
        ("promoted", "aaaaaaaa", True, 1),
        ("rejected", "bbbbbbbb", False, 2),
        ("promoted", "cccccccc", True, None),
    ]
    assert "better in 100.0 % of the resamples" in history[0].why
    assert history[1].against == "whisper-base-aaaaaaaa"
    assert history[2].why == "past the gate: <b>the ward</b> asked"


def test_they_stand_in_the_chart_where_they_happened(history: tuple[Milestone, ...]) -> None:
    drawn = chart(histories([stored(1), stored(4)]), "mta", frozenset(), history)
    assert drawn is not None
    assert [turn.kind for turn in drawn.turns] == ["promoted", "rejected", "promoted"]
    places = [turn.x for turn in drawn.turns]
    assert places == sorted(places)
    assert all(0 <= place <= WIDTH for place in places)


def test_what_was_promoted_is_a_point_of_what_serves(store: Store) -> None:
    with store.write() as session:
        number = evaluations.add(session, make_report(model_label="whisper-base-aaaaaaaa", started_at=NOW))
        evaluations.adopt(session, number)
    with store.read() as session:
        (series,) = histories(evaluations.summaries(session))
    assert list(series.lines) == ["serving"]


def test_only_those_since_a_moment(store: Store) -> None:
    with store.write() as session:
        fill_history(session, NOW)
    with store.read() as session:
        since = NOW + timedelta(hours=1)
        assert [one.id for one in verdicts.stored_verdicts(session, since=since)] == [2]
        assert [one.version[-8:] for one in verdicts.serving_changes(session, since=since)] == ["cccccccc"]
