"""What versions are called, and where their files lie. A name becomes a folder, so nothing else is accepted as one."""

from __future__ import annotations

import re
from pathlib import Path

from medasr.errors import FatalError

#: The alias of what transcribes; see :data:`daemon.store.models.ALIASES` for those that are stored.
SERVING = "serving"
#: The alias of the stock weights of model.base.
BASE = "base"

_NAME = re.compile(r"(?!\.)[\w.-]{1,80}-[0-9a-f]{8}", re.ASCII)
_READABLE = 64
_MARK_DIGITS = 8


def version_name(base_id: str, adapter_sha256: str) -> str:
    """The name of a version: its base's, made readable, and the beginning of its weights' hash."""
    last = base_id.rstrip("/").rpartition("/")[2].partition("@")[0]
    readable = re.sub(r"[^\w.-]", "_", last, flags=re.ASCII).lstrip(".-")[:_READABLE]
    return f"{readable or 'model'}-{adapter_sha256[:_MARK_DIGITS]}"


def is_version_name(name: str) -> bool:
    """Whether a version may be called so."""
    return _NAME.fullmatch(name) is not None


def version_folder(adapters: Path, name: str) -> Path:
    """The folder of a version. Raise FatalError when the name is none, whatever it contains."""
    if not is_version_name(name):
        raise FatalError(f"{name!r} is no version's name; `medasrd models list` shows those that exist")
    return adapters / name


def is_folder_name(text: str) -> bool:
    """Whether a text is the name of a folder and nothing that leads elsewhere."""
    return re.fullmatch(r"(?!\.)[\w.-]{1,100}", text, re.ASCII) is not None
