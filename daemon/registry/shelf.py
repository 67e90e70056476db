"""The folder with the versions' files: each version lies there whole, or not at all.

A version is built in ``.tmp-*`` beside the others, checked there, made durable, and renamed into place. A crash leaves at most such a
folder, which the next start sweeps away, or a version that the database does not know, which the next start enters.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from daemon.crashpoint import crash_point
from daemon.registry.naming import is_version_name, version_folder, version_name
from medasr.errors import ModelError, TransientError
from medasr.whisper.manifest import (
    CARD_FILE,
    CONFIG_FILE,
    HEARD_FILE,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    AdapterManifest,
    verify_adapter,
    write_manifest,
)

if TYPE_CHECKING:
    from medasr.packs import InstalledModel

#: What an adapter consists of; anything else in its folder stays behind.
FILES = (WEIGHTS_FILE, CONFIG_FILE, HEARD_FILE, CARD_FILE, MANIFEST_FILE)
#: Endings of files that run code when they are loaded; whoever ships one beside an adapter is refused.
UNSAFE = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py", ".so")

_TEMPORARY = ".tmp-"
_LOCK = ".lock"

#: Raises ModelError unless an adapter (second) fits a base (first): shapes, finiteness.
Fits = Callable[[Path, Path], None]
#: Gives the manifest of a version as the database has it; None for one that it does not know, or whose files were removed.
Known = Callable[[str], dict[str, Any] | None]


@dataclass(frozen=True, kw_only=True)
class Shelved:
    """A version whose files are in place."""

    name: str
    base_id: str
    manifest: AdapterManifest


#: Threads of this process that hold a shelf, with its folder; the lock of a file would let none of them pass twice.
_holders: set[tuple[int, Path]] = set()


@contextmanager
def locked(adapters: Path) -> Iterator[None]:
    """Make the folder (0700) and hold it against other processes that put versions there; wait for one that does.

    Who holds it already goes on: to enter a version in a new home lets the embedded one serve first, which puts that there too.
    """
    holder = (threading.get_ident(), adapters.absolute())
    if holder in _holders:
        yield
        return
    if adapters.is_symlink():
        raise ModelError(f"{adapters} is a link; versions lie in a folder of the state itself, so put it back there")
    adapters.mkdir(mode=0o700, parents=True, exist_ok=True)
    adapters.chmod(0o700)
    descriptor = os.open(adapters / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _holders.add(holder)
        yield
    finally:
        _holders.discard(holder)
        os.close(descriptor)


def place(
    adapters: Path,
    source: Path,
    bases: Sequence[InstalledModel],
    *,
    preferred: str,
    fits: Fits,
    known: Known = lambda _name: None,
) -> Shelved:
    """Copy an adapter onto the shelf, checked file by file and against its base; call it under :func:`locked`.

    Given the adapter's folder, the installed bases, and the name of the one that an adapter belongs to which does not say so itself.
    A version that lies there as it is ``known`` stays as it is: it may serve, and the same weights trained once more were only made
    at another time. Raise ModelError when it is incomplete, altered, unsafe, or does not fit; TransientError when the disk is full.
    """
    with _workplace(adapters) as built:
        _copy(source, built)
        if not (built / MANIFEST_FILE).exists():
            _describe(built, _base_named(bases, preferred))
        manifest = verify_adapter(built)
        base = _base_of(bases, manifest, preferred)
        fits(base.path, built)
        return _shelve(adapters, built, base.name, manifest, known)


def place_unchecked(adapters: Path, source: Path, base_id: str) -> Shelved:
    """As :func:`place`, for an adapter that comes with the program: its files are hashed, and it fits when it is loaded."""
    with _workplace(adapters) as built:
        _copy(source, built)
        return _shelve(adapters, built, base_id, verify_adapter(built))


def raw_manifest(folder: Path) -> dict[str, Any]:
    """A version's manifest as it lies there, which the database keeps and holds it against later. Raise ModelError without it."""
    if folder.is_symlink():
        raise ModelError(f"{folder} is a link, not a version; find out who put it there, then import the version again")
    try:
        document = json.loads((folder / MANIFEST_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / MANIFEST_FILE} cannot be read; restore the adapter") from error
    if not isinstance(document, dict):
        raise ModelError(f"{folder / MANIFEST_FILE} is no manifest; restore the adapter")
    return document


def sweep(adapters: Path) -> list[str]:
    """Remove what was half built when a process died, and return the names of the versions that lie here."""
    if not adapters.is_dir():
        return []
    with locked(adapters):
        folders = [path for path in adapters.iterdir() if path.is_dir()]
        for path in folders:
            if path.name.startswith(_TEMPORARY):
                shutil.rmtree(path)
    return sorted(path.name for path in folders if is_version_name(path.name))


def discard(adapters: Path, name: str) -> None:
    """Remove a version's files; under its name they are gone at once."""
    folder = version_folder(adapters, name)
    if folder.is_dir():
        with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=adapters) as place:
            folder.rename(Path(place) / name)


