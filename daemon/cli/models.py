"""``medasrd models``: bases and versions. Only ``pull``, ``import`` of a hub's name and ``export --push`` use the network."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.exchange import affected, export_version, import_version
from daemon.cli.options import config_option, console, json_option, print_json
from daemon.cli.session import reading
from daemon.cli.tables import print_table
from daemon.cli.versions import pin, promote, remove, rollback, show, unpin, version_document, version_rows
from medasr import packs

if TYPE_CHECKING:
    from daemon.config import Config

_ALTERED = 1


@click.group()
def models() -> None:
    """Bases and versions: which there are, and which serves."""


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
    """Show the installed bases with the versions of each, and which of them serves."""
    found = packs.installed(config.paths.models)
    active = packs.canonical_name(config.model.base)
    versions, stock = _versions(config)
    if as_json:
        print_json(
            [
                {
                    **asdict(model),
                    "configured": model.name == active,
                    "aliases": ["base", *stock.get(model.name, [])],
                    "versions": [one for one in versions if one["base"] == model.name],
                }
                for model in found
            ]
        )
        return
    rows = []
    for model in found:
        label = f"{model.name} (model.base)" if model.name == active else model.name
        state = ", ".join(stock.get(model.name, [])) or "-"
        rows.append(
            (label, state, _millions(model.parameters), _mebibytes(model.bytes), model.revision[:12], model.source)
        )
    if rows:
        print_table(("base", "alias", "parameters", "size", "revision", "source"), rows)
    if active not in {model.name for model in found}:
        click.echo(f"model.base = {active} is not installed; run `medasrd models pull`")
    if versions:
        click.echo()
        print_table(("version", "alias", "origin", "gate", "installed", "base"), version_rows(versions))
    if config.model.adapter != "serving":
        click.echo(f"model.adapter = {config.model.adapter!r} in config.toml decides what serves, not the alias")


def _versions(config: Config) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    """All versions as JSON, and for each base the aliases that stand for its stock weights."""
    if not config.paths.database.is_file():
        return [], {packs.canonical_name(config.model.base): ["serving"]}
    from daemon.store import models as store

    with reading(config) as session:
        documents = [version_document(session, row) for row in store.list_adapters(session, removed=True)]
        stock = {}
        for base in {one["base"] for one in documents} | {packs.canonical_name(config.model.base)}:
            aliases = store.aliases(session, base)
            named = {alias for alias, row in aliases.items() if row is None} | ({"serving"} - aliases.keys())
            stock[base] = [alias for alias in store.ALIASES if alias in named]
        return documents, stock


@models.command()
@click.argument("name", required=False)
@config_option
@json_option
def verify(name: str | None, config: Config, as_json: bool) -> None:
    """Hash every file of NAME, or of all installed bases and versions; exit 1 when any differs from what was installed."""
    findings = _findings(config, name)
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


def _findings(config: Config, name: str | None) -> dict[str, list[str]]:
    """What differs, for each base and version asked for."""
    from daemon.registry.serving import find_version, shelf_problems, versions_on_the_shelf

    folder, database = config.paths.models, config.paths.database
    if name is None:
        versions = versions_on_the_shelf(database)
        return packs.verify_all(folder) | {one.name: shelf_problems(config, one) for one in versions}
    version = find_version(database, name)
    if version:
        return {version.name: shelf_problems(config, version)}
    return {packs.canonical_name(name): packs.verify(folder, name)}


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


for _command in (show, promote, rollback, pin, unpin, remove, import_version, export_version, affected):
    models.add_command(_command)
