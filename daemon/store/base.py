"""What all tables share: the base of their models, how a moment is stored, how a column is kept to a few values."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Dialect, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import JSON


def one_of(column: str, values: tuple[str, ...] | type[StrEnum]) -> str:
    """The text of a CHECK constraint: the column holds one of these values."""
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept as ISO 8601 text in UTC with milliseconds: sortable, and readable in any SQLite shell."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """To the database."""
        del dialect
        return None if value is None else value.astimezone(UTC).isoformat(timespec="milliseconds")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        del dialect
        return None if value is None else datetime.fromisoformat(value)


class Base(DeclarativeBase):
    """Base of all tables."""

    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, list[Any]: JSON, str: Text}  # noqa: RUF012
