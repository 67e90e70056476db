"""What a dataset's source says, entry by entry, before anything is checked: folders as published on Kaggle, and manifests."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medasr.dataset.utterance import PARTS, Exclusion, ExclusionReason
from medasr.errors import DatasetError

OVERVIEW = "overview-of-recordings.csv"
_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".aiff", ".aif")

#: Column names that people use, in the order in which they are looked for.
_AUDIO = ("audio", "audio_path", "path", "file", "file_name", "audio_filepath")
_TEXT = ("text", "reference", "sentence", "transcription", "transcript", "phrase")
_SPEAKER = ("speaker", "speaker_id")
_PART = ("part", "split")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry as its source has it."""

    id: str
    reference: str
    speaker: str | None
    prompt: str | None
    part: str | None
    audio: Path | bytes | None  #: the recording's file or its bytes; None when the source has neither


def read_folder(folder: Path) -> Iterator[Entry | Exclusion]:
    """Read a folder in the layout published on Kaggle: the overview, and ``recordings/`` with or without a folder for each part."""
    recordings = {
        path.name: path for path in sorted((folder / "recordings").rglob("*")) if path.suffix.lower() in _SUFFIXES
    }
    stems = {path.stem: path for path in recordings.values()}
    named: set[Path] = set()
    for row in _csv_rows(folder / OVERVIEW):
        name = (row.get("file_name") or "").strip()
        path = recordings.get(name) or stems.get(Path(name).stem)
        part = path.parent.name if path and path.parent.name in PARTS else None
        if path:
            named.add(path)
        yield _entry(row, id=Path(name).stem, reference=row.get("phrase"), part=part, audio=path)
    for path in sorted(set(recordings.values()) - named):
        yield Exclusion(id=path.stem, reason=ExclusionReason.NO_ENTRY)


def read_manifest(manifest: Path) -> Iterator[Entry | Exclusion]:
    """Read a CSV or JSONL file with a row for each recording; paths count from the manifest's folder and stay within it."""
    rows = _csv_rows(manifest) if manifest.suffix.lower() == ".csv" else _json_rows(manifest)
    root = manifest.parent.resolve()
    for number, row in enumerate(rows, 2 if manifest.suffix.lower() == ".csv" else 1):
        name = _first(row, _AUDIO)
        if name is None:
            yield Exclusion(id=f"{manifest.name}:{number}", reason=ExclusionReason.MALFORMED)
            continue
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            yield Exclusion(id=f"{manifest.name}:{number}", reason=ExclusionReason.OUTSIDE)
            continue
        yield _entry(row, id=Path(name).stem, reference=_first(row, _TEXT), part=_first(row, _PART), audio=path)


def _entry(row: Mapping[str, Any], *, id: str, reference: str | None, part: str | None, audio: Path | None) -> Entry:  # noqa: A002
    return Entry(
        id=id,
        reference=(reference or "").strip(),
        speaker=_first(row, _SPEAKER),
        prompt=_first(row, ("prompt",)),
        part=part if part in PARTS else None,
        audio=audio,
    )


def _first(row: Mapping[str, Any], names: Iterable[str]) -> str | None:
    for name in names:
        value = row.get(name)
        if value is not None and str(value).strip():
            return str(value).strip()
    return None


def _csv_rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from csv.DictReader(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read as UTF-8 CSV ({error}); correct or restore it") from error


def _json_rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line in filter(str.strip, file):
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:
                    row = {}
                yield row if isinstance(row, dict) else {}
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read as UTF-8 JSON lines ({error}); correct or restore it") from error
