"""What an adapter says of itself: the base it belongs to, the windows it was trained for, from what it learned, and its files' hashes.

An adapter is a folder in PEFT's format with three more files: this manifest, written last; what the adapter has heard, as hashes, so
that nobody measures it on its own lessons; and a card for people.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from medasr.dataset.utterance import Utterance
from medasr.errors import ModelError
from medasr.splits import phrase_key
from medasr.types import WINDOW_SECONDS

WEIGHTS_FILE = "adapter_model.safetensors"
CONFIG_FILE = "adapter_config.json"
MANIFEST_FILE = "medasr.json"
HEARD_FILE = "heard.json"
CARD_FILE = "README.md"

#: The shortest window that an adapter may declare, seconds.
_SHORTEST = 1.0
_MARK_DIGITS = 16
_SUSPECT = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py", ".so")


@dataclass(frozen=True, kw_only=True)
class AdapterManifest:
    """Everything that makes an adapter what it is."""

    base_id: str  #: as model.base names it
    base_revision: str
    base_sha256: str  #: of the base's safetensors
    shortest_context: float = WINDOW_SECONDS  #: seconds; windows may be this short
    files: dict[str, str] = field(default_factory=dict)  #: name → sha256, of every other file
    created_at: str = ""  #: ISO 8601, UTC
    seed: int = 0
    recipe: dict[str, Any] = field(default_factory=dict)  #: hyper-parameters
    dataset: dict[str, Any] = field(default_factory=dict)  #: source, sha256, split and its sha256, counts
    metrics: dict[str, Any] = field(default_factory=dict)  #: on validation, of the base and of the adapter
    versions: dict[str, str] = field(default_factory=dict)  #: of packages

    @property
    def audio_context(self) -> str:
        """Full, or variable: windows as long as the speech."""
        return "full" if self.shortest_context == WINDOW_SECONDS else "variable"

    @property
    def adapter_sha256(self) -> str:
        """Identity of the adapter: the hash of its weights."""
        return self.files[WEIGHTS_FILE]


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What a model learned from, as marks: it can be recognized, and read by nobody."""

    recordings: frozenset[str] = frozenset()
    phrases: frozenset[str] = frozenset()
    speakers: frozenset[str] = frozenset()

    def overlap(self, utterances: Iterable[Utterance]) -> frozenset[str]:
        """The ids of those utterances whose recording or phrase was learned from."""
        return frozenset(
            one.id
            for one in utterances
            if one.audio_sha256[:_MARK_DIGITS] in self.recordings or _mark(phrase_key(one.reference)) in self.phrases
        )


_MANIFEST: TypeAdapter[AdapterManifest] = TypeAdapter(AdapterManifest)
_HEARD: TypeAdapter[Heard] = TypeAdapter(Heard)


def heard_of(utterances: Iterable[Utterance]) -> Heard:
    """The marks of what is learned from."""
    recordings, phrases, speakers = set(), set(), set()
    for one in utterances:
        recordings.add(one.audio_sha256[:_MARK_DIGITS])
        phrases.add(_mark(phrase_key(one.reference)))
        if one.speaker is not None:
            speakers.add(_mark(one.speaker))
    return Heard(recordings=frozenset(recordings), phrases=frozenset(phrases), speakers=frozenset(speakers))


def write_heard(folder: Path, heard: Heard) -> None:
    """Put the marks into an adapter's folder, sorted: the order tells nothing."""
    content = {name: sorted(marks) for name, marks in vars(heard).items()}
    write_durably(folder / HEARD_FILE, json.dumps(content, indent=0).encode())


def read_heard(folder: Path) -> Heard:
    """What an adapter has heard; nothing is known of one that comes without the file. Raise ModelError when it is damaged."""
    try:
        return _HEARD.validate_json((folder / HEARD_FILE).read_bytes())
    except FileNotFoundError:
        return Heard()
    except (OSError, ValidationError) as error:
        raise ModelError(f"{folder / HEARD_FILE} cannot be read; restore the adapter") from error


def write_manifest(folder: Path, manifest: AdapterManifest) -> AdapterManifest:
    """Complete an adapter: hash the files that lie in its folder and write the manifest, last. Return it with the hashes."""
    from dataclasses import asdict, replace

    files = {path.name: _sha256(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST_FILE}
    complete = replace(manifest, files=files)
    write_durably(folder / MANIFEST_FILE, json.dumps(asdict(complete), indent=2, sort_keys=True).encode() + b"\n")
    return complete


def read_manifest(folder: Path) -> AdapterManifest:
    """The manifest of an adapter; its files are not hashed. Raise ModelError when it is missing or damaged."""
    path = folder / MANIFEST_FILE
    try:
        manifest = _MANIFEST.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(
            f"{folder} holds no {MANIFEST_FILE}; import the adapter with `medasrd models import`"
        ) from None
    except (OSError, ValidationError) as error:
        raise ModelError(f"{path} cannot be read as an adapter's manifest; restore the adapter") from error
    if not _SHORTEST <= manifest.shortest_context <= WINDOW_SECONDS:
        raise ModelError(f"{path} declares windows of {manifest.shortest_context:g} s; restore the adapter")
    if WEIGHTS_FILE not in manifest.files or CONFIG_FILE not in manifest.files:
        raise ModelError(f"{path} names no weights; restore the adapter")
    return manifest


def verify_adapter(folder: Path) -> AdapterManifest:
    """Hash every file of an adapter, as is due before it is loaded.

    Raise ModelError when a file is missing, altered, not named in the manifest, or of a kind that can run code.
    """
    manifest = read_manifest(folder)
    present = {path.name for path in folder.iterdir()} - {MANIFEST_FILE}
    if suspect := sorted(name for name in present if name.lower().endswith(_SUSPECT)):
        raise ModelError(f"the adapter in {folder} comes with {suspect[0]}, which can run code; save it as safetensors")
    if unknown := sorted(present - manifest.files.keys()):
        raise ModelError(f"{folder / unknown[0]} is not part of the adapter; remove it, or import the adapter again")
    for name, sha256 in manifest.files.items():
        path = folder / name
        if Path(name).name != name or not path.is_file() or path.is_symlink():
            raise ModelError(f"{path} is missing; restore the adapter")
        if _sha256(path) != sha256:
            raise ModelError(f"{path} was altered; find out by whom, then restore the adapter")
    return manifest


def require_base(manifest: AdapterManifest, weights_sha256: str) -> None:
    """Raise ModelError unless an adapter belongs to the base whose weights have this hash."""
    if manifest.base_sha256 != weights_sha256:
        raise ModelError(
            f"the adapter belongs to {manifest.base_id} with weights sha256 {manifest.base_sha256[:12]}, those installed have "
            f"{weights_sha256[:12]}; let another version serve (medasrd models rollback), or pull the base it was trained on"
        )


def write_durably(path: Path, content: bytes) -> None:
    """Write a file, readable for its owner only, so that it survives a power cut; whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    descriptor = os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_MARK_DIGITS]
