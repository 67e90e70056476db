"""How long work shows how far it is: a bar with the time left on a terminal, otherwise a line now and then; always on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import click

from daemon.cli.options import console

#: Without a terminal so much time lies between two lines.
LINE_SECONDS = 30.0


@contextmanager
def progress_bar(action: str) -> Iterator[Callable[[int, int | None], None]]:
    """A function that takes how much is done of how much; the total may be unknown (None)."""
    terminal = console(stderr=True)
    if not terminal.is_terminal:
        yield _lines(action)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=terminal) as bars:
        task = bars.add_task(action, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _lines(action: str) -> Callable[[int, int | None], None]:
    said_at = time.monotonic()

    def say(done: int, total: int | None) -> None:
        nonlocal said_at
        if done == total or time.monotonic() - said_at >= LINE_SECONDS:
            said_at = time.monotonic()
            click.echo(f"{action}: {done}{f' of {total}' if total is not None else ''}", err=True)

    return say


@contextmanager
def staged_progress() -> Iterator[Callable[[str, int, int], None]]:
    """As :func:`progress_bar`, for work in stages: a function that takes the stage's name too, and begins a bar for each new one."""
    with ExitStack() as stack:
        bars: dict[str, Callable[[int, int | None], None]] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in bars:
                stack.close()
                bars.clear()
                bars[stage] = stack.enter_context(progress_bar(stage))
            bars[stage](done, total)

        yield tell
