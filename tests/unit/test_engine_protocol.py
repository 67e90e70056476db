"""Frames and messages between daemon and model child."""

from __future__ import annotations

import json
import math
import struct
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config import Config
from daemon.engine.options import engine_options
from daemon.engine.protocol import (
    MAX_FRAME_BYTES,
    Cancel,
    Completed,
    EngineOptions,
    Exhausted,
    Fatal,
    Fault,
    FrameReader,
    Progress,
    Ready,
    Reply,
    Request,
    Stop,
    Transcribe,
    Unreadable,
    Working,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    frame,
)
from daemon.registry.serving import resolve
from daemon.sections import LexiconOptions, Model, Quality, Speech
from medasr.errors import EngineError
from medasr.types import Concern, ModelVersion, Segment, SpeechSpan, TermLists, Transcript, Verdict, VerdictKind, Word

VERSION = ModelVersion(
    base_id="whisper-base", base_revision="1.0.0", base_sha256="a" * 64, adapter_sha256=None, precision="fp32"
)
TRANSCRIPT = Transcript(
    text="Take 5 µg of “Levothyroxine”.",
    language="en",
    segments=(
        Segment(
            index=0,
            start=0.5,
            end=2.0,
            text="Take 5 µg of “Levothyroxine”.",
            mean_log_probability=-math.inf,
            no_speech_probability=0.01,
            compression_ratio=0.9,
            concerns=("LOW_CONFIDENCE",),
            words=(
                Word(start=0.5, end=0.8, text="Take", confidence=1.0),
                Word(start=0.8, end=1.1, text="5 µg", confidence=0.75),
            ),
        ),
    ),
    speech=(SpeechSpan(start=0.4, end=2.1),),
    verdict=Verdict(
        kind=VerdictKind.NEEDS_REVIEW,
        concerns=(Concern(code="LOW_CONFIDENCE", value=-math.inf, start=0.5, end=2.0),),
    ),
)
COMPLETED = Completed(
    id="r1", transcript=TRANSCRIPT, version=VERSION, device="cuda:0", batch_size=8, seconds=1.5, fallback="cpu"
)
OPTIONS = EngineOptions(
    models=Path("/var/lib/medasr/models"),
    model=Model(),
    speech=Speech(),
    quality=Quality(),
    load_seconds=1.0,
    hang_seconds=2.0,
    term_lists=TermLists(lists={"cardiology": ("metoprolol", "Sjögren's syndrome")}, weight=0.5, maximum=2.0),
)


def body_of(framed: bytes) -> bytes:
    (body,) = FrameReader().feed(framed)
    return body


@pytest.mark.parametrize(
    "request_", [OPTIONS, Transcribe(id="r1", pcm=Path("/spool/r1.pcm"), terms="cardiology"), Cancel(id="r1"), Stop()]
)
def test_a_request_arrives_as_it_was_sent(request_: Request) -> None:
    assert decode_request(body_of(encode_request(request_))) == request_


@pytest.mark.parametrize(
    "reply",
    [
        Ready(version=VERSION, device="cpu", load_seconds=0.5),
        Working(ids=("r1", "r2")),
        Progress(id="r1", done=3, total=7),
        COMPLETED,
        Exhausted(id="r1"),
        Unreadable(id="r1"),
        Fatal(message="models/whisper-base: missing; run `medasrd models pull whisper-base`"),
        Fault(error="RuntimeError", position="whisper/decoding.py:88"),
    ],
)
def test_a_reply_arrives_as_it_was_sent(reply: Reply) -> None:
    assert decode_reply(body_of(encode_reply(reply))) == reply


def test_a_transcript_keeps_its_types_its_letters_and_its_infinities() -> None:
    arrived = decode_reply(body_of(encode_reply(COMPLETED)))

    assert isinstance(arrived, Completed)
    assert arrived.transcript == TRANSCRIPT
    assert isinstance(arrived.transcript.verdict.kind, VerdictKind)
    assert isinstance(arrived.transcript.segments, tuple)


def test_the_configuration_says_everything_the_child_has_to_know() -> None:
    config = Config(lexicon=LexiconOptions(extra=(Path("/etc/medasr/terms.csv"),)))

    options = engine_options(config)

    assert options.models == config.paths.models
    assert (options.model, options.speech, options.quality) == (resolve(config), config.speech, config.quality)
    assert options.lexicon == config.lexicon.extra
    assert (options.load_seconds, options.hang_seconds) == (config.engine.load_seconds, config.engine.hang_seconds)


@given(bodies=st.lists(st.binary(max_size=200), max_size=6), cuts=st.lists(st.integers(0, 1300), max_size=20))
def test_frames_come_out_whole_however_the_pipe_chopped_them(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(frame, bodies))
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    reader = FrameReader()

    arrived = [body for first, last in pairwise(edges) for body in reader.feed(stream[first:last])]

    assert arrived == bodies


def test_a_frame_that_has_not_arrived_whole_is_waited_for() -> None:
    framed = encode_request(Stop())
    reader = FrameReader()

    assert list(reader.feed(framed[:-1])) == []
    assert [decode_request(body) for body in reader.feed(framed[-1:])] == [Stop()]


def test_frames_before_garbage_are_still_given() -> None:
    frames = FrameReader().feed(encode_request(Stop()) + b"Traceback (most recent call last):")

    assert decode_request(next(frames)) == Stop()
    with pytest.raises(EngineError, match="something else than frames"):
        next(frames)


def test_a_length_that_no_message_has_is_refused_before_anything_is_kept_for_it() -> None:
    with pytest.raises(EngineError, match="something else than frames"):
        list(FrameReader().feed(struct.pack(">I", MAX_FRAME_BYTES + 1)))


def test_a_message_too_long_for_a_frame_is_not_sent() -> None:
    with pytest.raises(EngineError, match="longer than a frame"):
        frame(bytes(MAX_FRAME_BYTES + 1))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x80\x04\x95",  # a pickle
        b"null",
        b"[]",
        b"{}",
        b'{"frame": "shutdown"}',
        b'{"frame": "progress", "id": "r1", "done": 1}',
        b'{"frame": "progress", "id": "r1", "done": "1", "total": 2}',
        b'{"frame": "progress", "id": 1, "done": 1, "total": 2}',
        b'{"frame": "working", "ids": "r1"}',
        b'{"frame": "cancel", "id": "r1"}',
        '{"frame": "progress", "id": "\ud800", "done": 1, "total": 2}'.encode("utf-8", "surrogatepass"),
    ],
)
def test_what_is_not_a_reply_is_refused(body: bytes) -> None:
    with pytest.raises(EngineError, match="not a message"):
        decode_reply(body)


def test_a_refused_message_is_not_quoted() -> None:
    document = json.loads(body_of(encode_reply(COMPLETED)))
    document["transcript"]["text"] = ["the patient takes lisinopril"]

    with pytest.raises(EngineError) as caught:
        decode_reply(json.dumps(document).encode())

    assert "transcript.text" in str(caught.value)
    assert "lisinopril" not in str(caught.value)
    assert caught.value.__cause__ is None
