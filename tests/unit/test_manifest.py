"""What an adapter says of itself is checked against its files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from medasr.dataset.utterance import Utterance
from medasr.errors import ModelError
from medasr.whisper.manifest import (
    CONFIG_FILE,
    HEARD_FILE,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    AdapterManifest,
    Heard,
    heard_of,
    read_heard,
    read_manifest,
    verify_adapter,
    write_heard,
    write_manifest,
)


def said(number: int, text: str, speaker: str | None = "one") -> Utterance:
    sha256 = hashlib.sha256(f"{number}".encode()).hexdigest()
    return Utterance(id=f"{number}", reference=text, speaker=speaker, prompt=None, part=None, audio_sha256=sha256)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / WEIGHTS_FILE).write_bytes(b"weights")
    (folder / CONFIG_FILE).write_text("{}")
    write_heard(folder, Heard())
    write_manifest(folder, AdapterManifest(base_id="whisper-base", base_revision="1", base_sha256="ab"))
    return folder


class TestVerification:
    def test_a_complete_adapter_passes(self, adapter: Path) -> None:
        manifest = verify_adapter(adapter)
        assert manifest.adapter_sha256 == manifest.files[WEIGHTS_FILE]
        assert manifest.audio_context == "full"
        assert read_manifest(adapter) == manifest

    @pytest.mark.parametrize("name", [WEIGHTS_FILE, CONFIG_FILE, HEARD_FILE])
    def test_a_changed_byte_is_found(self, adapter: Path, name: str) -> None:
        (adapter / name).write_bytes((adapter / name).read_bytes() + b" ")
        with pytest.raises(ModelError, match="was altered"):
            verify_adapter(adapter)

    def test_a_missing_file_is_found(self, adapter: Path) -> None:
        (adapter / CONFIG_FILE).unlink()
        with pytest.raises(ModelError, match="is missing"):
            verify_adapter(adapter)

    def test_a_link_is_no_file(self, adapter: Path, tmp_path: Path) -> None:
        (adapter / WEIGHTS_FILE).rename(tmp_path / "elsewhere")
        (adapter / WEIGHTS_FILE).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(ModelError, match="is missing"):
            verify_adapter(adapter)

    def test_a_file_that_nobody_named_is_refused(self, adapter: Path) -> None:
        (adapter / "notes.txt").write_text("hello")
        with pytest.raises(ModelError, match="not part of the adapter"):
            verify_adapter(adapter)

    @pytest.mark.parametrize("name", ["adapter_model.bin", "hook.py", "x.PKL"])
    def test_what_can_run_code_is_refused_by_name(self, adapter: Path, name: str) -> None:
        (adapter / name).write_bytes(b"")
        write_manifest(adapter, AdapterManifest(base_id="whisper-base", base_revision="1", base_sha256="ab"))
        with pytest.raises(ModelError, match="can run code"):
            verify_adapter(adapter)

    @pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/b"])
    def test_a_name_that_leads_out_is_refused(self, adapter: Path, path: str) -> None:
        document = json.loads((adapter / MANIFEST_FILE).read_text())
        document["files"][path] = "0" * 64
        (adapter / MANIFEST_FILE).write_text(json.dumps(document))
        with pytest.raises(ModelError):
            verify_adapter(adapter)

    @pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"base_id": 1}'])
    def test_a_damaged_manifest_says_what_to_do(self, adapter: Path, content: str) -> None:
        (adapter / MANIFEST_FILE).write_text(content)
        with pytest.raises(ModelError, match="restore the adapter"):
            verify_adapter(adapter)

    def test_files_are_for_their_owner_only(self, adapter: Path) -> None:
        assert (adapter / MANIFEST_FILE).stat().st_mode & 0o777 == 0o600


class TestHeard:
    def test_a_recording_and_a_phrase_are_recognized_and_a_new_one_is_not(self) -> None:
        heard = heard_of([said(1, "My knee hurts."), said(2, "I have a cough.")])
        same_recording, same_phrase, new = said(1, "Other words."), said(8, "my knee hurts"), said(9, "A new one.")
        assert heard.overlap([same_recording, same_phrase, new]) == {"1", "8"}

    def test_nothing_can_be_read_from_the_marks(self, adapter: Path) -> None:
        write_heard(adapter, heard_of([said(1, "My knee hurts.", speaker="Jane Doe")]))
        content = (adapter / HEARD_FILE).read_text()
        assert "knee" not in content
        assert "Jane" not in content
        assert len(read_heard(adapter).speakers) == 1

    def test_of_an_adapter_from_elsewhere_nothing_is_known(self, tmp_path: Path) -> None:
        assert read_heard(tmp_path) == Heard()

    def test_damaged_marks_are_refused(self, adapter: Path) -> None:
        (adapter / HEARD_FILE).write_text("[1]")
        with pytest.raises(ModelError, match="restore"):
            read_heard(adapter)
