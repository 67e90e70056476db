"""Any source → utterances: every entry is checked once, the good ones go into a table on disk, the others are listed with reasons."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from medasr.dataset.entries import OVERVIEW, Entry, read_folder, read_manifest
from medasr.dataset.hub import is_hub_id, is_local_copy, read_copy, read_hub
from medasr.dataset.utterance import Dataset, Exclusion, ExclusionReason, Utterance
from medasr.errors import DatasetError

Progress = Callable[[int, int | None], None]

_FIELDS = tuple(Utterance.__dataclass_fields__)
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True)
class TableDataset:
    """Utterances in an Arrow table on disk, mapped into memory; implements :class:`medasr.dataset.utterance.Dataset`."""

    source: str
    sha256: str
    exclusions: tuple[Exclusion, ...]
    table: Any = field(repr=False, compare=False)  #: datasets.Dataset, sorted by id

    def __len__(self) -> int:
        """How many utterances there are."""
        return len(self.table)

    def __iter__(self) -> Iterator[Utterance]:
        """The utterances, ordered by id."""
        for row in self.table.remove_columns("file"):
            yield Utterance(**row)

    def open_audio(self, utterance: Utterance) -> BinaryIO:
        """The recording as a real file; raise DatasetError when it is gone."""
        row = self.table[self._rows[utterance.id]]
        try:
            return Path(row["file"]).open("rb")
        except OSError as error:
            raise DatasetError(
                f"a recording of {self.source} is gone ({error.strerror}); restore the dataset"
            ) from error

    @property
    def _rows(self) -> dict[str, int]:
        rows: dict[str, int] | None = self.__dict__.get("_by_id")
        if rows is None:
            rows = {key: number for number, key in enumerate(self.table["id"])}
            object.__setattr__(self, "_by_id", rows)
        return rows


def load_dataset(source: str | Path, *, cache: Path, progress: Progress | None = None) -> Dataset:
    """Load a dataset.

    Given a folder in the layout published on Kaggle, a manifest (.csv, .jsonl), a local copy in the hub's format, or a hub id at a
    pinned revision (OWNER/NAME@40 hex digits), and a folder for what is kept on disk, return its utterances. Entries that cannot be
    used are listed in ``exclusions``. ``progress`` hears how many entries were read. Raise DatasetError when the source is none of
    these or holds nothing usable.
    """
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    name, entries = _open(str(source), cache)
    exclusions: list[Exclusion] = []
    checked = _check(_count(entries, progress), exclusions, cache / "audio")
    table = _store(checked, cache)
    if not len(table):
        counts = ", ".join(f"{count} {reason}" for reason, count in Counter(one.reason for one in exclusions).items())
        raise DatasetError(
            f"{name} holds no usable utterance ({counts or 'it is empty'}); docs/dataset.md says what is needed"
        )
    rows = table.remove_columns("file")
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode() + b"\n")
    return TableDataset(source=name, sha256=digest.hexdigest(), exclusions=tuple(exclusions), table=table)


def _open(source: str, cache: Path) -> tuple[str, Iterable[Entry | Exclusion]]:
    path = Path(source)
    if (path / OVERVIEW).is_file():
        return path.resolve().name, read_folder(path)
    if path.is_dir() and is_local_copy(path):
        return path.resolve().name, read_copy(path, cache)
    if path.is_file() and path.suffix.lower() in (".csv", ".jsonl"):
        return path.name, read_manifest(path)
    if is_hub_id(source):
        return source, read_hub(source, cache)
    if path.exists():
        raise DatasetError(
            f"{source} is no dataset: neither a folder with {OVERVIEW}, nor a .csv or .jsonl manifest, nor a copy from the hub"
        )
    raise DatasetError(
        f"{source} does not exist; name a folder, a manifest, or a hub dataset with its revision: OWNER/NAME@COMMIT (40 hex digits)"
    )


def _count(entries: Iterable[Entry | Exclusion], progress: Progress | None) -> Iterator[Entry | Exclusion]:
    for number, entry in enumerate(entries, 1):
        yield entry
        if progress is not None:
            progress(number, None)


def _check(
    entries: Iterable[Entry | Exclusion], exclusions: list[Exclusion], kept: Path
) -> Iterator[dict[str, str | None]]:
    """Give the rows of the good entries, and add the others to ``exclusions``."""
    ids: set[str] = set()
    references: dict[str, str] = {}
    for entry in entries:
        if isinstance(entry, Exclusion):
            exclusions.append(entry)
            continue
        file = _file(entry.audio, kept)
        reason, sha256 = _flaw(entry, file, ids)
        if reason is None and sha256 in references:
            same = references[sha256] == entry.reference
            reason = ExclusionReason.DUPLICATE if same else ExclusionReason.CONFLICTING
        if reason is not None or file is None:
            exclusions.append(Exclusion(id=entry.id, reason=reason or ExclusionReason.NO_AUDIO))
            continue
        ids.add(entry.id)
        references[sha256] = entry.reference
        utterance = Utterance(
            id=entry.id,
            reference=entry.reference,
            speaker=entry.speaker,
            prompt=entry.prompt,
            part=entry.part,
            audio_sha256=sha256,
        )
        yield asdict(utterance) | {"file": str(file.resolve())}


def _flaw(entry: Entry, file: Path | None, ids: set[str]) -> tuple[ExclusionReason | None, str]:
    """Why an entry cannot be used, None when it can; and the sha256 of its recording."""
    import soundfile

    if entry.id in ids:
        return ExclusionReason.DUPLICATE_ID, ""
    if not entry.reference:
        return ExclusionReason.NO_REFERENCE, ""
    if file is None or not file.is_file():
        return ExclusionReason.NO_AUDIO, ""
    try:
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        if soundfile.info(file).frames == 0:
            return ExclusionReason.UNREADABLE, sha256
    except (OSError, soundfile.LibsndfileError):
        return ExclusionReason.UNREADABLE, ""
    return None, sha256


def _file(audio: Path | bytes | None, kept: Path) -> Path | None:
    """The recording's file; bytes that came with the table are kept under their hash, for their owner alone."""
    if not isinstance(audio, bytes):
        return audio
    kept.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = kept / hashlib.sha256(audio).hexdigest()
    if not target.is_file():
        with tempfile.NamedTemporaryFile(dir=kept, delete=False) as file:  # mode 0600
            file.write(audio)
        Path(file.name).replace(target)
    return target


def _store(rows: Iterable[dict[str, str | None]], cache: Path) -> Any:
    """Write the rows to disk as they come and map them back, sorted by id."""
    import datasets
    import pyarrow

    schema = pyarrow.schema([(name, pyarrow.string()) for name in (*_FIELDS, "file")])
    descriptor, name = tempfile.mkstemp(dir=cache, suffix=".arrow")
    with os.fdopen(descriptor, "wb") as file, pyarrow.ipc.new_stream(file, schema) as writer:
        batch: list[dict[str, str | None]] = []
        for row in rows:
            batch.append(row)
            if len(batch) == _ROWS_AT_ONCE:
                writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))
                batch = []
        writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))
    path = Path(name)
    table = datasets.Dataset.from_file(name)
    path.unlink()  # it stays mapped as long as it is used, and leaves nothing behind
    ids = list(table["id"])
    return table.select(sorted(range(len(ids)), key=ids.__getitem__), keep_in_memory=True)
