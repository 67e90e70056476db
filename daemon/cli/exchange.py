"""``medasrd models import|export|affected``: versions from elsewhere and to elsewhere, and what a version has transcribed."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.options import config_option, json_option, print_json
from daemon.cli.session import local, reading, say
from daemon.cli.tables import print_table
from daemon.cli.versions import named

if TYPE_CHECKING:
    from daemon.config import Config


@click.command("import")
@click.argument("source")
@click.option(
    "--base", default="", metavar="NAME", help="Which base an adapter belongs to that does not say so [model.base]."
)
@config_option
def import_version(config: Config, source: str, base: str) -> None:
    """Install the adapter in SOURCE as a version: a folder in peft's format, or ORG/NAME@REVISION of a model hub.

    Every file is checked, and the adapter held against its base, before anything is installed. It serves nobody until it is promoted.
    """
    from daemon.registry import desk, exchange

    os.umask(0o077)
    folder = Path(source).expanduser()
    remote = exchange.is_hub_name(source) and not folder.is_dir()
    with exchange.fetched(source) if remote else nullcontext(folder) as place:
        name = desk.install(config, place, "imported", base=base)
    say(f"{name} is installed; next: medasrd gate run {name}")


@click.command("export")
@click.argument("version")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--merged", is_flag=True, help="The whole model in full precision, for programs that know no adapters.")
@click.option("--push", metavar="ORG/NAME", help="Send it to a repository of a model hub, private if it is new.")
@config_option
def export_version(config: Config, version: str, folder: Path | None, merged: bool, push: str | None) -> None:
    """Write VERSION into the new FOLDER, as an adapter that peft loads.

    It holds no recording, no text and no name; heard.json holds hashes of what it learned from. --push is the only use of the network.
    """
    from daemon.registry import desk, exchange
    from daemon.registry.serving import model_name, resolve

    if (folder is None) == (push is None) or (merged and push):
        raise click.UsageError("name a FOLDER, or --push ORG/NAME; --merged goes with a FOLDER")
    os.umask(0o077)
    called = model_name(config, resolve(config, version))
    if push:
        commit = exchange.push(config, version, push)
        desk.perform(config, "exported", name=called, way="HUB")
        say(f"{called} is at {push}@{commit}")
    elif folder:
        (exchange.export_merged if merged else exchange.export_adapter)(config, version, folder)
        desk.perform(config, "exported", name=called, way="MERGED" if merged else "ADAPTER")
        say(f"{called} is in {folder}")


@click.command()
@click.argument("version")
@click.option("--redo", is_flag=True, help="Queue them again, for the version that serves now.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many, newest first.")
@config_option
@json_option
def affected(config: Config, version: str, redo: bool, limit: int | None, as_json: bool) -> None:
    """List the transcripts that VERSION made; "base" stands for the stock weights.

    With --redo the recordings whose latest transcript is one of them are transcribed again. The old transcripts stay in the database.
    """
    from daemon.registry import desk
    from daemon.store.affected import affected as made_by
    from medasr.packs import canonical_name

    with reading(config) as session:
        row = None if version == "base" else named(session, config, version)
        base_id = row.base_id if row else canonical_name(config.model.base)
        found = made_by(session, base_id, row.adapter_sha256 if row else "", limit=limit)
    done = desk.perform(config, "redo", name=version) if redo else None
    if as_json:
        transcripts = [
            {
                "recording": one.recording_id,
                "name": one.name,
                "verdict": one.verdict,
                "precision": one.precision,
                "created": one.created_at.isoformat(),
                "latest": one.latest,
            }
            for one in found
        ]
        print_json({"version": row.name if row else base_id, "transcripts": transcripts, "redo": done})
        return
    if found:
        rows = [
            (one.recording_id[:8], local(one.created_at), one.verdict, "yes" if one.latest else "no", one.name)
            for one in found
        ]
        print_table(("recording", "transcribed", "verdict", "latest", "name"), rows)
    else:
        say(f"{row.name if row else base_id} has transcribed nothing here")
    if done:
        say(done)
