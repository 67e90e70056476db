"""What follows from a file that was copied: its entry in the store, and what has to be removed and watched afterwards."""

from __future__ import annotations

from dataclasses import dataclass

from daemon.intake import sidecar, spool
from daemon.intake.arrival import Arrival
from daemon.intake.names import printable_name, safe_stem
from daemon.store.recordings import Copy


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A file whose copy is durable, and what has to follow."""

    arrival: Arrival
    copy: Copy
    descriptor: int
    sidecar: Arrival | None = None
    late: bool = False  # copied from the descriptor of an original that is gone


def taken_from(arrival: Arrival, descriptor: int, copied: spool.Copied, *, urgent: bool) -> Taken:
    """A copied file with the metadata that lay beside it."""
    beside = sidecar.read_sidecar(arrival.sidecar) if arrival.sidecar else sidecar.Sidecar()
    metadata = beside.metadata or ({"text": beside.text} if beside.text else None)
    copy = copy_of(arrival, copied, metadata=metadata, warning=beside.warning, urgent=urgent)
    return Taken(arrival=arrival, copy=copy, descriptor=descriptor, sidecar=beside.source)


def copy_of(
    arrival: Arrival,
    copied: spool.Copied,
    *,
    metadata: dict[str, object] | None,
    warning: str | None,
    urgent: bool,
) -> Copy:
    """The store's entry for a copied file."""
    return Copy(
        id=copied.recording_id,
        sha256=copied.sha256,
        size=copied.size,
        name=printable_name(arrival.name_bytes),
        name_bytes=arrival.name_bytes,
        stem=safe_stem(arrival.name_bytes),
        label=arrival.label,
        device=arrival.device,
        inode=arrival.inode,
        mtime_ns=arrival.mtime_ns,
        sidecar=metadata,
        warning=warning,
        urgent=urgent,
    )


def recovered(orphan: spool.Copied) -> Copy:
    """The store's entry for a copy whose name nobody knows any more."""
    name = f"recovered-{orphan.recording_id[:8]}"
    return Copy(
        id=orphan.recording_id,
        sha256=orphan.sha256,
        size=orphan.size,
        name=name,
        name_bytes=name.encode(),
        stem=name,
        label="",
        device=0,
        inode=0,
        mtime_ns=0,
        warning="RECOVERED",
    )


def as_copied(copy: Copy) -> spool.Copied:
    """The copy as the spool knows it."""
    return spool.Copied(recording_id=copy.id, sha256=copy.sha256, size=copy.size)
