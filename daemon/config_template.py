"""The documented config.toml, rendered from the models: no option can be forgotten, and none stands there that does not exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from daemon.config import Config
from daemon.sections import Section

#: Of a file that is to be edited.
HEADING = "# medasr configuration. Every option is shown with its default; delete what you do not change."
#: Of the values in force.
HEADING_IN_FORCE = "# medasr configuration in force: the file, the environment and the defaults together."


def render_toml(values: dict[str, dict[str, Any]] | None = None, heading: str = HEADING) -> str:
    """The documented config.toml: every option with its meaning, and its default or the value given for it."""
    values = values or {}
    lines = [
        heading,
        "# Each can also be set in the environment: MEDASRD_SECTION__KEY, e.g. MEDASRD_MODEL__DEVICE=cpu.",
    ]
    for section, field in Config.model_fields.items():
        model = field.annotation
        if not (isinstance(model, type) and issubclass(model, Section)):
            continue
        lines += ["", f"# {(model.__doc__ or '').strip()}", f"[{section}]"]
        for name, option in model.model_fields.items():
            value = values.get(section, {}).get(name, option.default)
            lines += [f"# {option.description}{_choices(option)}", f"{name} = {_toml_value(value)}"]
    return "\n".join(lines) + "\n"


def _choices(option: FieldInfo) -> str:
    allowed = getattr(option.annotation, "__args__", ()) if "Literal" in str(option.annotation) else ()
    return f" ({', '.join(map(str, allowed))})" if allowed else ""


def _toml_value(value: Any) -> str:
    """TOML's strings, numbers, booleans and arrays of strings are spelled as JSON's."""
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{_toml_value(name)} = {_toml_value(item)}" for name, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    return json.dumps(value, ensure_ascii=False)
