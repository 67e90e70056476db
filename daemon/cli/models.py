"""``medasrd models``: fetch, list and check model weights. Only ``pull`` uses the network."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from daemon.cli.options import config_option, console, json_option, print_json
from daemon.cli.tables import print_table
from medasr import packs

if TYPE_CHECKING:
    from daemon.config import Config

_ALTERED = 1


@click.group()
def models() -> None:
    """Model weights: pull, list, verify."""


@models.command()
@click.argument("name", required=False)
@config_option
def pull(name: str | None, config: Config) -> None:
    """Fetch, verify and install the weights of NAME, by default of model.base.

    NAME is a pack (whisper-base, whisper-tiny.en), a hub id with the 40 digits of a commit (openai/whisper-medium@REVISION), or a
    directory that holds a model in safetensors. What is already there and intact is not fetched again.
    """
    with _progress() as progress:
        model = packs.pull(name or config.model.base, config.paths.models, progress=progress)
    click.echo(
        f"{model.name} is ready: {_millions(model.parameters)} parameters, {_mebibytes(model.bytes)}, in {model.path}"
    )


@models.command(name="list")
@config_option
@json_option
def list_models(config: Config, as_json: bool) -> None:
    """Show what is installed, and which model the daemon is configured to use."""
    found = packs.installed(config.paths.models)
    active = packs.canonical_name(config.model.base)
    if as_json:
        print_json([{**asdict(model), "configured": model.name == active} for model in found])
        return
    rows = []
    for model in found:
        label = f"{model.name} (model.base)" if model.name == active else model.name
        size = _mebibytes(model.bytes)
        rows.append((label, _millions(model.parameters), size, model.revision[:12], model.source))
    if rows:
        print_table(("name", "parameters", "size", "revision", "source"), rows)
    if active not in {model.name for model in found}:
        click.echo(f"model.base = {active} is not installed; run `medasrd models pull`")


@models.command()
@click.argument("name", required=False)
@config_option
@json_option
def verify(name: str | None, config: Config, as_json: bool) -> None:
    """Hash every file of NAME, or of all installed models; exit 1 when any differs from what was installed."""
    folder = config.paths.models
    findings = {packs.canonical_name(name): packs.verify(folder, name)} if name else packs.verify_all(folder)
    if as_json:
        print_json([{"name": key, "intact": not lines, "problems": lines} for key, lines in findings.items()])
    elif not findings:
        click.echo("no model is installed; run `medasrd models pull`")
    else:
        for key, lines in findings.items():
            click.echo(f"{key}: {'altered' if lines else 'intact'}")
            for line in lines:
                click.echo(f"  {line}")
    if any(findings.values()):
        sys.exit(_ALTERED)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Bars on a terminal, otherwise one line a step; always on stderr."""
    terminal = console(stderr=True)
    if not terminal.is_terminal:
        yield _Lines()
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=terminal) as bars:
        tasks: dict[str, TaskID] = {}
        say = _Lines()

        def show(action: str, done: int, total: int) -> None:
            if not total:
                say(action, done, total)
                return
            if action not in tasks:
                tasks[action] = bars.add_task(action)
            bars.update(tasks[action], completed=done, total=total)

        yield show


class _Lines:
    """Says each step once, when it begins."""

    def __init__(self) -> None:
        self._said = ""

    def __call__(self, action: str, done: int, total: int) -> None:
        del done, total
        if action != self._said:
            self._said = action
            click.echo(action, err=True)


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M"


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"
