"""What serves in a home where nothing was promoted yet: the adapter that comes with the program, where there is one for its base."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.registry import shelf
from daemon.registry.embedded import EMBEDDED, LANGUAGE, embedded_adapter, is_embedded
from daemon.registry.naming import SERVING, version_folder
from daemon.registry.registry import WRONG_BASE, WRONG_LANGUAGE
from daemon.registry.shelf import raw_manifest
from daemon.store import models, verdicts
from medasr.errors import FatalError
from medasr.packs import installed
from medasr.whisper.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.registry.registry import Registry
    from daemon.store.schema import AdapterRow
    from medasr.packs import InstalledModel

logger = logging.getLogger(__name__)


def settle(registry: Registry, *, actor: str = "daemon", embedded: Path = EMBEDDED) -> str | None:
    """Install the embedded adapter of the base and let it serve, unless something was promoted or rolled back for it before.

    Return its name; None when nothing was done: there is none for the language, something serves, or the base installed here has other
    weights than it was trained on. If it serves already, and the base turns out to be such a one or the language was changed, the stock
    weights serve instead, until the language is the former again; and if its files are gone (a backup without them was restored), they are
    put there again.
    """
    config, base_id = registry.config, registry.base_id
    here = next((base for base in installed(config.paths.models) if base.name == base_id), None)
    with registry.store.read() as session:
        aliases = models.aliases(session, base_id)
    source = embedded_adapter(base_id, LANGUAGE, embedded)
    serving, speaks = aliases.get(SERVING), config.model.language == LANGUAGE
    if serving and _is_embedded(serving, source):
        _keep(registry, serving, source, here, actor=actor)
    if source is None or not speaks or (here and here.weights_sha256 != read_manifest(source).base_sha256):
        return None
    if SERVING in aliases and (serving or not _gave_way(registry, aliases.get("previous"), source)):
        return None
    with shelf.locked(config.paths.adapters):
        placed = shelf.place_unchecked(config.paths.adapters, source, base_id)
        registry.register(placed.name, base_id, "embedded", actor=actor)
    registry.activate(placed.name, actor=actor)
    logger.info("the embedded version serves", extra={"version": placed.name})
    return placed.name


def _is_embedded(version: AdapterRow, source: Path | None) -> bool:
    """Whether a version came with the program, this one or one before, or was imported from there."""
    return version.origin == "embedded" or is_embedded(version.adapter_sha256, source)


def _gave_way(registry: Registry, before: AdapterRow | None, source: Path) -> bool:
    """Whether the stock weights serve only since the embedded version, which served before, was for another language."""
    if before is None or not _is_embedded(before, source):
        return False
    with registry.store.read() as session:
        changes = verdicts.serving_changes(session)
    return bool(changes) and changes[-1].reason == WRONG_LANGUAGE


def _keep(
    registry: Registry, serving: AdapterRow, source: Path | None, here: InstalledModel | None, *, actor: str
) -> None:
    """The embedded version goes on serving only what it was tuned for, and with all its files."""
    adapters, version = registry.config.paths.adapters, {"version": serving.name}
    if here and here.weights_sha256 != serving.base_sha256:
        registry.activate(None, actor=actor, reason=WRONG_BASE)
        logger.warning("the embedded version belongs to other weights of the base", extra=version)
    elif registry.config.model.language != LANGUAGE:
        registry.activate(None, actor=actor, reason=WRONG_LANGUAGE)
        logger.warning("the embedded version was tuned for another language", extra=version)
    elif source and not version_folder(adapters, serving.name).exists() and raw_manifest(source) == serving.manifest:
        with shelf.locked(adapters):
            shelf.place_unchecked(adapters, source, serving.base_id)
        registry.restored(serving.name, actor=actor)
        logger.warning("the files of the embedded version were gone, and are back", extra=version)


def recover(registry: Registry, bases: Sequence[InstalledModel] | None = None) -> None:
    """At start, with the home locked: sweep what a crash left half built, and enter whole versions that the database does not know.

    It does not know one whose process died before the row, or that is newer than the backup it was restored from. ``bases`` are the
    installed ones unless given.
    """
    config = registry.config
    bases = installed(config.paths.models) if bases is None else bases
    with registry.store.read() as session:
        removed = {row.name: row.removed_at is not None for row in models.list_adapters(session, removed=True)}
    for name in shelf.sweep(config.paths.adapters):
        if removed.get(name):  # the process died before the files were gone
            shelf.discard(config.paths.adapters, name)
        if name in removed:
            continue
        try:
            sha256 = read_manifest(version_folder(config.paths.adapters, name)).base_sha256
            base = next((one.name for one in bases if one.weights_sha256 == sha256), "")
            registry.register(name, base, "imported", actor="daemon")
        except FatalError:
            logger.exception("a folder among the versions is none", extra={"version": name})
        else:
            logger.warning("a version that the database did not know is entered again", extra={"version": name})
