"""What `medasrd status` tells a person: nothing when all is well, else what to look at and the next step."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from daemon.config import Config
from daemon.intake.arrival import IgnoreCode, Ignored
from daemon.intake.reception import IntakeStatus
from daemon.status import LISTED, attention, status_document
from daemon.store.states import JobState
from medasr.errors import StoreError
from tests.support.stores import open_store

NONE = dict.fromkeys(JobState, 0)
SERVING: dict[str, Any] = {"engine": "ready", "trouble": ""}


def lines(
    counts: dict[JobState, int] | None = None,
    daemon: dict[str, Any] | None = SERVING,
    intake: IntakeStatus | None = None,
    *,
    enough_space: bool = True,
) -> list[str]:
    return attention(NONE | (counts or {}), daemon, intake or IntakeStatus(), enough_space=enough_space)


class TestAttention:
    def test_when_all_is_well_nothing_is_said(self) -> None:
        busy = {JobState.RECEIVED: 5, JobState.RETRY: 1, JobState.TRANSCRIBING: 2, JobState.DONE: 9}
        assert lines(busy | {JobState.NO_SPEECH: 3}) == []

    @pytest.mark.parametrize(
        ("found", "words", "step"),
        [
            (lines(daemon=None), "no daemon runs here", "`medasrd run`"),
            (lines(daemon=SERVING | {"engine": "resting"}), "the model process keeps dying", "`medasrd doctor`"),
            (lines(daemon=SERVING | {"trouble": "TransientError"}), "the worker waits (TransientError)", "disk full"),
            (lines(daemon=SERVING | {"trouble": "DELIVERY"}), "finished files wait for outbox", "`medasrd doctor`"),
            (lines(intake=IntakeStatus(problem="MISSING")), "the inbox is not served: MISSING", "`medasrd doctor`"),
            (lines(enough_space=False), "too little free space", "intake.min_free_bytes"),
            (lines({JobState.QUARANTINED: 2}), "2 in quarantine", "`medasrd quarantine list`"),
            (lines({JobState.NEEDS_REVIEW: 7}), "7 to review", "`medasrd jobs list --state needs_review`"),
        ],
    )
    def test_each_trouble_is_one_line_with_the_next_step(self, found: list[str], words: str, step: str) -> None:
        (line,) = found
        assert line.startswith(words)
        assert step in line

    def test_how_many_are_to_review_for_a_drug_or_a_dose_is_said(self) -> None:
        (line,) = attention(NONE | {JobState.NEEDS_REVIEW: 7}, SERVING, IntakeStatus(), enough_space=True, doubtful=2)
        assert line.startswith("7 to review (2 of them for a doubtful drug or dose); see")

    def test_several_troubles_are_all_named_the_worst_first(self) -> None:
        found = lines({JobState.QUARANTINED: 1, JobState.NEEDS_REVIEW: 1}, daemon=None, enough_space=False)
        assert [line.split()[0] for line in found] == ["no", "too", "1", "1"]


@pytest.fixture
def stored(config: Config) -> Config:
    config.paths.state.mkdir(mode=0o700)
    open_store(config.paths.state).close()
    return config


class TestDocument:
    def test_without_a_daemon_the_store_alone_is_read(self, stored: Config) -> None:
        document = status_document(stored)
        assert document["daemon"] is None
        assert document["jobs"] == {str(state): 0 for state in JobState}
        assert document["inbox"] == {"path": str(stored.paths.inbox)}
        assert document["disk"]["enough"]

    def test_too_little_space_shows(self, stored: Config, monkeypatch: pytest.MonkeyPatch) -> None:
        usage = shutil.disk_usage(stored.paths.state)._replace(free=-1)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        assert not status_document(stored)["disk"]["enough"]

    def test_names_in_the_inbox_are_escaped_and_only_some_are_listed(self, stored: Config) -> None:
        hostile = Ignored(path=Path("inbox/\x1b[31m\n.wav"), code=IgnoreCode.EMPTY)
        left = (hostile, *[Ignored(path=Path(f"{number}.doc"), code=IgnoreCode.EXTENSION) for number in range(99)])
        intake = IntakeStatus(followed=3, left=left, left_counts={"EMPTY": 1, "EXTENSION": 99})
        inbox = status_document(stored, daemon=SERVING, intake=intake)["inbox"]
        assert len(inbox["left"]) == LISTED
        assert inbox["left"][0] == {"name": "\\u001b[31m\\u000a.wav", "code": "EMPTY"}
        assert inbox["left_counts"] == {"EMPTY": 1, "EXTENSION": 99}

    def test_without_a_database_the_next_step_is_named(self, config: Config) -> None:
        with pytest.raises(StoreError, match="medasrd db upgrade"):
            status_document(config)
