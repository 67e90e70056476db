"""config.toml and ``MEDASRD_SECTION__KEY`` → one typed, validated object. The options themselves: :mod:`daemon.sections`."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from daemon.engine.bias import Bias
from daemon.gate.options import EMBEDDED_SPEECH, Gate
from daemon.learning.options import Learning, Training
from daemon.sections import (
    Decode,
    Engine,
    Evaluation,
    Intake,
    Jobs,
    LexiconOptions,
    Log,
    Model,
    Outbox,
    Paths,
    Quality,
    Schedule,
    Speech,
)
from medasr.errors import ConfigurationError

#: Where the configuration is looked for when neither ``--config`` nor ``MEDASRD_CONFIG`` names it.
DEFAULT_CONFIG_PATH = Path("/etc/medasr/config.toml")


class Config(BaseSettings):
    """The whole configuration, with absolute paths."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="MEDASRD_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    paths: Paths = Paths()
    intake: Intake = Intake()
    decode: Decode = Decode()
    model: Model = Model()
    engine: Engine = Engine()
    speech: Speech = Speech()
    quality: Quality = Quality()
    lexicon: LexiconOptions = LexiconOptions()
    bias: Bias = Bias()
    outbox: Outbox = Outbox()
    jobs: Jobs = Jobs()
    evaluation: Evaluation = Evaluation()
    training: Training = Training()
    gate: Gate = Gate()
    learning: Learning = Learning()
    schedule: Schedule = Schedule()
    log: Log = Log()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, whose content arrives as ``init_settings``."""
        return env_settings, init_settings


def load_config(path: Path | None = None) -> Config:
    """Read and validate the configuration.

    Given the path from ``--config`` (else ``MEDASRD_CONFIG``, else :data:`DEFAULT_CONFIG_PATH`), return it with every path
    absolute. Raise ConfigurationError naming every unknown or wrong option at once.
    """
    path = path or Path(os.environ.get("MEDASRD_CONFIG", "") or DEFAULT_CONFIG_PATH)
    path = path.expanduser().absolute()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path} does not exist; write one with `medasrd init FOLDER`, or name yours with --config or MEDASRD_CONFIG"
        ) from None
    except IsADirectoryError:
        raise ConfigurationError(f"{path} is a folder; name the file: --config {path / 'config.toml'}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read as TOML: {error}") from error
    try:
        config = Config(**_absolute(document, path.parent))
        _refuse_unknown_variables()
        return config.model_copy(update={"paths": _resolve(config.paths, path.parent)})
    except ValidationError as error:
        raise ConfigurationError(_explain(error, path)) from error
    except SettingsError as error:  # its message names the variable; e.g. text where a list or a table is wanted
        raise ConfigurationError(
            f'{error}: the environment sets single options, MEDASRD_SECTION__KEY=value, and lists as JSON, \'["one", "two"]\''
        ) from error


def _refuse_unknown_variables() -> None:
    """Raise ConfigurationError for a MEDASRD_SECTION__KEY whose section does not exist; within a section pydantic finds what is unknown."""
    for name in sorted(os.environ):
        section, delimiter, _ = name.removeprefix("MEDASRD_").lower().partition("__")
        if name.startswith("MEDASRD_") and delimiter and section not in Config.model_fields:
            sections = ", ".join(Config.model_fields)
            raise ConfigurationError(f"{name} in the environment names no section; those that exist: {sections}")


def _absolute(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The document with every path, defaults included, counted from the folder of its file."""
    paths = document.get("paths", {})
    if isinstance(paths, dict):
        known = {
            name: _anchor(paths.get(name, field.default), folder)
            for name, field in Paths.model_fields.items()
            if isinstance(paths.get(name, field.default), str | Path)
        }
        document = {**document, "paths": {**paths, **known}}
    model = document.get("model", {})
    if isinstance(model, dict) and isinstance(model.get("adapter"), str) and model["adapter"] not in ("", "serving"):
        document = {**document, "model": {**model, "adapter": str(_anchor(model["adapter"], folder))}}
    evaluation = document.get("evaluation", {})
    if isinstance(evaluation, dict) and isinstance(source := evaluation.get("dataset"), str):
        document = {**document, "evaluation": {**evaluation, "dataset": _anchor_dataset(source, folder)}}
    training = document.get("training", {})
    if isinstance(training, dict):
        sources = {name: training[name] for name in ("dataset", "reviewed") if isinstance(training.get(name), str)}
        anchored = {name: _anchor_dataset(source, folder) for name, source in sources.items()}
        document = {**document, "training": {**training, **anchored}}
    gate = document.get("gate", {})
    if isinstance(gate, dict) and isinstance(source := gate.get("general"), str) and source != EMBEDDED_SPEECH:
        document = {**document, "gate": {**gate, "general": _anchor_dataset(source, folder)}}
    lexicon = document.get("lexicon", {})
    if isinstance(lexicon, dict) and isinstance(lexicon.get("extra"), list):
        extra = [_anchor(item, folder) if isinstance(item, str) else item for item in lexicon["extra"]]
        document = {**document, "lexicon": {**lexicon, "extra": extra}}
    bias = document.get("bias", {})
    if isinstance(bias, dict) and isinstance(bias.get("lists"), dict):
        lists = {name: _anchor(file, folder) if isinstance(file, str) else file for name, file in bias["lists"].items()}
        document = {**document, "bias": {**bias, "lists": lists}}
    return document


def _anchor_dataset(source: str, folder: Path) -> str:
    """A dataset that is no hub id: a folder or manifest, counted from the folder of the file where it exists there."""
    path = _anchor(source, folder)
    return str(path) if source and path.exists() else source


def _resolve(paths: Paths, folder: Path) -> Paths:
    """Paths that came from the environment may still be relative."""
    return Paths(**{name: _anchor(value, folder) for name, value in paths})


def _anchor(value: str | Path, folder: Path) -> Path:
    return Path(os.path.normpath(folder / Path(value).expanduser()))


def _explain(error: ValidationError, path: Path) -> str:
    """One line a problem, each naming its option."""
    lines = []
    for item in error.errors():
        option = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "unknown option; `medasrd config show` lists those that exist"
        elif item["type"] == "tuple_type":
            message = 'must be a list, e.g. ["one", "two"]'
        lines.append(f"  {option}: {message}" if option else f"  {message}")
    return f"{path} (and MEDASRD_* in the environment) has {len(lines)} problem(s):\n" + "\n".join(lines)
