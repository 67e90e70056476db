"""Tables: whatever recordings are called, the ids that commands take stay readable."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from daemon.cli import tables

COLUMNS = ("recording", "tries", "name")
LONG = "a" * 250 + ".wav"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal of 60 columns that knows no colours."""
    screen = io.StringIO()
    output = Console(file=screen, force_terminal=True, width=60, no_color=True, color_system=None)
    monkeypatch.setattr(tables, "console", lambda: output)
    return screen


def test_on_a_terminal_a_long_name_is_shortened_and_nothing_else(terminal: io.StringIO) -> None:
    tables.print_table(COLUMNS, [("53ff6013", "1", LONG), ("0025550a", "12", "visit.wav")], right=frozenset({"tries"}))
    assert terminal.getvalue().splitlines() == [
        "recording  tries  name",
        "53ff6013       1  " + "a" * 41 + "…",
        "0025550a      12  visit.wav",
    ]


def test_wide_characters_count_as_the_cells_they_take(terminal: io.StringIO) -> None:
    tables.print_table(("term", "name"), [("咳嗽", "one"), ("cough", "two")])
    assert terminal.getvalue().splitlines() == ["term   name", "咳嗽   one", "cough  two"]


def test_on_a_terminal_too_narrow_for_the_ids_they_are_printed_whole(terminal: io.StringIO) -> None:
    tables.print_table(("recording", "name"), [("5" * 70, LONG)])
    assert "5" * 70 + "  " + "a" * 15 + "…" in terminal.getvalue()


def test_in_a_pipe_nothing_is_shortened_and_no_line_ends_in_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_table(COLUMNS, [("53ff6013", "1", LONG), ("0025550a", "1", "visit.wav")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith(LONG)
    assert lines[2] == "0025550a   1      visit.wav"
