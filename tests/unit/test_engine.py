"""The engine within the model child, step by step, without a process around it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from daemon.engine.engine import Engine
from daemon.engine.protocol import (
    Cancel,
    Completed,
    Exhausted,
    Progress,
    Reply,
    Stop,
    Transcribe,
    Unreadable,
    Working,
)
from medasr.errors import EngineError
from tests.support.transcribers import (
    Behaviour,
    Mark,
    ScriptedTranscriber,
    engine_options,
    load_scripted,
    write_recording,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from medasr.types import Hypothesis, Waveform


class Bench:
    """An engine, the folder of its recordings, and what it said."""

    def __init__(self, folder: Path, batch_size: int, behaviour: Behaviour) -> None:
        self.folder = folder
        self.replies: list[Reply] = []
        recognizer = load_scripted(behaviour, engine_options(folder))
        assert isinstance(recognizer.transcriber, ScriptedTranscriber)
        self.transcriber = recognizer.transcriber
        self.engine = Engine(recognizer, batch_size, self.replies.append)

    def accept(self, recording: str, *marks: Mark, urgent: bool = False, terms: str = "") -> Path:
        pcm = write_recording(self.folder / recording, *marks)
        self.engine.accept(Transcribe(id=recording, pcm=pcm, urgent=urgent, terms=terms))
        return pcm

    def finish(self) -> dict[str, Completed]:
        while not self.engine.idle:
            self.engine.step()
        return {reply.id: reply for reply in self.replies if isinstance(reply, Completed)}

    def batches(self) -> list[tuple[str, ...]]:
        return [reply.ids for reply in self.replies if isinstance(reply, Working)]


def bench(folder: Path, batch_size: int = 4, behaviour: Behaviour | None = None) -> Bench:
    return Bench(folder, batch_size, behaviour or Behaviour())


def test_speech_is_looked_for_only_as_far_ahead_as_the_next_batch_needs(tmp_path: Path) -> None:
    engine = bench(tmp_path, batch_size=2)
    for name in ("a", "b", "c", "d", "e"):
        engine.accept(name, Mark.SPEECH)

    engine.finish()

    # While a batch is decoded the speech of the next is looked for; whoever ends the process is among those named last.
    first, second = [("a",), ("b",), ("a", "b")], [("a", "b", "c"), ("a", "b", "d"), ("c", "d")]
    assert engine.batches() == [*first, *second, ("c", "d", "e"), ("e",)]


def test_an_urgent_recording_waits_for_the_step_in_hand_and_no_longer(tmp_path: Path) -> None:
    engine = bench(tmp_path, batch_size=2)
    engine.accept("long", *[Mark.SPEECH] * 8)
    engine.accept("next", Mark.SPEECH)
    engine.engine.step()
    engine.engine.step()
    engine.accept("urgent", *[Mark.SPEECH] * 3, urgent=True)

    engine.finish()

    assert engine.batches()[:5] == [("long",), ("long",), ("urgent",), ("urgent",), ("urgent", "long")]
    finished = [reply.id for reply in engine.replies if isinstance(reply, Completed)]
    assert finished == ["urgent", "long", "next"]


def test_no_speech_of_others_is_looked_for_while_an_urgent_recording_waits(tmp_path: Path) -> None:
    engine = bench(tmp_path, batch_size=4)
    engine.accept("ordinary", Mark.SPEECH)
    engine.accept("urgent", Mark.SPEECH, urgent=True)

    engine.finish()

    assert engine.batches() == [("urgent",), ("urgent",), ("urgent", "ordinary"), ("ordinary",)]


def test_urgent_recordings_share_a_batch(tmp_path: Path) -> None:
    engine = bench(tmp_path, batch_size=4)
    for name in ("a", "b"):
        engine.accept(name, Mark.SPEECH, urgent=True)

    engine.finish()

    assert engine.batches() == [("a",), ("b",), ("a", "b")]


def test_each_window_of_a_batch_goes_with_the_list_of_its_recording(tmp_path: Path) -> None:
    engine = bench(tmp_path, batch_size=4)
    engine.accept("heart", Mark.SPEECH, Mark.SPEECH, terms="cardiology")
    engine.accept("any", Mark.SPEECH)

    engine.finish()

    assert isinstance(engine.transcriber, ScriptedTranscriber)
    assert engine.transcriber.named == [("cardiology", "cardiology", "")]


def test_a_recording_is_named_before_anything_touches_it(tmp_path: Path) -> None:
    engine = bench(tmp_path)
    engine.accept("poison", Mark.ERROR)

    with pytest.raises(RuntimeError):
        engine.finish()

    assert engine.replies == [
        Working(ids=("poison",)),
        Progress(id="poison", done=0, total=1),
        Working(ids=("poison",)),
    ]


def test_a_recording_that_is_ready_first_is_not_held_up_by_a_longer_one(tmp_path: Path) -> None:
    engine = bench(tmp_path, batch_size=4)
    engine.accept("long", *[Mark.SPEECH] * 10)
    engine.accept("short", Mark.SPEECH)

    results = engine.finish()

    assert results["long"].transcript.text.count("samples") == 10
    assert engine.batches()[-1] == ("long", "short")


def test_a_batch_that_does_not_fit_is_halved_and_stays_small(tmp_path: Path) -> None:
    engine = bench(tmp_path, batch_size=8, behaviour=Behaviour(fits=3))
    engine.accept("a", *[Mark.SPEECH] * 5)
    engine.accept("b", Mark.SPEECH)

    results = engine.finish()

    assert results["a"].transcript.text == " ".join(["160 samples in a batch of 3"] * 5)
    assert [result.batch_size for result in results.values()] == [3, 3]


def test_a_window_that_fits_nowhere_gives_up_its_recording_and_no_other(tmp_path: Path) -> None:
    engine = bench(tmp_path, batch_size=4)
    engine.accept("a", Mark.SPEECH, Mark.SPEECH)
    engine.accept("large", Mark.SPEECH, Mark.MEMORY, Mark.SPEECH)
    engine.accept("b", Mark.SPEECH)

    results = engine.finish()

    assert Exhausted(id="large") in engine.replies
    assert results.keys() == {"a", "b"}
    assert results["b"].batch_size == 1


def test_a_file_that_vanishes_before_its_batch_leaves_the_others_in_it(tmp_path: Path) -> None:
    engine = bench(tmp_path, batch_size=4)
    lost = engine.accept("lost", Mark.SPEECH)
    engine.accept("a", Mark.SPEECH, Mark.SPEECH, Mark.SPEECH)
    engine.engine.step()
    engine.engine.step()

    lost.unlink()
    results = engine.finish()

    assert engine.replies.count(Unreadable(id="lost")) == 1
    assert results["a"].transcript.text == " ".join(["160 samples in a batch of 3"] * 3)
    assert results.keys() == {"a"}


def test_nothing_is_left_to_do_when_the_only_file_vanishes(tmp_path: Path) -> None:
    engine = bench(tmp_path)
    lost = engine.accept("lost", Mark.SPEECH)
    engine.engine.step()

    lost.unlink()

    assert engine.finish() == {}
    assert engine.replies[-1] == Unreadable(id="lost")


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_cancelled_recording_is_forgotten_at_whatever_stage(tmp_path: Path, steps: int) -> None:
    engine = bench(tmp_path, batch_size=1)
    engine.accept("unwanted", *[Mark.SPEECH] * 3)
    engine.accept("wanted", Mark.SPEECH)
    for _ in range(steps):
        engine.engine.step()

    engine.engine.accept(Cancel(id="unwanted"))

    assert engine.finish().keys() == {"wanted"}


def test_what_was_cancelled_while_it_was_decoded_is_nobodys(tmp_path: Path) -> None:
    engine = bench(tmp_path, batch_size=1)
    engine.accept("unwanted", Mark.SPEECH)
    engine.accept("wanted", Mark.SPEECH)
    engine.engine.step()
    engine.engine.step()  # begins to decode it: there is speech to be looked for meanwhile

    engine.engine.accept(Cancel(id="unwanted"))
    engine.accept("unwanted", Mark.SPEECH, Mark.SPEECH)

    results = engine.finish()
    assert results["unwanted"].transcript.text == " ".join(["160 samples in a batch of 1"] * 2)
    assert results.keys() == {"unwanted", "wanted"}


def test_as_many_batches_are_decoded_at_a_time_as_there_are_lanes(tmp_path: Path) -> None:
    engine = bench(tmp_path, batch_size=4, behaviour=Behaviour(lanes=2))
    meeting = threading.Barrier(2)

    def transcribe(windows: Sequence[Waveform], lists: Sequence[str] = ()) -> list[Hypothesis]:
        meeting.wait(30)  # nobody comes alone
        return ScriptedTranscriber.transcribe(engine.transcriber, windows, lists)

    with patch.object(engine.transcriber, "transcribe", transcribe):
        engine.accept("a", *[Mark.SPEECH] * 5)
        results = engine.finish()

    assert results["a"].transcript.text == " ".join(
        ["160 samples in a batch of 3"] * 3 + ["160 samples in a batch of 2"] * 2
    )


def test_batches_are_the_same_however_long_each_takes(tmp_path: Path) -> None:
    texts = []
    for slow in (0, 1):
        engine = bench(tmp_path, batch_size=2, behaviour=Behaviour(lanes=2))
        engine.accept("a", *[Mark.LONG if place == slow else Mark.SPEECH for place in range(7)])
        engine.accept("b", *[Mark.SPEECH] * 4)
        texts.append({name: result.transcript.text for name, result in engine.finish().items()})
    assert texts[0] == texts[1]


def test_urgent_windows_come_before_batches_that_are_formed_already(tmp_path: Path) -> None:
    engine = bench(tmp_path, batch_size=1, behaviour=Behaviour(lanes=2))
    begun = []

    def transcribe(windows: Sequence[Waveform], lists: Sequence[str] = ()) -> list[Hypothesis]:
        begun.append(lists[0])
        if len(begun) == 2:
            engine.accept("urgent", Mark.SPEECH, Mark.SPEECH, urgent=True, terms="urgent")
            first.set()
        elif len(begun) == 1:
            first.wait(30)
        return ScriptedTranscriber.transcribe(engine.transcriber, windows, lists)

    first = threading.Event()
    with patch.object(engine.transcriber, "transcribe", transcribe):
        engine.accept("long", *[Mark.SPEECH] * 9, terms="long")
        engine.finish()

    assert begun[:2] == ["long", "long"]
    assert begun.index("urgent") <= 3  # at most one batch that a lane took while the other was on its way
    assert begun.count("long") == 9


def test_a_lane_that_is_free_takes_what_arrives_while_another_works(tmp_path: Path) -> None:
    engine = bench(tmp_path, batch_size=1, behaviour=Behaviour(lanes=2))
    meeting = threading.Barrier(2)

    def transcribe(windows: Sequence[Waveform], lists: Sequence[str] = ()) -> list[Hypothesis]:
        meeting.wait(30)
        return ScriptedTranscriber.transcribe(engine.transcriber, windows, lists)

    with patch.object(engine.transcriber, "transcribe", transcribe):
        engine.accept("first", Mark.SPEECH)
        for _ in range(3):
            engine.engine.step()
        engine.accept("second", Mark.SPEECH)
        assert engine.finish().keys() == {"first", "second"}


def test_nothing_more_begins_beside_a_batch_that_hangs(tmp_path: Path) -> None:
    """Signs of progress of others would hide from the host that a recording hangs."""
    engine = bench(tmp_path, batch_size=1, behaviour=Behaviour(lanes=2))
    hanging, begun = threading.Event(), []

    def transcribe(windows: Sequence[Waveform], lists: Sequence[str] = ()) -> list[Hypothesis]:
        begun.append(lists[0])
        if lists[0] == "hangs":
            hanging.wait(30)
        return ScriptedTranscriber.transcribe(engine.transcriber, windows, lists)

    with patch.object(engine.transcriber, "transcribe", transcribe):
        engine.accept("hangs", Mark.SPEECH, terms="hangs")
        for number in range(40):
            engine.accept(str(number), Mark.SPEECH, terms="fine")
        threading.Timer(1.0, hanging.set).start()
        while not hanging.is_set():
            engine.engine.step()
            before = len(begun)
        assert before < 12
        assert len(engine.finish()) == 41


def test_where_two_batches_do_not_fit_beside_each_other_one_lane_is_left(tmp_path: Path) -> None:
    engine = bench(tmp_path, batch_size=1, behaviour=Behaviour(lanes=2))
    meeting, working = threading.Barrier(2), threading.Semaphore(1)

    def transcribe(windows: Sequence[Waveform], lists: Sequence[str] = ()) -> list[Hypothesis]:
        if len(refused) < 2:
            meeting.wait(30)
            refused.append(len(windows))
            raise MemoryError
        assert working.acquire(blocking=False)
        try:
            return ScriptedTranscriber.transcribe(engine.transcriber, windows, lists)
        finally:
            working.release()

    refused: list[int] = []
    with patch.object(engine.transcriber, "transcribe", transcribe):
        engine.accept("a", *[Mark.SPEECH] * 4)
        results = engine.finish()

    assert refused == [1, 1]
    assert results["a"].transcript.text == " ".join(["160 samples in a batch of 1"] * 4)


def test_a_recording_may_come_again(tmp_path: Path) -> None:
    engine = bench(tmp_path)
    engine.accept("a", Mark.SPEECH)
    engine.finish()
    engine.accept("a", Mark.SPEECH, Mark.SPEECH)

    assert engine.finish()["a"].transcript.text == " ".join(["160 samples in a batch of 2"] * 2)


def test_a_request_that_is_not_for_the_engine_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="stop"):
        bench(tmp_path).engine.accept(Stop())
