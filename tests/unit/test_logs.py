"""What may be in the log, and that a patient's words cannot get there by any road."""

from __future__ import annotations

import ast
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon import logs
from medasr.errors import ConfigurationError

NAME = "Mueller_Anna_1961.wav"
TEXT = "the patient reports chest pain"
TERM = "hydroxychloroquine"
CANARIES = ("Mueller", "Anna", "1961", "chest pain", "reports", TERM)
ROOT = Path(__file__).resolve().parents[2]

ours = logging.getLogger("daemon.example")
theirs = logging.getLogger("example_library.engine")


@pytest.fixture(autouse=True)
def _process_settings_come_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for where, name in [
        (sys, "excepthook"),
        (sys, "unraisablehook"),
        (threading, "excepthook"),
        (logging, "raiseExceptions"),
    ]:
        monkeypatch.setattr(where, name, getattr(where, name))
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)


@pytest.fixture(params=["json", "text"])
def log(request: pytest.FixtureRequest) -> io.StringIO:
    stream = io.StringIO()
    logs.configure("debug", request.param, stream)
    return stream


@pytest.fixture
def entries() -> Callable[[], list[dict[str, Any]]]:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def fail_while_handling() -> None:
    """A chain of exceptions whose messages, notes and locals all hold what must not be told."""
    transcript = TEXT
    try:
        raise FileNotFoundError(2, "No such file", NAME)
    except FileNotFoundError as error:
        error.add_note(TERM)
        raise ValueError(f"cannot index {transcript}") from error


def say_it_in_arguments() -> None:
    ours.info("received %s", NAME)


def say_it_in_a_mapping() -> None:
    ours.info("heard %(term)s", {"term": TERM})


def say_it_in_unknown_fields() -> None:
    ours.info("received", extra={"path": NAME, "text": TEXT, "term": TERM})


def say_it_in_known_fields() -> None:
    ours.info(
        "received",
        extra={"state": TEXT, "reason": ["severe", TERM], "count": {"term": TERM}, "recording": f"/in/ {NAME}"},
    )


def say_it_in_an_exception() -> None:
    try:
        fail_while_handling()
    except ValueError:
        ours.exception("unexpected error")


def say_it_in_a_group_of_exceptions() -> None:
    try:
        raise ExceptionGroup(TEXT, [OSError(NAME), RuntimeError(TERM)])
    except ExceptionGroup:
        ours.exception("unexpected errors")


def say_it_in_a_library() -> None:
    theirs.warning("cannot open %s", NAME)
    theirs.error(f"bad token in {TEXT}")


def say_it_in_a_library_exception() -> None:
    try:
        fail_while_handling()
    except ValueError:
        theirs.exception("while decoding %s", NAME)


def say_it_in_a_warning() -> None:
    warnings.warn(TEXT, UserWarning, stacklevel=1)


def say_it_on_the_way_out() -> None:
    try:
        fail_while_handling()
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)


def say_it_in_a_thread_that_dies() -> None:
    thread = threading.Thread(target=fail_while_handling, name=NAME)
    thread.start()
    thread.join()


