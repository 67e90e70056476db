"""Tables for people: nothing but the last column, a name, is ever shortened, and that only on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from daemon.cli.options import console, harmless

if TYPE_CHECKING:
    from rich.text import Text

#: The last column keeps this many cells, however narrow the terminal; longer lines wrap.
LEAST_LAST = 16
_GAP = "  "


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: frozenset[str] = frozenset(),
    styles: Mapping[str, str] | None = None,
) -> None:
    """Print rows below their columns' names.

    Given the columns that stand to the right, and the style of each cell text that has one. A name may be as long as anybody likes: it
    must not push the ids that commands take off the screen.
    """
    from rich.cells import cell_len
    from rich.text import Text

    lines = [[Text(harmless(name), style="bold") for name in columns]]
    lines += [[Text(harmless(cell), style=(styles or {}).get(cell, "")) for cell in row] for row in rows]
    widths = [max(cell_len(line[index].plain) for line in lines) for index in range(len(columns))]
    output = console()
    used = sum(widths[:-1]) + len(_GAP) * (len(columns) - 1)
    room = max(output.width - used, LEAST_LAST) if output.is_terminal else widths[-1]
    for line in lines:
        for cell, name, width in zip(line[:-1], columns, widths, strict=False):
            _pad(cell, width, right=name in right)
        line[-1].truncate(room, overflow="ellipsis")
        output.print(Text(_GAP).join(line), soft_wrap=True)


def _pad(cell: Text, width: int, *, right: bool) -> None:
    missing = width - cell.cell_len
    if right:
        cell.pad_left(missing)
    else:
        cell.pad_right(missing)
