"""What the daemon and the model child say to each other: frames of JSON on two pipes, checked on arrival, never pickle.

A frame is a big-endian ``u32`` length and that many bytes of UTF-8 JSON, one message each. Waveforms do not travel: both sides
see the same PCM file. The first message to the child is its :class:`EngineOptions`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from daemon.sections import Model, Quality, Speech
from medasr.errors import EngineError
from medasr.types import ModelVersion, TermLists, Transcript

if TYPE_CHECKING:
    from collections.abc import Iterator

_LENGTH = struct.Struct(">I")

#: The longest message either side believes in: the transcript of a 12 h recording takes about a third of it.
MAX_FRAME_BYTES = 64 * 2**20


class EngineFailure(StrEnum):
    """How the model child failed, or a recording within it."""

    CRASHED = "ENGINE_CRASHED"
    HUNG = "ENGINE_HUNG"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    PCM_UNREADABLE = "PCM_UNREADABLE"  # the normalized audio is missing or not readable: decode it again


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Everything the model child has to know, and how long it may stay silent."""

    models: Path  #: folder with the installed weights
    model: Model
    speech: Speech
    quality: Quality
    lexicon: tuple[Path, ...] = ()  #: files read after ours: what stands in them is timed word by word
    load_seconds: float  #: limit for loading the weights
    hang_seconds: float  #: limit between two signs of progress while there is work
    tuned_for: Literal["", "cpu", "cuda"] = ""  #: the kind of device that the precision was chosen on, where it was
    term_lists: TermLists = field(default_factory=TermLists)  #: that a recording may name
    frame: Literal["options"] = "options"


@dataclass(frozen=True, kw_only=True)
class Transcribe:
    """To the child: transcribe this recording when its turn comes."""

    id: str
    pcm: Path
    urgent: bool = False  #: before all that are not
    terms: str = ""  #: name of its list of terms; empty for none
    frame: Literal["transcribe"] = "transcribe"


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """To the child: forget this recording; nothing more will be said about it, unless it was just finished."""

    id: str
    frame: Literal["cancel"] = "cancel"


@dataclass(frozen=True, kw_only=True)
class Stop:
    """To the child: exit at once."""

    frame: Literal["stop"] = "stop"


@dataclass(frozen=True, kw_only=True)
class Ready:
    """From the child: the weights are loaded and have transcribed a moment of silence."""

    version: ModelVersion
    device: str
    load_seconds: float
    frame: Literal["ready"] = "ready"


@dataclass(frozen=True, kw_only=True)
class Working:
    """From the child, before it begins: the recordings whose audio it is about to touch. Whoever kills it is among them."""

    ids: tuple[str, ...]
    frame: Literal["working"] = "working"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """From the child: how many of a recording's windows are transcribed. The first one tells that its speech is found."""

    id: str
    done: int
    total: int
    frame: Literal["progress"] = "progress"


@dataclass(frozen=True, kw_only=True)
class Completed:
    """From the child: a finished transcript and how it came about."""

    id: str
    transcript: Transcript
    version: ModelVersion
    device: str
    batch_size: int  #: windows decoded together at most, when the last of this recording's was
    seconds: float  #: the engine's time: voice activity plus this recording's share of its batches
    fallback: str = ""  #: set by the host: "cpu", "batch 2", "cpu, batch 2"; empty when all ran as configured
    frame: Literal["completed"] = "completed"


@dataclass(frozen=True, kw_only=True)
class Exhausted:
    """From the child: memory ran out on a single window of this recording."""

    id: str
    frame: Literal["exhausted"] = "exhausted"


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """From the child: this recording's PCM file is missing or not as it was written."""

    id: str
    frame: Literal["unreadable"] = "unreadable"


@dataclass(frozen=True, kw_only=True)
class Fatal:
    """From the child before it exits: the weights cannot be used; a person has to mend it."""

    message: str  #: of the ModelError
    frame: Literal["fatal"] = "fatal"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """From the child before it exits: an error nobody expected, as class and code position, without its message."""

    error: str
    position: str
    frame: Literal["fault"] = "fault"


@dataclass(frozen=True, kw_only=True)
class Failed:
    """From the host to its caller: a recording is no longer in flight, without a transcript."""

    id: str
    blame: bool  #: the child died of this recording alone; else the recording is innocent, and worth another try
    kind: EngineFailure


@dataclass(frozen=True, kw_only=True)
class Died:
    """From the host to its caller: the child was lost; what was in flight will be handed to the next one."""

    kind: EngineFailure
    fault: str  #: class and code position of the error, where the child could still tell


Request = EngineOptions | Transcribe | Cancel | Stop
Reply = Ready | Working | Progress | Completed | Exhausted | Unreadable | Fatal | Fault
#: What a host tells its caller.
EngineEvent = Ready | Progress | Completed | Failed | Died

_Message = TypeVar("_Message", Request, Reply)

# A log-probability may be -inf: JSON has no word for it, so both sides use the one Python's json module uses.
_FORMAT = ConfigDict(strict=True, ser_json_inf_nan="constants")
_REQUESTS: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="frame")], config=_FORMAT)
_REPLIES: TypeAdapter[Reply] = TypeAdapter(Annotated[Reply, Field(discriminator="frame")], config=_FORMAT)


def encode_request(request: Request) -> bytes:
    """A message to the child as a frame."""
    return frame(_REQUESTS.dump_json(request))


def encode_reply(reply: Reply) -> bytes:
    """A message from the child as a frame."""
    return frame(_REPLIES.dump_json(reply))


def decode_request(body: bytes) -> Request:
    """The message in a frame from the daemon; raise EngineError when it is none."""
    return _validate(_REQUESTS, body)


def decode_reply(body: bytes) -> Reply:
    """The message in a frame from the child; raise EngineError when it is none."""
    return _validate(_REPLIES, body)


def frame(body: bytes) -> bytes:
    """A message's bytes behind their length; raise EngineError over :data:`MAX_FRAME_BYTES`."""
    if len(body) > MAX_FRAME_BYTES:
        raise EngineError(f"a message of {len(body)} bytes is longer than a frame may be ({MAX_FRAME_BYTES})")
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream into frames, however the pipe chopped it."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes as they came and give every frame they complete; raise EngineError where no frame can begin."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_FRAME_BYTES:
                raise EngineError(f"the pipe to the model process carries something else than frames (length {length})")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield body


def _validate(adapter: TypeAdapter[_Message], body: bytes) -> _Message:
    try:
        return adapter.validate_json(body, strict=True)
    except ValidationError as error:
        # The error's own words quote the message, which may hold a transcript.
        places = ", ".join(".".join(map(str, item["loc"])) or "message" for item in error.errors(include_input=False))
        raise EngineError(f"a frame between daemon and model process is not a message (wrong: {places})") from None
