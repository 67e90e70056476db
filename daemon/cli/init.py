"""``medasrd init``: a new home."""

from __future__ import annotations

import os
from pathlib import Path

import click

from daemon.cli.session import say
from daemon.config import Config, load_config
from daemon.config_template import render_toml
from medasr.errors import AlreadyRunning, ConfigurationError


@click.command()
@click.argument("home", type=click.Path(path_type=Path, file_okay=False))
@click.option("--model", "base", help="Which weights to use: a pack, a hub id at a revision, or a directory.")
def init(home: Path, base: str | None) -> None:
    """Write HOME/config.toml and make the folders.

    An existing config.toml is left as it is, so running it again is harmless.
    """
    from daemon.home import prepare
    from daemon.store import migration

    os.umask(0o077)
    home = home.expanduser().absolute()
    target = home / "config.toml"
    try:
        home.mkdir(parents=True, exist_ok=True)
        existed = target.exists()
        if not existed:
            values = {"model": {"base": base}} if base else {}
            _write(target, render_toml(values))
    except OSError as error:
        raise ConfigurationError(
            f"{home} cannot be made into a home ({error.strerror}); name a folder you may write to"
        ) from error
    config = load_config(target)
    if base and config.model.base != base:
        raise ConfigurationError(
            f"{target} is there already, with model.base = {config.model.base}; change that line by hand"
        )
    config.paths.inbox.mkdir(parents=True, exist_ok=True)
    prepare(config)
    migration.upgrade(config.paths.database, config.paths.backups)
    version = _settle(config)
    say(f"home       {home}")
    say(f"config     {target}" + ("   was there, left as it is" if existed else ""))
    say(f"inbox      {config.paths.inbox}   drop recordings here")
    say(f"outbox     {config.paths.outbox}   transcripts appear here")
    if version:
        say(f"model      {version}   fine-tuned; `medasrd models show serving` tells on what, and what it scored")
    say("next       " + f"medasrd models pull --config {target}   then   medasrd run --config {target}")


def _settle(config: Config) -> str | None:
    """Let the adapter that comes with the program serve, where nothing was promoted yet, and return the version that serves.

    A daemon that runs has done so itself.
    """
    from daemon.registry import desk
    from daemon.registry.serving import model_name, resolve

    try:
        with desk.alone(config):
            pass
    except AlreadyRunning:
        pass
    model = resolve(config)
    return model_name(config, model) if model.adapter else None


def _write(path: Path, content: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(content, encoding="utf-8")
    partial.rename(path)
