"""Metadata that comes with a recording: ``NAME.json`` or ``NAME.wav.json`` beside ``NAME.wav``, a JSON object.

A recording never waits for its metadata and is never refused because of it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from daemon.intake.arrival import Arrival, NotTaken, fingerprint
from daemon.intake.source import open_arrival

#: More than this is no metadata.
MAX_BYTES = 64 * 1024


class SidecarWarning(StrEnum):
    """What was wrong with a sidecar; stored with the arrival."""

    SIDECAR_MALFORMED = "SIDECAR_MALFORMED"  # no JSON object: kept as text
    SIDECAR_TOO_BIG = "SIDECAR_TOO_BIG"  # left in the inbox
    SIDECAR_UNREADABLE = "SIDECAR_UNREADABLE"  # left in the inbox


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """What a sidecar said."""

    metadata: dict[str, Any] | None = None  #: finite and encodable as UTF-8; None if it was no JSON object
    text: str = ""  #: as it was read, with escapes for what is no text; to be kept where ``metadata`` is None
    warning: SidecarWarning | None = None
    source: Arrival | None = None  #: to be given to ``remove_source`` after the commit; None: it stays in the inbox


def read_sidecar(arrival: Arrival) -> Sidecar:
    """Read ``recording.sidecar``, opened as safely as a recording; never raises for what it finds."""
    try:
        descriptor = open_arrival(arrival)
    except NotTaken:
        return Sidecar(warning=SidecarWarning.SIDECAR_UNREADABLE)
    try:
        device, inode, size, mtime_ns = fingerprint(os.fstat(descriptor))
        data = os.pread(descriptor, MAX_BYTES + 1, 0)
    except OSError:
        return Sidecar(warning=SidecarWarning.SIDECAR_UNREADABLE)
    finally:
        os.close(descriptor)
    if len(data) > MAX_BYTES:
        return Sidecar(warning=SidecarWarning.SIDECAR_TOO_BIG)
    source = replace(arrival, device=device, inode=inode, size=size, mtime_ns=mtime_ns)
    text = data.decode(json.detect_encoding(data), "backslashreplace")
    metadata = _parse(data)
    warning = SidecarWarning.SIDECAR_MALFORMED if metadata is None else None
    return Sidecar(metadata=metadata, text=text, warning=warning, source=source)


def _parse(data: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(data)
        # NaN, infinity and lone surrogates pass the parser, but no database and no other program takes them.
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
