"""What a training's process tells its parent, one JSON object a line; no text of a recording is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from medasr.errors import TransientError


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What is being done beside steps."""

    name: str
    done: int
    total: int
    news: Literal["phase"] = "phase"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of the optimization."""

    step: int
    steps: int
    loss: float
    seconds_left: float
    news: Literal["step"] = "step"


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What an adapter wrote on validation, and what the base did; percent, by metric."""

    epoch: int
    interpolation: float
    figures: dict[str, float | None]
    base: dict[str, float | None]
    news: Literal["tried"] = "tried"


@dataclass(frozen=True, kw_only=True)
class Aside:
    """The training has made room; it goes on when it is started again."""

    news: Literal["aside"] = "aside"


@dataclass(frozen=True, kw_only=True)
class Done:
    """The candidate is complete."""

    folder: str
    epoch: int
    interpolation: float
    seconds: float  #: of work
    peak_memory: int  #: bytes, of this process
    news: Literal["done"] = "done"


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Nothing came of it: the error's class and message, and its code where there is one."""

    error: str
    message: str
    exit_code: int
    failure: str | None = None
    news: Literal["refused"] = "refused"


News = Phase | Step | Tried | Aside | Done | Refused

_NEWS: TypeAdapter[News] = TypeAdapter(
    Annotated[News, Field(discriminator="news")], config=ConfigDict(ser_json_inf_nan="constants")
)


def encode_news(news: News) -> bytes:
    """A line."""
    return _NEWS.dump_json(news) + b"\n"


def decode_news(line: bytes) -> News:
    """What a line says. Raise TransientError when it is none: the process is not what it should be."""
    try:
        return _NEWS.validate_json(line)
    except ValidationError:
        raise TransientError("the training's process said something that is no news; try again") from None
