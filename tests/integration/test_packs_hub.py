"""Pulling from a hub with the real huggingface_hub, against a hub on this machine.

huggingface_hub reads HF_ENDPOINT and HF_HUB_OFFLINE when it is imported, so each pull runs in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medasr.packs import verify
from tests.support.hub_server import serve
from tests.support.whisper_packs import REVISION, huggingface_folder

NAME = f"hospital/whisper-tuned@{REVISION}"
PULL = """
import json, sys
from pathlib import Path
from medasr.errors import MedasrError
from medasr.packs import pull
said = []
try:
    model = pull(sys.argv[1], Path(sys.argv[2]), progress=lambda *step: said.append(step))
except MedasrError as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}))
else:
    print(json.dumps({"source": model.source, "revision": model.revision, "said": said}))
"""


def pull_from(endpoint: str, models: Path, name: str = NAME, **environment: str) -> dict[str, object]:
    variables = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_HOME": str(models.parent / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", PULL, name, str(models)],
        env={**variables, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with safetensors, and with what older repositories have besides."""
    folder = huggingface_folder(tmp_path / "repository")
    for name in ("pytorch_model.bin", "flax_model.msgpack", "modeling.py", "README.md"):
        (folder / name).write_bytes(b"must not be fetched")
    return folder


def test_the_model_files_are_fetched_and_nothing_else(repository: Path, tmp_path: Path) -> None:
    with serve(repository, "hospital/whisper-tuned", REVISION) as (endpoint, fetched):
        answer = pull_from(endpoint, tmp_path / "models")
    assert (answer["source"], answer["revision"]) == ("hub:hospital/whisper-tuned", REVISION)
    assert {Path(name).suffix for name in fetched} == {".json", ".safetensors"}
    assert verify(tmp_path / "models", NAME) == []


def test_the_bytes_fetched_are_reported(repository: Path, tmp_path: Path) -> None:
    with serve(repository, "hospital/whisper-tuned", REVISION) as (endpoint, _):
        answer = pull_from(endpoint, tmp_path / "models")
    steps = [step for step in answer["said"] if step[0] == f"downloading {NAME}"]  # type: ignore[attr-defined]
    weights = (repository / "model.safetensors").stat().st_size
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)
    assert all(done <= total for _, done, total in steps)
    assert steps[-1][1] >= weights


def test_a_revision_that_the_hub_does_not_have_is_named(repository: Path, tmp_path: Path) -> None:
    missing = f"hospital/whisper-tuned@{'f' * 40}"
    with serve(repository, "hospital/whisper-tuned", REVISION) as (endpoint, _):
        answer = pull_from(endpoint, tmp_path / "models", missing)
    assert answer["error"] == "PackUnavailable"
    assert f"the hub does not have {missing}" in str(answer["message"])


def test_a_machine_told_to_stay_offline_says_so(tmp_path: Path) -> None:
    answer = pull_from("http://127.0.0.1:9", tmp_path / "models", HF_HUB_OFFLINE="1")
    assert answer["error"] == "PackUnavailable"
    assert "HF_HUB_OFFLINE" in str(answer["message"])
    assert [path.name for path in (tmp_path / "models").iterdir()] == [".lock"]
