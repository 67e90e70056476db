"""Which recordings a new model child gets, and who is blamed for the old one's end."""

from __future__ import annotations

from pathlib import Path

from daemon.engine.dispatch import Dispatch, Pending


def dispatch_with(*recordings: str) -> Dispatch:
    dispatch = Dispatch()
    for recording in recordings:
        add(dispatch, recording)
    return dispatch


def add(dispatch: Dispatch, recording: str, *, urgent: bool = False) -> None:
    dispatch.add(Pending(id=recording, pcm=Path(f"/spool/{recording}"), seconds=1.0, urgent=urgent))


def due(dispatch: Dispatch) -> list[str]:
    return [pending.id for pending in dispatch.due()]


def test_everything_goes_out_once_in_order_of_arrival() -> None:
    dispatch = dispatch_with("b", "a")

    assert due(dispatch) == ["b", "a"]
    assert due(dispatch) == []
    assert dispatch.busy


def test_what_the_child_was_busy_with_is_tried_alone_and_the_rest_together_afterwards() -> None:
    dispatch = dispatch_with("a", "b", "c", "d")
    due(dispatch)

    assert dispatch.lost({"b", "c"}, blame=True) is None
    assert due(dispatch) == ["b"]
    assert due(dispatch) == []
    dispatch.remove("b")
    assert due(dispatch) == ["c"]
    dispatch.remove("c")
    assert not dispatch.probing
    assert due(dispatch) == ["a", "d"]


def test_a_recording_is_blamed_when_a_child_dies_of_it_alone() -> None:
    dispatch = dispatch_with("a", "b")
    due(dispatch)
    dispatch.lost({"a", "b"}, blame=True)
    due(dispatch)

    assert dispatch.lost({"a"}, blame=True) == "a"
    assert "a" not in dispatch
    assert due(dispatch) == ["b"]


def test_a_recording_that_may_fit_next_time_is_tried_alone_again() -> None:
    dispatch = dispatch_with("a", "b")
    due(dispatch)
    dispatch.lost({"a", "b"}, blame=True)
    due(dispatch)

    assert dispatch.lost({"a"}, blame=False) is None
    assert due(dispatch) == ["a"]


def test_a_child_that_dies_before_it_touched_the_recording_blames_nobody() -> None:
    dispatch = dispatch_with("a")
    due(dispatch)
    dispatch.lost({"a"}, blame=True)
    due(dispatch)

    assert dispatch.lost(set(), blame=True) is None
    assert due(dispatch) == ["a"]


def test_a_child_that_dies_idle_leaves_no_suspects() -> None:
    dispatch = dispatch_with("a", "b")
    due(dispatch)

    dispatch.lost(set(), blame=True)

    assert not dispatch.probing
    assert due(dispatch) == ["a", "b"]


def test_newcomers_wait_until_the_suspects_are_tried() -> None:
    dispatch = dispatch_with("a")
    due(dispatch)
    dispatch.lost({"a"}, blame=True)
    add(dispatch, "new")

    assert due(dispatch) == ["a"]
    dispatch.remove("a")
    assert due(dispatch) == ["new"]


def test_urgent_ones_go_out_before_all_others() -> None:
    dispatch = dispatch_with("a", "b")
    add(dispatch, "urgent", urgent=True)

    assert due(dispatch) == ["urgent", "a", "b"]


def test_only_urgent_ones_go_out_while_the_child_is_to_run_dry() -> None:
    dispatch = dispatch_with("a")
    add(dispatch, "urgent", urgent=True)

    assert [pending.id for pending in dispatch.due(only_urgent=True)] == ["urgent"]
    assert due(dispatch) == ["a"]


def test_an_urgent_one_waits_for_the_suspect_that_is_being_tried_and_for_no_other() -> None:
    dispatch = dispatch_with("a", "b")
    due(dispatch)
    dispatch.lost({"a", "b"}, blame=True)
    assert due(dispatch) == ["a"]
    add(dispatch, "urgent", urgent=True)

    assert due(dispatch) == []
    dispatch.remove("a")
    assert due(dispatch) == ["urgent"]
    assert due(dispatch) == []
    dispatch.remove("urgent")
    assert due(dispatch) == ["b"]


def test_of_the_suspects_an_urgent_one_is_tried_first() -> None:
    dispatch = dispatch_with("a")
    add(dispatch, "urgent", urgent=True)
    due(dispatch)
    dispatch.lost({"a", "urgent"}, blame=True)

    assert due(dispatch) == ["urgent"]
    dispatch.remove("urgent")
    assert due(dispatch) == ["a"]


def test_a_cancelled_suspect_makes_way_for_the_others() -> None:
    dispatch = dispatch_with("a", "b", "c")
    due(dispatch)
    dispatch.lost({"a", "b"}, blame=True)

    assert due(dispatch) == ["a"]
    dispatch.remove("b")
    dispatch.remove("a")
    assert due(dispatch) == ["c"]
