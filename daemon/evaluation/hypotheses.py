"""What an evaluation has transcribed so far, on disk: it goes on where it was interrupted, by whatever."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pydantic import TypeAdapter, ValidationError

from medasr.dataset.utterance import ExclusionReason
from medasr.errors import AlreadyRunning
from medasr.types import ModelVersion

FILE = "hypotheses.jsonl"
_LOCK = "lock"


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """The first line: when the evaluation began, and what transcribes."""

    started_at: datetime
    model: ModelVersion
    device: str
    line: Literal["beginning"] = "beginning"


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What the model wrote for a recording."""

    id: str
    seconds: float  #: of audio
    text: str
    engine_seconds: float
    terms: tuple[tuple[str, float], ...] = ()  #: medical terms with their confidences (0..1), in the order of the text
    line: Literal["heard"] = "heard"


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A recording that could not be transcribed."""

    id: str
    reason: ExclusionReason
    detail: str
    line: Literal["refused"] = "refused"


_LINE: TypeAdapter[Beginning | Heard | Refused] = TypeAdapter(Beginning | Heard | Refused)


@dataclass(kw_only=True)
class Hypotheses:
    """The lines so far, by recording, and the file to which more are added; one process at a time."""

    file: BinaryIO
    beginning: Beginning | None = None
    results: dict[str, Heard | Refused] = field(default_factory=dict)

    def begin(self, beginning: Beginning) -> None:
        """Begin, or go on if the same model began; what another model wrote is dropped."""
        known = self.beginning
        if known and (known.model, known.device) == (beginning.model, beginning.device):
            return
        self.file.truncate(0)
        self.file.seek(0)
        self.results.clear()
        self.beginning = beginning
        self._write(beginning)

    def add(self, result: Heard | Refused) -> None:
        """Keep a result: it survives this process, though not a power cut, after which some are transcribed again."""
        self.results[result.id] = result
        self._write(result)

    def _write(self, line: Beginning | Heard | Refused) -> None:
        self.file.write(json.dumps(asdict(line), default=_plain, ensure_ascii=False).encode() + b"\n")
        self.file.flush()


@contextmanager
def opened(folder: Path) -> Iterator[Hypotheses]:
    """The hypotheses of an evaluation, whose folder is made if it is missing. Raise AlreadyRunning when a process works on them."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning("this very evaluation is running already; wait for it, or stop it first") from None
        descriptor = os.open(folder / FILE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            yield _read(file)
    finally:
        os.close(lock)


def _read(file: BinaryIO) -> Hypotheses:
    """Every whole line; a torn last one, and whatever may follow one that is none, is cut off."""
    hypotheses = Hypotheses(file=file)
    end = 0
    for line in file:
        parsed = _parse(line) if line.endswith(b"\n") else None
        if parsed is None or (isinstance(parsed, Beginning) != (hypotheses.beginning is None)):
            break
        if isinstance(parsed, Beginning):
            hypotheses.beginning = parsed
        else:
            hypotheses.results[parsed.id] = parsed
        end += len(line)
    file.truncate(end)
    file.seek(end)
    return hypotheses


def _parse(line: bytes) -> Beginning | Heard | Refused | None:
    try:
        return _LINE.validate_json(line)
    except ValidationError:
        return None


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)
