"""``medasrd models show|promote|rollback|pin|unpin|remove``: which version serves, and what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from daemon.cli.options import config_option, harmless, json_option, print_json
from daemon.cli.session import local, reading, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from daemon.config import Config
    from daemon.store.schema import AdapterRow

_CARD = "README.md"


@click.command()
@click.argument("version")
@config_option
@json_option
def show(config: Config, version: str, as_json: bool) -> None:
    """Show VERSION: where it comes from, what it was measured at, which files it has, and its card.

    VERSION is a name of `medasrd models list`, the beginning of its hash, or an alias: serving, previous, candidate.
    """
    from daemon.registry.naming import version_folder

    with reading(config) as session:
        row = named(session, config, version)
        document = version_document(session, row) | {"manifest": row.manifest}
    card = version_folder(config.paths.adapters, row.name) / _CARD
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    if as_json:
        print_json(document | {"card": text})
        return
    manifest = row.manifest
    say(
        f"{row.name}   {', '.join(document['aliases']) or 'serves nowhere'}"
        + ("   files removed" if row.removed_at else "")
    )
    say(f"base       {row.base_id}, weights sha256 {row.base_sha256[:12]}")
    say(f"adapter    sha256 {row.adapter_sha256}")
    say(f"origin     {row.origin}, here since {local(row.created_at)}")
    windows = f"variable, from {manifest['shortest_context']:g} s" if row.audio_context == "variable" else "full, 30 s"
    say(f"windows    {windows}")
    if gate := document["gate"]:
        say(f"gate       {gate['decision']}, see `medasrd gate show {gate['verdict']}`")
    for title in ("recipe", "dataset", "metrics", "versions"):
        for key, value in (manifest.get(title) or {}).items():
            say(harmless(f"{title:10} {key}: {_short(value)}"))
    if text:
        say("")
        for line in text.splitlines():
            say(harmless(line))


@click.command()
@click.argument("version")
@click.option("--force", is_flag=True, help="Past the gate; needs --reason.")
@click.option("--reason", default="", metavar="TEXT", help="Why, in your words; kept in the audit trail.")
@config_option
def promote(config: Config, version: str, force: bool, reason: str) -> None:
    """Let VERSION serve from now on, also in a running daemon: what it has in work is finished by the new version.

    The gate must have said PROMOTE about it against what serves now (`medasrd gate run VERSION`). "base" stands for the stock weights.
    """
    from daemon.registry import desk

    say(desk.promote(config, version, force=force, reason=reason))


@click.command()
@config_option
def rollback(config: Config) -> None:
    """Let the version serve again that did before. A second rollback undoes the first."""
    _perform(config, "rollback")


@click.command()
@config_option
def pin(config: Config) -> None:
    """Keep what serves: nothing is promoted or rolled back, by a person or by schedule, until it is unpinned."""
    _perform(config, "pin")


@click.command()
@config_option
def unpin(config: Config) -> None:
    """Let versions be promoted again."""
    _perform(config, "unpin")


@click.command()
@click.argument("version")
@config_option
def remove(config: Config, version: str) -> None:
    """Remove VERSION's files; what it transcribed stays. One that serves, served before or is pinned cannot be removed."""
    _perform(config, "remove", name=version)


def named(session: Session, config: Config, version: str) -> AdapterRow:
    """The version that a person named. Raise FatalError when the name stands for the stock weights or nothing."""
    from daemon.store import models
    from medasr.errors import FatalError
    from medasr.packs import canonical_name

    if version not in models.ALIASES:
        return models.find_adapter(session, version)
    base_id = canonical_name(config.model.base)
    row = models.alias_of(session, base_id, version)
    if row is None:
        raise FatalError(
            f"{version} is no version of {base_id} with an adapter; `medasrd models list` shows those that exist"
        )
    return row


def version_document(session: Session, row: AdapterRow) -> dict[str, Any]:
    """A version as JSON; the keys are documented in docs/models.md."""
    from daemon.store import models

    verdict = models.last_verdict(session, row.id)
    aliases = models.aliases(session, row.base_id)
    return {
        "name": row.name,
        "base": row.base_id,
        "aliases": [alias for alias in models.ALIASES if aliases.get(alias) is row],
        "origin": row.origin,
        "audio_context": row.audio_context,
        "adapter_sha256": row.adapter_sha256,
        "created": row.created_at.isoformat(),
        "removed": row.removed_at.isoformat() if row.removed_at else None,
        "metrics": row.manifest.get("metrics", {}),
        "gate": {"verdict": verdict.id, "decision": verdict.decision} if verdict else None,
    }


def version_rows(documents: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Versions as rows of a table for people."""
    rows: list[tuple[str, ...]] = []
    for one in documents:
        gate = f"{one['gate']['decision']} ({one['gate']['verdict']})" if one["gate"] else "-"
        state = ", ".join(one["aliases"]) or ("removed" if one["removed"] else "-")
        rows.append((one["name"], state, one["origin"], gate, one["created"][:10], one["base"]))
    return rows


def _perform(config: Config, act: str, **arguments: Any) -> None:
    from daemon.registry import desk

    say(desk.perform(config, act, **arguments))


def _short(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 200 else f"{text[:200]} ..."
