"""``medasrd config``: what is configured, and whether it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from daemon.cli.options import config_option, json_option, print_json
from daemon.cli.session import say

if TYPE_CHECKING:
    from daemon.config import Config


@click.group()
def config() -> None:
    """The configuration: check, show."""


@config.command()
@config_option
def check(config: Config) -> None:
    """Say whether the configuration is valid; list every problem and exit 78 if it is not."""
    say(f"valid; inbox {config.paths.inbox}, state {config.paths.state}")


@config.command()
@config_option
@json_option
def show(config: Config, as_json: bool) -> None:
    """Print every option with the value in force, as TOML with its meaning, or as JSON."""
    from daemon.config_template import HEADING_IN_FORCE, render_toml

    if as_json:
        print_json(config.model_dump(mode="json"))
    else:
        click.echo(render_toml(config.model_dump(), HEADING_IN_FORCE), nl=False)
