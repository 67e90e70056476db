"""How every plot looks: one accent colour, greys for the rest, the same size and type, and the same bytes for the same data.

Figures are made as objects; pyplot and its global state are never used, and nobody's matplotlibrc is changed.
"""

from __future__ import annotations

import io
import unicodedata
import warnings
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from medasr.exploration.distribution import Distribution

ACCENT = "#0b6e75"
ACCENT_LIGHT = "#7fb8bb"
GREY = "#c3cad1"
INK = "#1d2730"
FAINT = "#5c6873"
RULE = "#e4e8eb"

#: The colour of each part of a split, everywhere.
PART_COLOURS = {"train": GREY, "validate": ACCENT_LIGHT, "test": ACCENT, "unused": "#eceff1"}

WIDTH = 8.6  #: inches
_DPI = 150
_LONGEST_LABEL = 34


def panels(height: float = 2.9, *, columns: int = 1, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    """Make a figure of the common width with axes side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=_DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.subplots(1, columns, squeeze=False, sharey=share_y)
    axes = list(grid[0])
    for one in axes:
        dress(one)
    return figure, axes


def dress(axes: Axes) -> None:
    """Take away what carries no data."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelsize=8.5, length=0, pad=4)
    axes.set_axisbelow(True)


def entitle(axes: Axes, title: str) -> None:
    """Write a panel's title, flush left, as it stands."""
    axes.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold", pad=10, parse_math=False)


def histogram(axes: Axes, distribution: Distribution, *, name: str, things: str = "recordings") -> None:
    """Draw a distribution with its median, and say what lies beyond the picture."""
    edges = distribution.edges
    widths = [right - left for left, right in pairwise(edges)]
    axes.bar(edges[:-1], distribution.counts, widths, align="edge", color=ACCENT, edgecolor="white", linewidth=0.6)
    axes.grid(axis="y", color=RULE)
    axes.set_xlabel(f"{name} ({distribution.unit})", color=INK, fontsize=9)
    axes.set_ylabel(things, color=INK, fontsize=9)
    whole_numbers(axes, "y")
    axes.set_ylim(0, max(distribution.counts) * 1.18 or 1)
    axes.axvline(distribution.median, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    note(axes, f" median {figure_text(distribution.median)} {distribution.unit}", distribution.median, at=0.97)
    beyond = [
        f"{count:,} {side} (to {figure_text(extreme)})"
        for count, side, extreme in (
            (distribution.below, "further left", distribution.minimum),
            (distribution.above, "further right", distribution.maximum),
        )
        if count
    ]
    if beyond:
        axes.text(
            1.0, 1.02, ", ".join(beyond), transform=axes.transAxes, ha="right", va="bottom", fontsize=8, color=FAINT
        )


def note(axes: Axes, words: str, x: float, *, at: float) -> None:
    """Write words beside a vertical line at ``x``, ``at`` this share of the height, on the side with more room."""
    first, last = axes.get_xlim()
    right = x > first + 0.65 * (last - first)
    axes.text(
        x,
        at,
        f"{words.strip()} " if right else f" {words.strip()}",
        transform=axes.get_xaxis_transform(),
        ha="right" if right else "left",
        va="top",
        fontsize=8.5,
        color=INK,
        parse_math=False,
    )


def bars(
    axes: Axes,
    labels: Sequence[str],
    lengths: Sequence[float],
    notes: Sequence[str],
    *,
    colours: str | Sequence[str] = ACCENT,
    unit: str = "recordings",
) -> None:
    """Draw horizontal bars from top to bottom, each with what it says written behind it."""
    places = range(len(labels))
    axes.barh(places, lengths, color=colours, height=0.68)
    label_rows(axes, labels)
    longest = max(lengths, default=0) or 1
    axes.set_xlim(0, longest * 1.32)
    for place, length, words in zip(places, lengths, notes, strict=True):
        axes.text(length + longest * 0.015, place, words, va="center", fontsize=8.5, color=INK, parse_math=False)
    axes.set_xlabel(unit, color=INK, fontsize=9)
    axes.grid(axis="x", color=RULE)
    whole_numbers(axes, "x")


def nothing(axes: Axes) -> None:
    """Say that there is nothing to draw."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", va="center", fontsize=10, color=FAINT)


def label_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Write one label per row, the first on top."""
    axes.set_yticks(range(len(labels)), [plain(label) for label in labels], color=INK)
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.set_ylim(max(len(labels), 1) - 0.4, -0.6)


def whole_numbers(axes: Axes, which: str) -> None:
    """Put ticks at whole numbers only, with separators for thousands."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def plain(text: str, longest: int = _LONGEST_LABEL) -> str:
    """Give a text of the dataset as one short printable line."""
    line = "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(character)[0] == "C" else character
        for character in " ".join(text[: 20 * longest].split())
    )
    return line if len(line) <= longest else line[: longest - 1] + "…"


def figure_text(value: float) -> str:
    """Give a figure with three significant digits and no exponent: 0.0123, 4.56, 78.9, 12,345."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3g}"


def png(figure: Figure) -> bytes:
    """Draw a figure. The same figure gives the same bytes: they hold no date and no version."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box; the page beside it has the real one.
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        figure.savefig(buffer, format="png", metadata={"Software": None})
    figure.clear()
    return buffer.getvalue()
