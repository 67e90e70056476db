"""What in an inbox is no recording, decided by name and by status alone: nothing is opened."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from daemon.intake.arrival import IgnoreCode
from daemon.intake.names import split_suffix

#: Files and folders that operating systems, network storage and synchronization programs leave behind.
_SYSTEM_NAMES = frozenset(
    {
        *(".ds_store", ".appledouble", ".spotlight-v100", ".fseventsd", ".trashes", "__macosx", "icon\r"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
        *("@eadir", "#recycle", "#snapshot", ".snapshot", "lost+found"),
        *(".stfolder", ".stversions", ".stignore", ".sync", ".dropbox.cache"),
    }
)
_SYSTEM_PREFIXES = ("._", ".trash-", ".nfs", ".smbdelete", ".fuse_hidden")

#: Names that programs give to what they have not finished writing.
_TEMPORARY = re.compile(
    r"(\.(part|partial|tmp|temp|crdownload|download|opdownload|filepart|incomplete|uploading|upload|lock|lck|sw[px])|~)$"
    r"|^(~\$|\.~lock\.)"
)

#: Metadata beside a recording.
SIDECAR_SUFFIX = ".json"


@dataclass(frozen=True, kw_only=True)
class InboxRules:
    """What is looked for in the inbox."""

    extensions: tuple[str, ...]  #: names to take, without the dot, in any case
    max_files: int = 50_000  #: files given by one scan; bounds the memory, the next scans give the rest
    max_ignored: int = 1_000  #: ignored names listed by one scan; all are counted
    max_depth: int = 16  #: levels of sub-folders

    @cached_property
    def suffixes(self) -> frozenset[str]:
        """The extensions as they end a name."""
        return frozenset("." + extension.lower().lstrip(".") for extension in self.extensions)

    def takes(self, name: str) -> bool:
        """Whether a recording may have this name."""
        return split_suffix(name)[1].lower() in self.suffixes


def judge_name(name: str) -> IgnoreCode | None:
    """Say why a file or folder of this name is left alone; None if the name is no reason."""
    lowered = name.lower()
    if lowered in _SYSTEM_NAMES or lowered.startswith(_SYSTEM_PREFIXES):
        return IgnoreCode.SYSTEM
    if _TEMPORARY.search(lowered):
        return IgnoreCode.TEMPORARY
    return IgnoreCode.HIDDEN if name.startswith(".") else None


def judge_status(status: os.stat_result, owners: frozenset[int]) -> IgnoreCode | None:
    """Say why a file of this status is left alone; None if it is a regular file that may be taken.

    ``owners`` are the user ids whose files may have further names (see :func:`trusted_owners`).
    """
    if stat.S_ISREG(status.st_mode):
        return IgnoreCode.HARD_LINK if status.st_nlink > 1 and status.st_uid not in owners else None
    if stat.S_ISLNK(status.st_mode):
        return IgnoreCode.SYMLINK
    if stat.S_ISFIFO(status.st_mode):
        return IgnoreCode.FIFO
    if stat.S_ISSOCK(status.st_mode):
        return IgnoreCode.SOCKET
    return IgnoreCode.FOLDER if stat.S_ISDIR(status.st_mode) else IgnoreCode.DEVICE


def trusted_owners(owners: Iterable[int]) -> frozenset[int]:
    """Of us and the inbox's owner, those whose hard links are taken: never root's.

    A further name for a file of another user is how somebody who may write to the inbox could make us read, and then
    hand out as a recording, a file that he may not read himself.
    """
    return frozenset(owners) - {0}
