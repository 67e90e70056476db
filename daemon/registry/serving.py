"""Which weights a name stands for, read from the database without SQLAlchemy, so that it costs a command nothing.

Names: ``serving``, ``previous``, ``candidate`` and ``base`` (the stock weights) of ``model.base``; a version, by its name or the
beginning of its hash; an installed base.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.registry.embedded import EMBEDDED, LANGUAGE, embedded_adapter, is_embedded
from daemon.registry.naming import BASE, SERVING, is_version_name, version_folder, version_name
from daemon.store.states import read_only_uri
from medasr.errors import FatalError, ModelError, StoreError

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.sections import Model

_ALIASES = (SERVING, "previous", "candidate", "pinned")
_COLUMNS = "name, base_id, adapter_sha256, manifest, removed_at"
_HASH = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True, kw_only=True)
class Version:
    """A row of the table of adapters, as far as serving goes."""

    name: str
    base_id: str
    adapter_sha256: str
    manifest: dict[str, Any]
    removed: bool


def resolve(config: Config, name: str = SERVING, *, embedded: Path = EMBEDDED) -> Model:
    """The options of the model that a name stands for: ``model`` with a directory as its adapter, or none for stock weights.

    ``model.adapter`` in the configuration decides about ``serving`` unless it says "serving" itself. Where nothing was promoted
    yet, or no database is there, that is the embedded adapter of the base, else the stock weights. Raise FatalError for an alias
    that stands for nothing, ModelError when the version's files are not as they were installed.
    """
    from medasr.packs import canonical_name

    configured = config.model
    if name == SERVING and configured.adapter != SERVING:
        return configured
    if name == BASE:
        return configured.model_copy(update={"adapter": ""})
    base_id = canonical_name(configured.base)
    if name in _ALIASES:
        aliases = read_aliases(config.paths.database, base_id)
        if name in aliases:
            version = aliases[name]
            gives_way = name == SERVING and _speaks_another_language(config, version, embedded)
            return configured.model_copy(update={"adapter": "" if gives_way else _directory(config, version)})
        if name != SERVING:
            raise FatalError(f"there is no {name} version of {base_id}; `medasrd models list` shows what there is")
        adapter = _embedded(config, base_id, embedded)
        return configured.model_copy(update={"adapter": str(adapter) if adapter else ""})
    version = find_version(config.paths.database, name)
    if version is None:
        return configured.model_copy(update={"base": name, "adapter": ""})
    base = configured.base if version.base_id == base_id else version.base_id
    return configured.model_copy(update={"base": base, "adapter": _directory(config, version)})


def read_aliases(database: Path, base_id: str) -> dict[str, Version | None]:
    """What each alias of a base stands for, None being the stock weights; none before the database knows of versions."""
    query = (
        "SELECT alias, name, adapters.base_id, adapter_sha256, manifest, removed_at FROM aliases "
        "LEFT JOIN adapters ON adapters.id = adapter_id WHERE aliases.base_id = ?"
    )
    rows = _rows(database, query, (base_id,))
    return {alias: _version(row) if row[0] is not None else None for alias, *row in rows}


def find_version(database: Path, identifier: str) -> Version | None:
    """The version of this name, or whose hash begins so; None where there is none. Raise FatalError for the beginning of several."""
    rows = _rows(database, f"SELECT {_COLUMNS} FROM adapters WHERE name = ?", (identifier,))  # noqa: S608 - constants
    if not rows and _HASH.fullmatch(identifier):
        query = f"SELECT {_COLUMNS} FROM adapters WHERE substr(adapter_sha256, 1, ?) = ?"  # noqa: S608
        rows = _rows(database, query, (len(identifier), identifier))
    if len(rows) > 1:
        raise FatalError(f"{identifier} is the beginning of several versions; type the whole name of one")
    return _version(rows[0]) if rows else None


def versions_on_the_shelf(database: Path) -> list[Version]:
    """All versions whose files were not removed, by name."""
    rows = _rows(database, f"SELECT {_COLUMNS} FROM adapters WHERE removed_at IS NULL ORDER BY name", ())  # noqa: S608
    return [_version(row) for row in rows]


def shelf_problems(config: Config, version: Version) -> list[str]:
    """Hash every file of a version; return what differs from what was installed, in words."""
    from medasr.whisper.manifest import verify_adapter

    try:
        verify_adapter(Path(_directory(config, version)))
    except FatalError as error:
        return [str(error)]
    return []


def model_name(config: Config, model: Model) -> str:
    """What a resolved model is called: its version, its base where it has no adapter, else the adapter's directory."""
    from medasr.packs import canonical_name

    if not model.adapter:
        return canonical_name(model.base)
    folder = Path(model.adapter)
    if folder.parent == config.paths.adapters and is_version_name(folder.name):
        return folder.name
    if folder.parent == EMBEDDED:
        return version_name(folder.name, adapter_identity(model))
    return model.adapter


def adapter_identity(model: Model) -> str:
    """The sha256 of a resolved model's adapter weights; empty for stock weights and for a directory that holds none."""
    if not model.adapter:
        return ""
    try:
        with (Path(model.adapter) / "adapter_model.safetensors").open("rb") as weights:
            return hashlib.file_digest(weights, "sha256").hexdigest()
    except OSError:
        return ""


def _directory(config: Config, version: Version | None) -> str:
    """Where a version's files lie; nothing for the stock weights. What they are is hashed when they are loaded."""
    if version is None:
        return ""
    folder = version_folder(config.paths.adapters, version.name)
    if version.removed:
        raise ModelError(
            f"the files of {version.name} were removed; import them again, or choose another version: medasrd models list"
        )
    try:
        manifest = json.loads((folder / "medasr.json").read_bytes())
    except (OSError, ValueError):
        manifest = None
    if manifest != version.manifest or folder.is_symlink():
        raise ModelError(
            f"the files of {version.name} in {folder} are missing or were altered; find out by whom, then import the version again, "
            "or go back with `medasrd models rollback`"
        )
    return str(folder)


def _speaks_another_language(config: Config, version: Version | None, folder: Path) -> bool:
    """Whether a version is the embedded one, and the language was changed since: at its next start the daemon lets it give way."""
    if version is None or config.model.language == LANGUAGE:
        return False
    return is_embedded(version.adapter_sha256, embedded_adapter(version.base_id, LANGUAGE, folder))


def _embedded(config: Config, base_id: str, folder: Path) -> Path | None:
    """The embedded adapter of a base, unless the base that is installed here is another one of that name."""
    from medasr.packs import installed

    adapter = embedded_adapter(base_id, config.model.language, folder)
    if adapter is None:
        return None
    base_sha256 = json.loads((adapter / "medasr.json").read_bytes())["base_sha256"]
    here = [one for one in installed(config.paths.models) if one.name == base_id]
    return adapter if not here or here[0].weights_sha256 == base_sha256 else None


def _version(row: Any) -> Version:
    name, base_id, adapter_sha256, manifest, removed_at = row
    return Version(
        name=name,
        base_id=base_id,
        adapter_sha256=adapter_sha256,
        manifest=json.loads(manifest),
        removed=removed_at is not None,
    )


def _rows(database: Path, query: str, values: tuple[Any, ...]) -> list[Any]:
    """The rows of a query; none where there is no database, or one from before there were versions."""
    if not database.is_file():
        return []
    try:
        with closing(sqlite3.connect(read_only_uri(database), uri=True, timeout=5.0)) as connection:
            known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'aliases'").fetchone()
            return connection.execute(query, values).fetchall() if known else []
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{database} cannot be read ({error}); `medasrd db check` says more") from error
