"""Evaluations come back from the store as they were filed, and are filed once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from daemon.evaluation.document import evaluation_document
from daemon.evaluation.pair import pair_document, read_pair
from daemon.report.alarms import current_alarms
from daemon.sections import Evaluation
from daemon.store import evaluations
from daemon.store.connection import Store
from daemon.store.measurements import served_measurements
from daemon.store.schema import EvaluationRow
from medasr.errors import FatalError
from medasr.evaluation import EvaluationReport
from tests.support.evaluations import NOW, RECIPE, TINY, make_report
from tests.support.stores import open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


def add(store: Store, *reports: EvaluationReport) -> list[int]:
    with store.write() as session:
        return [evaluations.add(session, report) for report in reports]


def days(number: int) -> dict[str, object]:
    began = NOW + timedelta(days=number)
    return {"started_at": began, "ended_at": began + timedelta(minutes=5)}


class TestFiling:
    def test_everything_comes_back_as_it_was_filed(self, store: Store) -> None:
        report = make_report()
        (number,) = add(store, report)
        with store.read() as session:
            found = evaluations.find(session, str(number))
            utterances = tuple(evaluations.scored_utterances(session, number))
        shared = EvaluationReport.__dataclass_fields__.keys() - {"utterances"}
        assert {name: getattr(found, name) for name in shared} == {name: getattr(report, name) for name in shared}
        assert utterances == tuple(sorted(report.utterances, key=lambda one: one.id))

    def test_the_same_evaluation_filed_again_is_one(self, store: Store) -> None:
        first, again = add(store, make_report(), make_report())
        assert first == again
        with store.read() as session:
            assert session.scalar(select(func.count()).select_from(EvaluationRow)) == 1


def forget_confidences(store: Store, number: int) -> None:
    """Make a stored evaluation one that was stored before confidences were kept."""
    with store.write() as session:
        session.execute(
            text("UPDATE evaluations SET scores = json_remove(scores, '$.calibration') WHERE id = :id"), {"id": number}
        )
        without = "SELECT json_group_array(json_remove(value, '$[5]')) FROM json_each(terms)"
        session.execute(
            text(f"UPDATE evaluation_utterances SET terms = ({without}) WHERE evaluation_id = :id"),
            {"id": number},
        )


class TestBeforeConfidencesWereKept:
    def test_what_was_measured_is_read_as_it_was(self, store: Store) -> None:
        report = make_report()
        (number,) = add(store, report)
        forget_confidences(store, number)
        with store.read() as session:
            found = evaluations.find(session, str(number))
            listed = evaluations.summaries(session)
            utterances = evaluations.scored_utterances(session, number)
        assert found.scores == replace(report.scores, calibration=None)
        assert [one.scores.calibration for one in listed] == [None]
        assert evaluation_document(found)["calibration"] is None
        assert utterances == [
            replace(one, terms=tuple(replace(term, confidence=None) for term in one.terms)) for one in report.utterances
        ]

    def test_it_is_compared_with_what_is_measured_now(self, store: Store) -> None:
        old, new = add(store, make_report(skill=0.7, **days(0)), make_report(skill=0.9, **days(1)))
        with store.read() as session:
            expected = pair_document(read_pair(session, str(old), str(new)))
        forget_confidences(store, old)
        with store.read() as session:
            found = pair_document(read_pair(session, str(old), str(new)))
        assert found["first"].pop("calibration") is None
        assert found["second"]["calibration"]["count"] == 4
        expected["first"].pop("calibration")
        assert found == expected


class TestFinding:
    def test_the_newest_comes_first(self, store: Store) -> None:
        numbers = add(store, *(make_report(**days(day)) for day in range(3)))
        with store.read() as session:
            assert [one.id for one in evaluations.summaries(session)] == numbers[::-1]
            assert [one.id for one in evaluations.summaries(session, limit=1)] == numbers[-1:]
            assert evaluations.find(session, "latest").id == numbers[-1]

    def test_they_are_chosen_by_moment_model_and_dataset(self, store: Store) -> None:
        old, tiny, other = add(
            store,
            make_report(**days(0)),
            make_report(**days(1), model=TINY, model_label="whisper-tiny.en"),
            make_report(**days(2), recipe=replace(RECIPE, dataset="other", dataset_sha256="fe" * 32)),
        )
        with store.read() as session:

            def chosen(**filters: object) -> list[int]:
                return [one.id for one in evaluations.summaries(session, **filters)]  # type: ignore[arg-type]

            assert chosen(since=NOW + timedelta(days=1)) == [other, tiny]
            assert chosen(model="whisper-tiny.en") == [tiny]
            assert chosen(dataset="other") == chosen(dataset="fefe") == [other]
            assert chosen(dataset="medical-speech") == [tiny, old]

    @pytest.mark.parametrize("identifier", ["7", "latest", "x", "-1", "9" * 30])
    def test_one_that_is_not_there_is_an_error_with_a_remedy(self, store: Store, identifier: str) -> None:
        with store.read() as session, pytest.raises(FatalError, match=r"medasrd evaluat|latest"):
            evaluations.find(session, identifier)


class TestMeasurements:
    def test_a_drop_of_the_serving_model_is_an_alarm_read_without_the_orm(self, store: Store) -> None:
        add(store, make_report(skill=0.9, **days(0)), make_report(skill=0.7, **days(1)))
        alarms = current_alarms(served_measurements(store.path), Evaluation())
        assert {alarm.metric for alarm in alarms} == {"normalized_wer", "mta", "term_precision"}
        assert alarms[0].loss == pytest.approx(20)

    def test_another_model_raises_no_alarm(self, store: Store) -> None:
        add(store, make_report(skill=0.9), make_report(skill=0.2, model=TINY, model_label="whisper-tiny.en", **days(1)))
        assert current_alarms(served_measurements(store.path), Evaluation()) == ()
