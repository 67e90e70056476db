"""Models on disk: installed whole or not at all, and checked against their manifest before they are loaded.

Each model is a folder of ``models_folder`` with a ``manifest.json`` that holds the sha256 of every other file. A model is built in
``.tmp-*`` beside it and renamed into place as the last step, so a crash leaves only a ``.tmp-*`` that the next pull sweeps away.
One pull runs at a time, guarded by ``.lock``; readers need no lock.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medasr.errors import ModelError, TransientError
from medasr.packs import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    #: Called with what is being done, how many bytes of it are done, and how many there are (0: not known, or no matter of bytes).
    Progress = Callable[[str, int, int], None]

MANIFEST = "manifest.json"
_SCHEMA = 1
_TEMPORARY = ".tmp-"
_LOCK = ".lock"


@dataclass(frozen=True, kw_only=True)
class InstalledModel:
    """A model that lies complete in the models folder."""

    name: str  #: as ``model.base`` names it: a pack, ``org/name@revision``, or the directory it was copied from
    path: Path  #: the folder to load, offline and with ``use_safetensors=True``
    source: str  #: ``index:REQUIREMENTS``, ``hub:REPOSITORY`` or ``directory:PATH``
    revision: str  #: the hub's commit, the pack's version, or ``local``
    weights_sha256: str  #: of the safetensors file; of the list of their sha256 when there are several
    bytes: int  #: of all files
    parameters: int


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where the files of a model came from; the fields are those of :class:`InstalledModel`."""

    source: str
    revision: str


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folders(models_folder: Path) -> list[Path]:
    """The folders of the installed models, by name. Raise ModelError when this user may not look."""
    try:
        found = sorted(models_folder.iterdir())
    except FileNotFoundError:
        return []
    except PermissionError as error:
        raise _not_ours(models_folder) from error
    return [folder for folder in found if not folder.name.startswith(".") and is_installed(folder)]


def is_installed(folder: Path) -> bool:
    """Whether ``folder`` holds an installed model, intact or not. Raise ModelError when this user may not look."""
    try:
        return stat.S_ISREG((folder / MANIFEST).stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError as error:
        raise _not_ours(folder) from error


def installed(models_folder: Path) -> list[InstalledModel]:
    """The models in ``models_folder``, by name; their files are not hashed. Raise ModelError for a damaged manifest."""
    return [read(folder) for folder in folders(models_folder)]


def name_of(folder: Path) -> str:
    """The name of the model in ``folder``; the folder's own where the manifest cannot tell."""
    try:
        return str(read_manifest(folder)["name"])
    except ModelError:
        return folder.name


def read(folder: Path) -> InstalledModel:
    """The model in ``folder``, its files not hashed. Raise ModelError when its manifest is missing or damaged."""
    return _describe(folder, read_manifest(folder))


def _not_ours(folder: Path) -> ModelError:
    return ModelError(
        f"{folder} is closed to this user; pull models as the user who runs the daemon, or give it the folder: "
        f"chown -R USER {folder}"
    )


def problems(folder: Path) -> list[str]:
    """Hash every file of an installed model.

    Return what differs from its manifest, one line a file, nothing when all is as it was installed.
    """
    try:
        files = read_manifest(folder)["files"]
    except ModelError as error:
        return [str(error)]
    try:
        found = {path.name for path in folder.iterdir()} - {MANIFEST}
        lines = [f"{name}: was added after the installation" for name in sorted(found - files.keys())]
        for name, facts in sorted(files.items()):
            path = folder / name
            if path.is_symlink() or not path.is_file():
                lines.append(f"{name}: is missing")
            elif path.stat().st_size != facts["bytes"] or sha256_of(path) != facts["sha256"]:
                lines.append(f"{name}: differs from what was installed")
    except OSError as error:
        return [f"cannot be read: {error}"]
    return lines


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read and check a model's manifest. Raise ModelError when it is damaged or from a newer program."""
    manifest = checkpoint.read_json(folder / MANIFEST)
    files = manifest.get("files")
    texts = ("name", "source", "revision", "weights_sha256")
    if (
        manifest.get("schema") != _SCHEMA
        or not all(isinstance(manifest.get(key), str) for key in texts)
        or not isinstance(manifest.get("parameters"), int)
        or not isinstance(files, dict)
        or not all(_is_file_entry(name, facts) for name, facts in files.items())
    ):
        raise ModelError(f"{folder / MANIFEST} is damaged or newer than this program; pull the model again")
    return manifest


def _is_file_entry(name: str, facts: Any) -> bool:
    return (
        checkpoint.accepted(name)
        and isinstance(facts, dict)
        and isinstance(facts.get("sha256"), str)
        and isinstance(facts.get("bytes"), int)
    )


def _describe(folder: Path, manifest: Mapping[str, Any]) -> InstalledModel:
    return InstalledModel(
        name=manifest["name"],
        path=folder,
        source=manifest["source"],
        revision=manifest["revision"],
        weights_sha256=manifest["weights_sha256"],
        bytes=sum(facts["bytes"] for facts in manifest["files"].values()),
        parameters=manifest["parameters"],
    )


@contextmanager
def locked(models_folder: Path, progress: Progress) -> Iterator[None]:
    """Create ``models_folder`` (0700, as are the folders above it) and hold it against other pulls; wait for one that is running.

    Raise ModelError when this user may not write there.
    """
    try:
        for folder in (*reversed(models_folder.parents), models_folder):
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(models_folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError as error:
        raise _not_ours(models_folder) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another pull", 0, 0)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def workplace(models_folder: Path) -> Iterator[Path]:
    """A folder (0700) on the models' disk that is gone afterwards, whatever happens; call it under :func:`locked`.

    Raise TransientError when the disk is full, ModelError when a file cannot be read or written for another reason.
    """
    try:
        for stale in models_folder.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(stale)
        with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=models_folder) as folder:
            yield Path(folder)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise TransientError(f"no space left under {models_folder}; free some and pull again") from error
        raise ModelError(f"the model could not be installed under {models_folder}: {error}") from error


def install(built: Path, target: Path, *, name: str, origin: Origin) -> InstalledModel:
    """Check a complete model folder, write its manifest, and move it to ``target`` in one step, replacing what is there.

    ``built`` lies in a :func:`workplace` beside ``target``. Raise ModelError when it is no complete, safe Whisper model.
    """
    parameters = checkpoint.check(built)
    files: dict[str, dict[str, Any]] = {}
    for path in sorted(built.iterdir()):
        path.chmod(0o600)
        _synchronize(path)
        files[path.name] = {"sha256": sha256_of(path), "bytes": path.stat().st_size}
    manifest = {
        "schema": _SCHEMA,
        "name": name,
        **vars(origin),
        "weights_sha256": _weights_sha256({key: files[key]["sha256"] for key in checkpoint.weight_files(built)}),
        "parameters": parameters,
        "installed_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "medasr": _own_version(),
        "files": files,
    }
    (built / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    (built / MANIFEST).chmod(0o600)
    built.chmod(0o700)
    _synchronize(built / MANIFEST)
    _synchronize(built)
    if target.exists():
        target.rename(built.parent / "replaced")
    built.rename(target)
    _synchronize(target.parent)
    return _describe(target, manifest)


def _weights_sha256(files: Mapping[str, str]) -> str:
    if len(files) == 1:
        return next(iter(files.values()))
    return hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in sorted(files.items())).encode()).hexdigest()


def _own_version() -> str:
    try:
        return version("medasr")
    except PackageNotFoundError:
        return "unknown"


def _synchronize(path: Path) -> None:
    """Make a file's content, or a folder's entries, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
