"""An exploration from the dataset to its report on disk."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medasr.errors import DatasetError
from medasr.exploration.page import render
from medasr.exploration.plots import draw
from medasr.exploration.spectrograms import draw_spectrograms
from medasr.exploration.survey import Findings, Survey, survey, survey_document
from medasr.preparation import PreparationRules, influence, measure_all, prepare, write_record

if TYPE_CHECKING:
    from medasr.dataset.utterance import Dataset
    from medasr.lexicon import Lexicon
    from medasr.text.normalizers import TextNormalizer

PAGE = "report.html"
DOCUMENT = "exploration.json"
#: The spectrograms stand behind this picture.
_BEFORE_SPECTROGRAMS = "snr"


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where an exploration writes."""

    out: Path  #: the report
    records: Path  #: preparations by dataset


def require_free(out: Path) -> None:
    """Make the folder if it is missing. Raise DatasetError if that fails, or unless it is empty or holds an earlier report."""
    if out.exists() and not out.is_dir():
        raise DatasetError(f"{out} is a file; name a folder with --out")
    if out.is_dir() and any(out.iterdir()) and not (out / DOCUMENT).is_file():
        raise DatasetError(f"{out} holds other files; name a new folder with --out")
    try:
        out.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise DatasetError(f"{out} cannot be made ({error.strerror}); name another folder with --out") from error


def explore(
    dataset: Dataset,
    lexicon: Lexicon,
    normalizer: TextNormalizer,
    places: Places,
    *,
    workers: int,
    progress: Callable[[int, int | None], None] | None = None,
) -> Survey:
    """Measure every recording, sum up, draw, and write report.html, exploration.json and one PNG a picture.

    ``progress`` hears how many recordings of how many are measured. Raise DatasetError when ``places.out`` holds somebody else's
    files, TransientError when there is no temporary space.
    """
    require_free(places.out)
    measured, unmeasured = measure_all(dataset, workers=workers, progress=progress)
    preparation = prepare(dataset, measured, unmeasured, rules=PreparationRules(), normalizer=normalizer)
    write_record(preparation, places.records)
    found = Findings(
        dataset=dataset, measured=measured, preparation=preparation, influence=influence(dataset, normalizer)
    )
    figures = survey(found, lexicon, normalizer)
    pictures = list(draw(figures))
    spectrograms = draw_spectrograms(dataset, measured)
    if spectrograms:
        place = next(number for number, one in enumerate(pictures) if one.name == _BEFORE_SPECTROGRAMS)
        pictures.insert(place + 1, spectrograms)
    for picture in pictures:
        _write(places.out / f"{picture.name}.png", picture.png)
    document = json.dumps(survey_document(figures), indent=1, ensure_ascii=False)
    _write(places.out / DOCUMENT, document.encode() + b"\n")
    _write(places.out / PAGE, render(figures, pictures).encode())
    return figures


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
