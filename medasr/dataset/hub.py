"""Entries of datasets in the hub's format: fetched at a pinned revision, saved to disk, or as parquet files.

The columns are those of ``yashtiwari/PaulMooney-Medical-ASR-Data``: id, sentence, prompt, speaker_id, path (audio).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medasr.dataset.entries import Entry
from medasr.dataset.utterance import PARTS
from medasr.errors import DatasetError

_PINNED = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})")
_PART_NAMES = {"validation": "validate", "valid": "validate", "dev": "validate"}


def is_hub_id(source: str) -> bool:
    """Whether this names a dataset on the hub: OWNER/NAME@REVISION with the 40 hex digits of a commit."""
    return _PINNED.fullmatch(source) is not None


def is_local_copy(folder: Path) -> bool:
    """Whether a folder was saved by ``datasets`` or holds parquet files."""
    saved = any((folder / name).is_file() for name in ("dataset_dict.json", "dataset_info.json", "state.json"))
    return saved or next(folder.rglob("*.parquet"), None) is not None


def read_hub(source: str, cache: Path) -> Iterator[Entry]:
    """Fetch a dataset from the hub, once, and read it. Raise DatasetError when the hub cannot be reached."""
    import datasets

    match = _PINNED.fullmatch(source)
    assert match is not None  # noqa: S101 - the caller asked is_hub_id
    try:
        loaded = datasets.load_dataset(match["id"], revision=match["revision"], cache_dir=str(cache))
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise DatasetError(
            f"{source} could not be fetched ({type(error).__name__}); check the network, or copy the dataset to this machine and "
            "name its folder"
        ) from error
    yield from _entries(loaded)


def read_copy(folder: Path, cache: Path) -> Iterator[Entry]:
    """Read a local copy. Raise DatasetError when it is damaged."""
    import datasets

    try:
        if next(folder.rglob("*.parquet"), None):
            loaded: Any = datasets.load_dataset("parquet", data_files=_parquet_files(folder), cache_dir=str(cache))
        else:
            loaded = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DatasetError(f"{folder} is no readable copy of a dataset ({error}); copy it again") from error
    yield from _entries(loaded)


def _parquet_files(folder: Path) -> dict[str, list[str]]:
    """The files of each part, which the beginning of their names tells (train-00000-of-00001.parquet)."""
    files: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.parquet")):
        files.setdefault(re.split(r"[-.]", path.name)[0], []).append(str(path))
    return files


def _entries(loaded: Any) -> Iterator[Entry]:
    import datasets

    parts = loaded if isinstance(loaded, datasets.DatasetDict) else {"": loaded}
    for name, table in parts.items():
        part = _PART_NAMES.get(name, name)
        missing = {"id", "sentence", "path"} - set(table.column_names)
        if missing:
            raise DatasetError(
                f"the dataset lacks the columns {', '.join(sorted(missing))}; it needs id, sentence and path (audio)"
            )
        for row in table.cast_column("path", datasets.Audio(decode=False)):
            audio = row["path"] or {}
            path = audio.get("path")
            yield Entry(
                id=Path(str(row["id"])).stem,
                reference=str(row["sentence"] or "").strip(),
                speaker=_text(row.get("speaker_id")),
                prompt=_text(row.get("prompt")),
                part=part if part in PARTS else None,
                audio=audio.get("bytes") or (Path(path) if path else None),
            )


def _text(value: Any) -> str | None:
    return None if value is None or not str(value).strip() else str(value).strip()
