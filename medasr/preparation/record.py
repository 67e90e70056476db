"""A preparation on disk: what was dropped from which dataset, by which rules."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medasr.preparation.preparation import Preparation, Stage

SCHEMA = "medasr.preparation/1"
FILE_NAME = "preparation.json"


def document(preparation: Preparation) -> dict[str, Any]:
    """A preparation as JSON holds it: everything but the texts."""
    return {
        "schema": SCHEMA,
        **asdict(preparation),
        "stages": [_stage(stage) for stage in preparation.stages],
    }


def write_record(preparation: Preparation, folder: Path) -> Path:
    """Write a preparation to ``FOLDER/<sha256 of the dataset>/preparation.json``, for its owner alone, and return that path.

    An earlier one is replaced at once, or not at all. Equal preparations are equal to the byte. Raise OSError when the disk cannot
    take it.
    """
    target = folder / preparation.dataset_sha256 / FILE_NAME
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    target.parent.mkdir(exist_ok=True, mode=0o700)
    text = json.dumps(document(preparation), indent=1, sort_keys=True, ensure_ascii=False)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".preparation-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)
    return target


def _stage(stage: Stage) -> dict[str, Any]:
    return {**asdict(stage), "dropped": stage.dropped}