@pytest.mark.parametrize(
    "leak",
    [
        say_it_in_arguments,
        say_it_in_a_mapping,
        say_it_in_unknown_fields,
        say_it_in_known_fields,
        say_it_in_an_exception,
        say_it_in_a_group_of_exceptions,
        say_it_in_a_library,
        say_it_in_a_library_exception,
        say_it_in_a_warning,
        say_it_on_the_way_out,
        say_it_in_a_thread_that_dies,
    ],
)
@pytest.mark.filterwarnings("default", "ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_no_canary_reaches_the_log(
    leak: Callable[[], None], log: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    leak()
    printed = capfd.readouterr()
    written = log.getvalue() + printed.out + printed.err
    assert log.getvalue(), "the event itself must be logged"
    assert [canary for canary in CANARIES if canary in written] == []


def test_a_record_that_cannot_be_written_is_not_printed_instead(capfd: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    stream.close()
    ours.info("received %s", NAME)
    assert capfd.readouterr().err == ""


def test_an_event_is_one_json_object_with_its_fields(entries: Callable[[], list[dict[str, Any]]]) -> None:
    ours.info(
        "decoded", extra={"job": 7, "recording": "01J9-ab", "state": "transcribing", "seconds": 12.5, "device": None}
    )
    (entry,) = entries()
    assert entry.pop("time").endswith("+00:00")
    assert entry == {
        "level": "info",
        "logger": "daemon.example",
        "message": "decoded",
        "job": 7,
        "recording": "01J9-ab",
        "state": "transcribing",
        "seconds": 12.5,
    }


def test_an_exception_keeps_its_class_and_code_positions_cause_first(
    entries: Callable[[], list[dict[str, Any]]],
) -> None:
    say_it_in_an_exception()
    (entry,) = entries()
    assert [item["type"] for item in entry["exceptions"]] == ["FileNotFoundError", "ValueError"]
    line = fail_while_handling.__code__.co_firstlineno
    assert entry["exceptions"][0]["frames"] == [f"{__name__}:{line + 4}"]
    assert entry["exceptions"][1]["frames"][-1] == f"{__name__}:{line + 7}"
    assert all("message" not in item for item in entry["exceptions"])


def test_our_own_errors_keep_their_message_with_the_remedy(entries: Callable[[], list[dict[str, Any]]]) -> None:
    try:
        raise ConfigurationError("paths.inbox = /srv/in does not exist; create it")
    except ConfigurationError:
        ours.exception("stopped")
    assert entries()[0]["exceptions"][0]["message"] == "paths.inbox = /srv/in does not exist; create it"


def test_exceptions_that_are_each_other_s_cause_are_written_once(entries: Callable[[], list[dict[str, Any]]]) -> None:
    first, second = ValueError("first"), TypeError("second")
    first.__cause__, second.__cause__ = second, first
    ours.error("odd", exc_info=first)
    assert [item["type"] for item in entries()[0]["exceptions"]] == ["TypeError", "ValueError"]


def test_a_text_entry_is_one_line_even_if_an_error_has_several() -> None:
    stream = io.StringIO()
    logs.configure("info", "text", stream)
    ours.error("stopped", extra={"code": 78}, exc_info=ConfigurationError("two problems:\n  one\n  \x1b[31mtwo"))
    (line,) = stream.getvalue().splitlines()
    assert "ERROR   daemon.example: stopped code=78 [ConfigurationError: two problems:" in line
    assert "\x1b" not in line


def test_libraries_speak_from_warnings_on(entries: Callable[[], list[dict[str, Any]]]) -> None:
    theirs.info("loading")
    theirs.warning("slow")
    (entry,) = entries()
    assert (entry["logger"], entry["level"]) == ("example_library.engine", "warning")


def test_the_level_limits_our_own_records() -> None:
    stream = io.StringIO()
    logs.configure("warning", "json", stream)
    ours.info("decoded")
    assert stream.getvalue() == ""


def test_configuring_again_does_not_double_the_entries(entries: Callable[[], list[dict[str, Any]]]) -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    ours.info("decoded")
    assert entries() == []
    assert len(stream.getvalue().splitlines()) == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "is_json"), [(Terminal(), False), (io.StringIO(), True)], ids=["terminal", "pipe"])
def test_auto_means_text_for_people_and_json_for_programs(stream: io.StringIO, is_json: bool) -> None:
    logs.configure("info", "auto", stream)
    ours.info("decoded")
    assert stream.getvalue().startswith("{") is is_json


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of a logger in the source, with its place."""
    levels = {"debug", "info", "warning", "error", "exception", "critical", "log"}
    for path in sorted([*(ROOT / "daemon").rglob("*.py"), *(ROOT / "medasr").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in levels:
                owner = node.func.value
                if isinstance(owner, ast.Name) and owner.id == "logger":
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_every_log_call_has_a_constant_message_and_no_arguments() -> None:
    offenders = [place for place, call in log_calls() if len(call.args) != 1 or not is_constant(call.args[0])]
    assert offenders == []


def is_constant(message: ast.expr) -> bool:
    """A text of the source, or a choice between two."""
    if isinstance(message, ast.IfExp):
        return is_constant(message.body) and is_constant(message.orelse)
    return isinstance(message, ast.Constant) and isinstance(message.value, str)


def test_every_field_that_the_source_logs_is_on_the_list() -> None:
    unknown = {
        f"{place}: {key.value}"
        for place, call in log_calls()
        for keyword in call.keywords
        if keyword.arg == "extra"
        for node in ast.walk(keyword.value)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value not in logs.FIELDS
    }
    assert unknown == set()


@pytest.mark.parametrize(
    "fault", ["TypeError at engine/child.py:84", "EXIT_STATUS:-9", "CLOSED_PIPE", "CANNOT_START:ENOENT"]
)
def test_how_the_model_process_was_lost_can_be_read(fault: str) -> None:
    record = logging.makeLogRecord({"name": "daemon.engine.host", "msg": "model process lost", "fault": fault})
    assert json.loads(logs.JsonFormatter().format(record))["fault"] == fault
