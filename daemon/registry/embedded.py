"""The adapters that come with the program: one folder for each base that has one."""

from __future__ import annotations

from pathlib import Path

import medasr
from daemon.registry.naming import is_folder_name

#: Where they lie in the package; absent in one that ships none.
EMBEDDED = Path(medasr.__file__).parent / "data" / "adapters"


def embedded_adapter(base_id: str, folder: Path = EMBEDDED) -> Path | None:
    """The embedded adapter for a base; None where there is none."""
    found = folder / base_id
    return found if is_folder_name(base_id) and (found / "medasr.json").is_file() else None
