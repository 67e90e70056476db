"""``medasrd models``, as a person and as a program meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from daemon.cli import medasrd
from medasr.errors import ModelError
from tests.support.whisper_packs import huggingface_folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory with a model, and a configuration that uses it."""
    folder = huggingface_folder(tmp_path / "tuned")
    (tmp_path / "config.toml").write_text(f'[model]\nbase = "{folder}"\n')
    return folder


def models(model: Path, *arguments: str) -> Result:
    return CliRunner().invoke(medasrd, ["models", *arguments, "--config", str(model.parent / "config.toml")])


def test_pull_without_a_name_installs_the_configured_model(model: Path) -> None:
    result = models(model, "pull")
    assert result.exit_code == 0
    assert f"{model} is ready" in result.stdout
    assert f"copying {model}" in result.stderr


def test_a_missing_configured_model_is_pointed_out(model: Path) -> None:
    result = models(model, "list")
    assert "is not installed; run `medasrd models pull`" in result.stdout
    assert json.loads(models(model, "list", "--json").stdout) == []


def test_list_says_which_model_is_configured(model: Path) -> None:
    models(model, "pull")
    assert "(model.base)" in models(model, "list").stdout
    (listed,) = json.loads(models(model, "list", "--json").stdout)
    assert (listed["name"], listed["configured"], listed["revision"]) == (str(model), True, "local")
    assert listed["parameters"] > 0


@pytest.mark.parametrize("named", [False, True])
def test_verify_ends_with_one_when_a_model_was_altered(model: Path, named: bool) -> None:
    arguments = ["verify", str(model)] if named else ["verify"]
    models(model, "pull")
    assert models(model, *arguments).exit_code == 0
    (installed,) = (path for path in (model.parent / "state" / "models").iterdir() if path.is_dir())
    (installed / "config.json").write_text("{}")
    result = models(model, *arguments, "--json")
    assert result.exit_code == 1
    (finding,) = json.loads(result.stdout)
    assert finding == {
        "name": str(model),
        "intact": False,
        "problems": ["config.json: differs from what was installed"],
    }
    assert "altered" in models(model, *arguments).stdout


def test_verify_of_a_model_that_is_not_installed_names_the_remedy(model: Path) -> None:
    result = models(model, "verify", "whisper-base")
    assert isinstance(result.exception, ModelError)
    assert "medasrd models pull whisper-base" in str(result.exception)
