"""crontab(5) strings: ``minute hour day-of-month month day-of-week``, read as cron reads them.

APScheduler's own reader counts weekdays from Monday, so that its ``0`` is cron's ``1``, and knows no ``7``; and it is not to be
imported by every command that reads the configuration.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: The word for "never".
DISABLED = "disable"

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ITEM = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Crontab:
    """When something is due: the numbers each field allows, ascending."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[str, ...]  #: sun, mon, tue, wed, thu, fri, sat


def parse_crontab(expression: str) -> Crontab:
    """Given a crontab(5) string, return what it allows. Raise ValueError that says what is wrong with it and shows a right one."""
    fields = expression.split()
    if len(fields) != 5:
        raise _wrong(expression, f"{len(fields)} fields instead of minute, hour, day, month, weekday")
    minute, hour, day, month, weekday = fields
    if not day.startswith("*") and not weekday.startswith("*"):
        raise _wrong(expression, "either days of the month or days of the week, not both")
    try:
        weekdays = {number % 7 for number in _numbers("weekday", weekday, 0, 7, _WEEKDAYS)}
        return Crontab(
            minutes=_numbers("minute", minute, 0, 59),
            hours=_numbers("hour", hour, 0, 23),
            days=_numbers("day", day, 1, 31),
            months=_numbers("month", month, 1, 12, _MONTHS),
            weekdays=tuple(_WEEKDAYS[number] for number in sorted(weekdays)),
        )
    except ValueError as error:
        raise _wrong(expression, str(error)) from None


def _wrong(expression: str, why: str) -> ValueError:
    return ValueError(
        f'"{expression}" is no crontab string ({why}); e.g. "30 2 * * *" for half past two every night, or "{DISABLED}"'
    )


def _numbers(field: str, text: str, least: int, most: int, names: tuple[str, ...] = ()) -> tuple[int, ...]:
    """The numbers that a field allows: ``*``, ``5``, ``mon``, ``1-5``, ``*/15``, ``8-18/2``, and lists of these."""
    found: set[int] = set()
    for item in text.lower().split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(f"{field} {item}")
        first, last, step = match["first"], match["last"], int(match["step"] or 1)
        if first is None:
            begin, end = least, most
        else:
            begin = _number(field, first, least, most, names)
            single = most if match["step"] else begin
            end = _number(field, last, least, most, names) if last else single
        if begin > end or step == 0:
            raise ValueError(f"{field} {item}")
        found.update(range(begin, end + 1, step))
    return tuple(sorted(found))


def _number(field: str, text: str, least: int, most: int, names: tuple[str, ...]) -> int:
    number = names.index(text) + least if text in names else int(text) if text.isdigit() else -1
    if not least <= number <= most:
        raise ValueError(f"{field} {text} is not within {least} to {most}")
    return number
