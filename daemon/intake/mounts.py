"""Which file systems lie under a folder, and which of them are on another machine.

inotify sees only what this kernel does: what another machine writes to a share is never reported. So a share is found by
its mount, each sub-folder's mount by itself, and read again and again instead of watched. The state directory, on the
other hand, must not be on a share at all: SQLite's write-ahead log needs a local disk.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

#: The kernel's list of what this process sees mounted, see proc(5).
MOUNTINFO = Path("/proc/self/mountinfo")

#: File systems that other machines (or the host of a virtual machine) can change behind this kernel's back.
_REMOTE = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "coda", "ncpfs", "autofs"),
        *("ceph", "glusterfs", "lustre", "orangefs", "pvfs2", "gpfs", "gfs", "gfs2", "ocfs2", "acfs"),
        *("9p", "virtiofs", "vboxsf", "vmhgfs", "prl_fs"),
    }
)
#: User-space file systems are remote (sshfs, rclone, davfs ...) but for the few that are known to sit on a local disk.
_LOCAL_FUSE = frozenset(
    ["fuse.fuse-overlayfs", "fuse.lxcfs", "fuse.ntfs", "fuse.ntfs-3g", "fuse.exfat", "fuse.ecryptfs"]
)

_ESCAPE = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A mounted file system."""

    point: Path  #: where it is mounted
    kind: str  #: ext4, xfs, cifs, nfs4, fuse.sshfs ...

    @property
    def is_remote(self) -> bool:
        """Whether something else than this kernel can change its files."""
        if self.kind.startswith("fuse."):
            return self.kind not in _LOCAL_FUSE
        return self.kind in _REMOTE


def read_mounts(mountinfo: Path = MOUNTINFO) -> tuple[Mount, ...]:
    """List the mounted file systems in the order of mounting; empty where the kernel does not tell."""
    try:
        lines = mountinfo.read_bytes().splitlines()
    except OSError:
        return ()
    return tuple(mount for line in lines if (mount := _parse(line)) is not None)


def _parse(line: bytes) -> Mount | None:
    """One line: ``id parent major:minor root POINT options [optional fields] - KIND source options``."""
    before, separator, after = line.partition(b" - ")
    fields, rest = before.split(b" "), after.split(b" ")
    if not separator or len(fields) < 6 or not rest[0]:
        return None
    point = _ESCAPE.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), fields[4])
    return Mount(point=Path(os.fsdecode(point)), kind=rest[0].decode("ascii", "replace"))


def mount_of(folder: Path, mounts: tuple[Mount, ...] | None = None) -> Mount | None:
    """Give the mount that holds ``folder`` (which need not exist yet); None where the kernel does not tell."""
    folder = Path(os.path.realpath(folder))
    holding = [mount for mount in _visible(mounts) if folder.is_relative_to(mount.point)]
    return max(holding, key=lambda mount: len(mount.point.parts), default=None)


def mounts_below(folder: Path, mounts: tuple[Mount, ...] | None = None) -> tuple[Mount, ...]:
    """List the mounts inside ``folder``, without the one that holds it."""
    folder = Path(os.path.realpath(folder))
    return tuple(mount for mount in _visible(mounts) if mount.point != folder and mount.point.is_relative_to(folder))


def remote_mounts(folder: Path, mounts: tuple[Mount, ...] | None = None) -> tuple[Mount, ...]:
    """List the mounts at or inside ``folder`` whose changes inotify does not report: these need reading again and again."""
    mounts = read_mounts() if mounts is None else mounts
    holding = mount_of(folder, mounts)
    found = ((holding,) if holding else ()) + mounts_below(folder, mounts)
    return tuple(mount for mount in found if mount.is_remote)


def _visible(mounts: tuple[Mount, ...] | None) -> list[Mount]:
    """Of several mounts on one point only the last is seen."""
    return list({mount.point: mount for mount in (read_mounts() if mounts is None else mounts)}.values())
