"""What every command shares: ``--config``, ``--json``, and how output reaches a person or a program."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from daemon.config import load_config

if TYPE_CHECKING:
    from rich.console import Console

Command = TypeVar("Command", bound=Callable[..., Any])


def config_option(command: Command) -> Command:
    """Given a command, add ``--config PATH`` and hand it the validated configuration as keyword ``config``."""

    @click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path, dir_okay=True),
        metavar="FILE",
        help="config.toml to use [default: $MEDASRD_CONFIG, else /etc/medasr/config.toml].",
    )
    @functools.wraps(command)
    def with_config(*args: Any, config_path: Path | None, **kwargs: Any) -> Any:
        return command(*args, config=load_config(config_path), **kwargs)

    return with_config  # type: ignore[return-value]


def json_option(command: Command) -> Command:
    """Given a command, add ``--json`` and hand it over as keyword ``as_json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON for programs instead of tables for people."
    )(command)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a value made of dicts, lists, strings, numbers and None as JSON; a large one is printed much sooner without indentation."""
    click.echo(json.dumps(value, indent=indent, ensure_ascii=False, default=str))


def harmless(words: str) -> str:
    """Text that may hold anything, with all that a terminal would obey replaced."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in words)


def console(*, stderr: bool = False) -> Console:
    """The rich console; wide enough not to wrap identifiers when the output is not a terminal."""
    from rich.console import Console

    output = Console(stderr=stderr, highlight=False, soft_wrap=False)
    return output if output.is_terminal else Console(stderr=stderr, highlight=False, width=160)
