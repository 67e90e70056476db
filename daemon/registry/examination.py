"""What the doctor says about the version that serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.finding import Finding
from daemon.registry.embedded import EMBEDDED, embedded_adapter
from daemon.registry.naming import SERVING, version_name
from daemon.registry.serving import model_name, read_aliases, resolve
from medasr.errors import MedasrError
from medasr.packs import canonical_name, installed

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.sections import Model


def check_version(config: Config, *, embedded: Path = EMBEDDED) -> Iterator[Finding]:
    """Whether the adapter that serves is whole and belongs to the installed base; and whether a newer one came with the program."""
    try:
        model = resolve(config, embedded=embedded)
        base_id = canonical_name(config.model.base)
        aliases = read_aliases(config.paths.database, base_id)
    except MedasrError as error:
        yield Finding(level="problem", subject="adapter", text=str(error))
        return
    if model.adapter:
        yield _check_files(config, model, pinned="pinned" in aliases)
    if config.model.adapter == SERVING:
        yield from _mention_embedded(base_id, model, embedded, known=SERVING in aliases)


def _check_files(config: Config, model: Model, *, pinned: bool) -> Finding:
    from medasr.whisper.manifest import CONFIG_FILE, MANIFEST_FILE, WEIGHTS_FILE, require_base, verify_adapter

    folder = Path(model.adapter)
    missing = [name for name in (WEIGHTS_FILE, CONFIG_FILE) if not (folder / name).is_file()]
    if missing:
        remedy = 'correct model.adapter, or leave it "serving"'
        return Finding(level="problem", subject="adapter", text=f"{folder} holds no {missing[0]}", remedy=remedy)
    if not (folder / MANIFEST_FILE).is_file():
        return Finding(
            level="ok", subject="adapter", text=f"{folder}, without a manifest, so its files are not checked"
        )
    try:
        manifest = verify_adapter(folder)
        for base in installed(config.paths.models):
            if base.name == canonical_name(model.base):
                require_base(manifest, base.weights_sha256)
    except MedasrError as error:
        return Finding(level="problem", subject="adapter", text=str(error))
    text = f"{model_name(config, model)}, {manifest.audio_context} audio context, all files as installed"
    return Finding(level="ok", subject="adapter", text=text + ("; pinned" if pinned else ""))


def _mention_embedded(base_id: str, model: Model, folder: Path, *, known: bool) -> Iterator[Finding]:
    """A program that comes with another adapter replaces nothing by itself: whoever runs it decides."""
    from medasr.whisper.manifest import read_manifest

    source = embedded_adapter(base_id, model.language, folder)
    if source is None or not known:
        return
    name = version_name(base_id, read_manifest(source).adapter_sha256)
    if Path(model.adapter).name != name:
        remedy = f"to try it: medasrd models import {source}, then medasrd gate run {name}"
        yield Finding(
            level="ok", subject="adapter", text=f"medasr comes with {name}, which does not serve", remedy=remedy
        )
