"""What a benchmark hands back: figures, some with a limit, and how they are shown."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Repeated measurements of one thing."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        return f"{_short(min(self.values))} … {_short(max(self.values))}"


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the printed table; at most one of the limits is set."""

    what: str
    value: float | Spread
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def number(self) -> float:
        """What is held against the limit: the value, or the median of several."""
        return self.value.median if isinstance(self.value, Spread) else self.value

    @property
    def met(self) -> bool | None:
        """Whether the limit is kept; None without one."""
        if self.at_most is not None:
            return self.number <= self.at_most
        return None if self.at_least is None else self.number >= self.at_least

    @property
    def limit(self) -> str:
        if self.at_most is not None:
            return f"≤ {_short(self.at_most)}"
        return "" if self.at_least is None else f"≥ {_short(self.at_least)}"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Several things measured of several sides: a row for each side, and of each figure the median and the extremes."""

    title: str
    columns: tuple[str, ...]  #: behind the side's name
    rows: Mapping[str, tuple[float | Spread | None, ...]]  #: None where there is no such figure


class Figures(Protocol):
    """What ``measure`` of a benchmark returns: a frozen dataclass."""

    def lines(self) -> Sequence[Line]:
        """The figures as rows, limits beside them."""
        ...


@runtime_checkable
class Compared(Figures, Protocol):
    """Figures of several sides, of which the lines hold only what has a limit."""

    def grid(self) -> Grid:
        """All of them."""
        ...


def table(title: str, lines: Sequence[Line]) -> Table:
    """The rows as a table for a terminal."""
    shown = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim", pad_edge=False)
    shown.add_column("")
    for column in ("median", "unit", "least … most", "limit"):
        shown.add_column(column, justify="left" if column == "unit" else "right", no_wrap=True)
    shown.add_column("")
    for line in lines:
        verdict = {None: Text(), True: Text("met", style="green"), False: Text("NOT MET", style="bold red")}[line.met]
        spread = str(line.value) if isinstance(line.value, Spread) else ""
        shown.add_row(line.what, _short(line.number), line.unit, spread, line.limit, verdict)
    return shown


def show(title: str, lines: Sequence[Line]) -> None:
    """Print the table."""
    console = _console()
    console.print(table(title, lines))
    console.print()


def show_grid(grid: Grid) -> None:
    """Print a comparison, a row for each side."""
    shown = Table(
        title=grid.title, title_justify="left", title_style="bold", box=None, header_style="dim", pad_edge=False
    )
    shown.add_column("")
    for column in grid.columns:
        shown.add_column(column, justify="right")
    for side, figures in grid.rows.items():
        shown.add_row(side, *(_cell(figure) for figure in figures))
    console = _console()
    console.print(shown)
    console.print()


def _cell(figure: float | Spread | None) -> str:
    if figure is None:
        return "–"
    if isinstance(figure, Spread):
        return _short(figure.median) + (f" ({figure})" if len(figure.values) > 1 else "")
    return _short(figure)


def _console() -> Console:
    """Wide enough for every line when the output is not a terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=140)


def tell(message: str) -> None:
    """Say on stderr what is going on."""
    print(message, file=sys.stderr, flush=True)


def _short(value: float) -> str:
    """Three significant digits, thousands grouped."""
    if value != 0 and abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}"
