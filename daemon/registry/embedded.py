"""The adapters that come with the program: one folder for each base that has one, all of them tuned for English."""

from __future__ import annotations

import json
from pathlib import Path

import medasr
from daemon.registry.naming import is_folder_name

#: What all of them were tuned for, ISO 639-1.
LANGUAGE = "en"
#: Where they lie in the package; absent in one that ships none.
EMBEDDED = Path(medasr.__file__).parent / "data" / "adapters"


def embedded_adapter(base_id: str, language: str, folder: Path = EMBEDDED) -> Path | None:
    """The embedded adapter for a base that transcribes a language (ISO 639-1); None where there is none."""
    found = folder / base_id
    if language != LANGUAGE or not is_folder_name(base_id):
        return None
    return found if (found / "medasr.json").is_file() else None


def is_embedded(adapter_sha256: str, source: Path | None) -> bool:
    """Whether adapter weights of this hash are those of an embedded adapter, whichever way they came here."""
    return source is not None and adapter_sha256 == json.loads((source / "medasr.json").read_bytes())["files"].get(
        "adapter_model.safetensors"
    )
