"""Metadata beside a recording: read when it is sound, never a reason to refuse the recording."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.intake.sidecar import MAX_BYTES, SidecarWarning, _parse, read_sidecar
from daemon.intake.source import Removed, remove_source
from tests.support.intake import arrival_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "visit.json"


def test_a_json_object_is_metadata(path):
    path.write_bytes(b'{"patient": "4711", "worktype": "cardiology", "tags": [1, 2.5, null]}')
    sidecar = read_sidecar(arrival_of(path))
    assert sidecar.metadata == {"patient": "4711", "worktype": "cardiology", "tags": [1, 2.5, None]}
    assert sidecar.warning is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_metadata_may_come_in_the_encodings_windows_writes(path, encoding):
    path.write_bytes('{"name": "Müller"}'.encode(encoding))
    assert read_sidecar(arrival_of(path)).metadata == {"name": "Müller"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"patient=4711",
        b'{"half": ',
        b"[1, 2]",
        b'"text"',
        b'{"x": NaN}',
        b'{"x": 1e999}',
        b'{"x": "\\ud800"}',
        b"\xff\xfe\xff",
        b"[" * 60_000,
        b'{"x": ' + b"9" * 5_000 + b"}",
    ],
    ids=["empty", "text", "half", "array", "string", "nan", "infinite", "surrogate", "binary", "deep", "long number"],
)
def test_anything_else_is_kept_as_text_with_a_warning(path, content):
    path.write_bytes(content)
    sidecar = read_sidecar(arrival_of(path))
    assert sidecar.metadata is None
    assert sidecar.warning is SidecarWarning.SIDECAR_MALFORMED
    sidecar.text.encode("utf-8")
    assert remove_source(sidecar.source) is Removed.REMOVED


@given(st.binary(max_size=200))
def test_no_content_whatever_raises(content):
    document = _parse(content)
    assert document is None or json.dumps(document, allow_nan=False)


def test_a_large_file_is_no_metadata_and_stays(path):
    path.write_bytes(b'{"x": "' + b"x" * MAX_BYTES + b'"}')
    sidecar = read_sidecar(arrival_of(path))
    assert (sidecar.metadata, sidecar.text, sidecar.source) == (None, "", None)
    assert sidecar.warning is SidecarWarning.SIDECAR_TOO_BIG


def test_metadata_that_is_gone_or_swapped_is_not_read(path, tmp_path):
    path.write_bytes(b"{}")
    arrival = arrival_of(path)
    path.unlink()
    assert read_sidecar(arrival).warning is SidecarWarning.SIDECAR_UNREADABLE
    (tmp_path / "secret").write_bytes(b"{}")
    path.symlink_to(tmp_path / "secret")
    assert read_sidecar(arrival).warning is SidecarWarning.SIDECAR_UNREADABLE
    path.unlink()
    os.mkfifo(path)
    assert read_sidecar(arrival).warning is SidecarWarning.SIDECAR_UNREADABLE


def test_metadata_written_to_after_it_was_read_is_not_removed(path):
    path.write_bytes(b"{}")
    sidecar = read_sidecar(arrival_of(path))
    path.write_bytes(b'{"new": true}')
    assert remove_source(sidecar.source) is Removed.SOURCE_CHANGED
    assert path.read_bytes() == b'{"new": true}'


def test_metadata_written_to_between_scan_and_reading_is_read_as_it_is_now(path):
    path.write_bytes(b'{"half": ')
    arrival = arrival_of(path)
    with path.open("r+b") as file:
        file.write(b'{"whole": true}')
    sidecar = read_sidecar(arrival)
    assert sidecar.metadata == {"whole": True}
    assert remove_source(sidecar.source) is Removed.REMOVED