def _shelve(
    adapters: Path, built: Path, base_id: str, manifest: AdapterManifest, known: Known = lambda _name: None
) -> Shelved:
    name = version_name(base_id, manifest.adapter_sha256)
    target = version_folder(adapters, name)
    for path in (*built.iterdir(), built):
        _synchronize(path)
    crash_point("adapter_built")
    if target.is_dir() and not target.is_symlink():
        there = _intact(target)
        if there and (there == manifest or raw_manifest(target) == known(name)):
            return Shelved(name=name, base_id=base_id, manifest=there)
        target.rename(built.parent / "replaced")
    built.rename(target)
    _synchronize(adapters)
    crash_point("adapter_placed")
    return Shelved(name=name, base_id=base_id, manifest=manifest)


def _intact(folder: Path) -> AdapterManifest | None:
    try:
        return verify_adapter(folder)
    except ModelError:
        return None


def _copy(source: Path, built: Path) -> None:
    """Copy what belongs to an adapter through descriptors that follow no link, so that nothing is swapped in between."""
    if not source.is_dir():
        raise ModelError(f"{source} is no folder; name the one that holds {CONFIG_FILE} and {WEIGHTS_FILE}")
    unsafe = sorted(path.name for path in source.iterdir() if path.name.lower().endswith(UNSAFE))
    if unsafe:
        raise ModelError(f"{source} comes with {unsafe[0]}, which can run code; save the adapter as safetensors")
    for name in FILES:
        try:
            descriptor = os.open(source / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            if name in (WEIGHTS_FILE, CONFIG_FILE):
                raise ModelError(f"{source} holds no {name}; an adapter has it, see docs/models.md") from None
            continue
        except OSError as error:
            raise ModelError(f"{source / name} is no plain file that can be read ({error.strerror})") from error
        with os.fdopen(descriptor, "rb") as reader:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ModelError(f"{source / name} is no plain file")
            with _create(built / name) as writer:
                shutil.copyfileobj(reader, writer, 2**20)


def _describe(built: Path, base: InstalledModel) -> None:
    """Write the manifest of an adapter that was trained elsewhere, with windows of 30 s."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    described = AdapterManifest(
        base_id=base.name, base_revision=base.revision, base_sha256=base.weights_sha256, created_at=now
    )
    write_manifest(built, described)


def _base_of(bases: Sequence[InstalledModel], manifest: AdapterManifest, preferred: str) -> InstalledModel:
    """The installed base whose weights an adapter belongs to, by their hash: names differ from machine to machine."""
    same = [base for base in bases if base.weights_sha256 == manifest.base_sha256]
    if not same:
        raise ModelError(
            f"the adapter belongs to {manifest.base_id} with weights sha256 {manifest.base_sha256[:12]}, which are not installed here; "
            f"run `medasrd models pull {manifest.base_id}`, or use an adapter for a model of `medasrd models list`"
        )
    return next((base for base in same if base.name == preferred), same[0])


def _base_named(bases: Sequence[InstalledModel], name: str) -> InstalledModel:
    found = [base for base in bases if base.name == name]
    if not found:
        raise ModelError(f"the base {name} is not installed; run `medasrd models pull {name}` first")
    return found[0]


@contextmanager
def _workplace(adapters: Path) -> Iterator[Path]:
    """A folder to build a version in, gone afterwards whatever happens."""
    try:
        with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=adapters) as place:
            built = Path(place) / "adapter"
            built.mkdir(mode=0o700)
            yield built
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise TransientError(f"no space left under {adapters}; make room and try again") from error
        raise ModelError(f"the version could not be put into {adapters}: {error}") from error


def _create(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "wb")


def _synchronize(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
