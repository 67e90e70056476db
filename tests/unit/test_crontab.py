"""crontab(5) strings mean what they mean to cron, and a wrong one is refused with the rest of the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config import load_config
from daemon.crontab import Crontab, parse_crontab
from medasr.errors import ConfigurationError


@pytest.mark.parametrize(
    ("field", "minutes"),
    [
        ("*", tuple(range(60))),
        ("5", (5,)),
        ("0,30", (0, 30)),
        ("10-13", (10, 11, 12, 13)),
        ("*/20", (0, 20, 40)),
        ("5-20/5", (5, 10, 15, 20)),
        ("50/4", (50, 54, 58)),
        ("1,1-2,2", (1, 2)),
    ],
)
def test_a_field_takes_numbers_ranges_steps_and_lists(field: str, minutes: tuple[int, ...]) -> None:
    assert parse_crontab(f"{field} 2 * * *").minutes == minutes


@pytest.mark.parametrize(
    ("field", "weekdays"),
    [
        ("0", ("sun",)),
        ("7", ("sun",)),
        ("1", ("mon",)),
        ("1-5", ("mon", "tue", "wed", "thu", "fri")),
        ("5-7", ("sun", "fri", "sat")),
        ("Sat,SUN", ("sun", "sat")),
        ("mon-wed", ("mon", "tue", "wed")),
    ],
)
def test_weekdays_are_counted_from_sunday(field: str, weekdays: tuple[str, ...]) -> None:
    assert parse_crontab(f"0 2 * * {field}").weekdays == weekdays


def test_all_five_fields_are_read() -> None:
    assert parse_crontab(" 15  2 1,15\tjan-mar */7 ") == Crontab(
        minutes=(15,), hours=(2,), days=(1, 15), months=(1, 2, 3), weekdays=("sun",)
    )


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "0 fields"),
        ("15 2 * *", "4 fields"),
        ("@daily", "1 fields"),
        ("60 2 * * *", "minute 60 is not within 0 to 59"),
        ("0 24 * * *", "hour 24"),
        ("0 2 0 * *", "day 0"),
        ("0 2 * 13 *", "month 13"),
        ("0 2 * * 8", "weekday 8"),
        ("0 2 * * someday", "weekday someday"),
        ("20-10 2 * * *", "minute 20-10"),
        ("*/0 2 * * *", r"minute \*/0"),
        ("-5 2 * * *", "minute -5"),
        ("1,,2 2 * * *", "minute"),
        ("٣ 2 * * *", "minute"),
        ("0 2 13 * 5", "not both"),
    ],
)
def test_what_is_wrong_is_named_with_a_right_example(expression: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        parse_crontab(expression)
    assert "30 2 * * *" in str(caught.value)


def test_wrong_strings_are_reported_with_every_other_problem_when_the_configuration_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[schedule]\nbackup = "at night"\ncheck = "0 25 * * *"\n[model]\nbatch_size = 0\n')
    with pytest.raises(ConfigurationError, match=r"3 problem\(s\)") as caught:
        load_config(path)
    for option in ("schedule.backup", "schedule.check", "model.batch_size"):
        assert f"  {option}: " in str(caught.value)


def test_disable_is_no_crontab_string_and_yet_valid(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[schedule]\nbackup = "disable"\n')
    assert load_config(path).schedule.backup == "disable"


@pytest.mark.parametrize(
    ("name", "value"), [("MEDASRD_MODEL", "whisper-base"), ("MEDASRD_LEXICON__EXTRA", "terms.csv")]
)
def test_a_variable_that_is_no_single_option_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text("")
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name.removeprefix("MEDASRD_").split("__")[0].lower()):
        load_config(path)
