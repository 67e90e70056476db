"""The 223 real recordings of the medical speech dataset through the real daemon, as a hospital would drop them."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import jiwer
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

from tests.conftest import write_config
from tests.support.daemon_process import jobs, medasrd

pytestmark = [pytest.mark.acceptance, pytest.mark.realdata, pytest.mark.timeout(2400)]

#: Stock whisper-base at the full window; word error rate after Whisper's English normalizer, in percent.
WORST_NORMALIZED_WER = 13.0


@pytest.mark.usefixtures("base_whisper")
def test_all_of_them_end_and_their_text_is_as_good_as_the_model_can(
    home: Path, medical_speech: Path, record_property: Callable[[str, object], None]
) -> None:
    config = write_config(home, model={"base": "whisper-base"})
    with (medical_speech / "overview-of-recordings.csv").open(newline="") as rows:
        references = {Path(row["file_name"]).stem: row["phrase"] for row in csv.DictReader(rows)}
    recordings = sorted((medical_speech / "recordings").iterdir())
    for recording in recordings:
        shutil.copy(recording, config.paths.inbox)
    medasrd("scan", config=config, check=False, patience=2300)

    found = jobs(config)
    assert len(found) == len(recordings) == 223
    states = [job["state"] for job in found]
    assert set(states) <= {"done", "needs_review", "no_speech"}
    for job in found:
        if job["state"] == "needs_review":
            document = json.loads((config.paths.outbox / f"{job['output_name']}.json").read_text())
            assert document["verdict"]["concerns"], "a review has its reason"
    assert states.count("done") >= 0.9 * len(recordings)

    normalize = EnglishTextNormalizer()
    hypotheses = {
        job["output_name"]: " ".join((config.paths.outbox / f"{job['output_name']}.txt").read_text().split())
        for job in found
    }
    pairs = [(normalize(references[name]), normalize(text)) for name, text in hypotheses.items()]
    error_rate = 100 * jiwer.wer([reference for reference, _ in pairs], [hypothesis for _, hypothesis in pairs])
    record_property("normalized_wer", round(error_rate, 2))
    assert error_rate <= WORST_NORMALIZED_WER
