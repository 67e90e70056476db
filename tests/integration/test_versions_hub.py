"""Versions to and from a hub with the real huggingface_hub, against a hub on this machine, and what others make of an exported one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import torch

from daemon.config import Config
from daemon.registry import desk
from tests.conftest import write_config
from tests.support.adapters import peft_folder
from tests.support.daemon_process import MEDASRD, medasrd, medasrd_json
from tests.support.hub_server import accept, serve
from tests.support.whisper import tiny_english

pytestmark = [pytest.mark.whisper, pytest.mark.usefixtures("tiny_whisper")]

REPOSITORY = "ward/whisper-tuned"
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def config(home: Path) -> Config:
    return write_config(home)


@pytest.fixture
def version(config: Config, tmp_path: Path) -> str:
    return desk.install(config, peft_folder(tmp_path / "adapter", strength=0.02), "imported")


def with_hub(config: Config, endpoint: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(config.paths.state / "hf"),
        "HF_TOKEN": "hf_valid",
        **environment,
    }
    command = [*MEDASRD, "models", *arguments, "--config", str(config.paths.state.parent / "config.toml")]
    return subprocess.run(command, env=variables, check=False, capture_output=True, text=True)


def test_a_version_goes_to_a_private_repository_and_comes_back_on_another_machine(
    config: Config, version: str, tmp_path: Path
) -> None:
    hub = tmp_path / "hub"
    hub.mkdir()
    with accept(hub, REPOSITORY, REVISION) as (endpoint, made):
        done = with_hub(config, endpoint, "export", version, "--push", REPOSITORY)
    assert done.stdout == f"{version} is at {REPOSITORY}@{REVISION}\n", done.stderr
    (repository,) = made
    assert repository.get("private") or repository.get("visibility") == "private"  # by huggingface_hub's version
    shelved = config.paths.adapters / version
    assert {path.name for path in hub.iterdir()} == {path.name for path in shelved.iterdir()}
    (hub / "adapter_model.bin").write_bytes(b"must not be fetched")
    (hub / "train.py").write_bytes(b"must not be fetched")

    (tmp_path / "other").mkdir(mode=0o700)
    other = write_config(tmp_path / "other")
    with serve(hub, REPOSITORY, REVISION) as (endpoint, fetched):
        back = with_hub(other, endpoint, "import", f"{REPOSITORY}@{REVISION}")
    assert back.stdout.startswith(f"{version} is installed"), back.stderr
    assert {Path(name).suffix for name in fetched} <= {".json", ".safetensors", ".md"}
    assert medasrd_json("models", "verify", version, config=other)[0]["intact"]


def test_a_hub_that_is_not_there_is_a_clear_end(config: Config, version: str) -> None:
    for arguments in (("export", version, "--push", REPOSITORY), ("import", f"{REPOSITORY}@{REVISION}")):
        for environment in ({"HF_HUB_OFFLINE": "1"}, {}):
            done = with_hub(config, "http://127.0.0.1:9", *arguments, **environment)
            assert done.returncode == 75, done.stderr
            assert "the hub could not be reached" in done.stderr
            assert "Traceback" not in done.stderr


def test_an_account_that_may_not_is_told_to_log_in(config: Config, version: str, tmp_path: Path) -> None:
    with accept(tmp_path, REPOSITORY, REVISION) as (endpoint, _):
        done = with_hub(config, endpoint, "export", version, "--push", REPOSITORY, HF_TOKEN="hf_other")
    assert (done.returncode, "hf auth login" in done.stderr) == (1, True), done.stderr


def test_an_exported_version_is_loaded_by_peft_alone_and_the_merged_model_by_transformers_alone(
    config: Config, version: str, tmp_path: Path
) -> None:
    medasrd("models", "export", version, tmp_path / "plain", config=config)
    medasrd("models", "export", version, tmp_path / "merged", "--merged", config=config)
    from peft import PeftModel
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    base = WhisperForConditionalGeneration.from_pretrained(tiny_english().path, dtype=torch.float32)
    adapted = PeftModel.from_pretrained(base, str(tmp_path / "plain")).merge_and_unload().eval()
    merged = WhisperForConditionalGeneration.from_pretrained(tmp_path / "merged").eval()
    WhisperProcessor.from_pretrained(tmp_path / "merged")
    features = torch.randn(1, 80, 3000, generator=torch.Generator().manual_seed(1))
    tokens = torch.tensor([[50257, 50362, 464]])
    with torch.no_grad():
        one, other = (model(input_features=features, decoder_input_ids=tokens).logits for model in (adapted, merged))
    assert merged.dtype == torch.float32
    assert torch.allclose(one, other, atol=1e-4)
    actions = [line["action"] for line in medasrd_audit(config)]
    assert actions.count("version exported") == 2


def medasrd_audit(config: Config) -> list[dict[str, object]]:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(config.paths.database)) as database:
        return [{"action": action} for (action,) in database.execute("SELECT action FROM audit ORDER BY id")]
