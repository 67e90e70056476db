"""The log: one line an event, and no way for a patient's words to get into it.

What is written is chosen by permission, not by prohibition: our own constant messages, the fields in :data:`FIELDS`, and of an
exception its class and code positions. Arguments of messages, other fields, messages of foreign exceptions and of other
libraries' records are never formatted, as nobody knows what they hold. The message of a :class:`~medasr.errors.MedasrError`
is written by us and names options and paths of the installation; it stays.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, TextIO

from medasr.errors import MedasrError

logger = logging.getLogger(__name__)

#: What a record may carry in ``extra``: ids, states, codes, counts, durations, sizes, model and device.
FIELDS = frozenset(
    {
        *("job", "recording", "recording_id", "pid", "process_id", "task", "model", "version", "device"),
        *("state", "code", "reason", "kind", "fault", "error", "exit_code"),
        *("count", "duplicates", "orphans", "interrupted", "in_row", "segments", "terms", "attempts", "batch_size"),
        *("seconds", "size", "evaluation", "utterances", "metric", "value", "best"),
    }
)

#: The packages whose messages are ours, and constant.
_OURS = ("daemon", "medasr")
#: A field's text is a code, an id or a code position; anything else could be a sentence.
_CODE = re.compile(r"[\w.:,+/@-]{1,120}( at [\w.:<>/-]{1,120})?", re.ASCII)
_WITHHELD = "[withheld]"


def configure(level: str, format: Literal["auto", "json", "text"], stream: TextIO) -> None:  # noqa: A002 - the option's name
    """Send every log record of this process to ``stream``, and nothing to anywhere else.

    ``level`` is the least level written; ``format`` is ``json``, ``text``, or ``auto`` for text on a terminal. Other libraries
    speak from warnings on, and only the name of their logger is written. Uncaught exceptions are logged, not printed.
    """
    as_text = format == "text" or (format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    handler.addFilter(_is_wanted)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # otherwise a record that cannot be written is printed with its arguments
    sys.excepthook = _on_uncaught
    sys.unraisablehook = lambda fault: _on_uncaught(fault.exc_type, fault.exc_value, fault.exc_traceback)
    threading.excepthook = lambda fault: _on_uncaught(fault.exc_type, fault.exc_value, fault.exc_traceback)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the allowed fields, and the exceptions, cause first."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record; ``record.args`` is never looked at."""
        event: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        } | _fields(record)
        if record.exc_info and record.exc_info[1]:
            event["exceptions"] = [
                {"type": name, "frames": frames} | ({"message": message} if message else {})
                for name, message, frames in _exceptions(record.exc_info[1])
            ]
        return json.dumps(event, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """The same for people, also one line an event."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record; ``record.args`` is never looked at."""
        words = [f"{_time(record)} {record.levelname:7} {record.name}: {_message(record)}"]
        words += [f"{name}={value}" for name, value in _fields(record).items()]
        if record.exc_info and record.exc_info[1]:
            words += [
                f"[{name}{': ' if message else ''}{message} at {' < '.join(reversed(frames))}]"
                for name, message, frames in _exceptions(record.exc_info[1])
            ]
        return " ".join(words)


def _is_wanted(record: logging.LogRecord) -> bool:
    return _is_ours(record) or record.levelno >= logging.WARNING


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.split(".", 1)[0] in _OURS


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _message(record: logging.LogRecord) -> str:
    """Our own template as it stands in the code; of another library only that it said something."""
    return _one_line(str(record.msg)) if _is_ours(record) else "a library reported something"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: _value(value) for name, value in sorted(vars(record).items()) if name in FIELDS and value is not None}


def _value(value: object) -> str | int | float:
    if isinstance(value, int | float):
        return value
    return str(value) if isinstance(value, str) and _CODE.fullmatch(value) else _WITHHELD


def _exceptions(error: BaseException) -> list[tuple[str, str, list[str]]]:
    """Of an exception and those that led to it, the first cause first: class, our own message, code positions."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return [
        (
            type(item).__qualname__,
            _one_line(str(item)) if isinstance(item, MedasrError) else "",
            _frames(item.__traceback__),
        )
        for item in reversed(chain)
    ]


def _frames(position: TracebackType | None) -> list[str]:
    """Module and line of each call, outermost first."""
    return [f"{frame.f_globals.get('__name__', '?')}:{line}" for frame, line in traceback.walk_tb(position)]


def _one_line(text: str) -> str:
    """Line breaks and terminal escapes cannot forge another entry."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _on_uncaught(kind: type[BaseException], error: BaseException | None, position: TracebackType | None) -> None:
    if error is not None and not issubclass(kind, KeyboardInterrupt):
        logger.critical("uncaught exception", exc_info=(kind, error, position))
