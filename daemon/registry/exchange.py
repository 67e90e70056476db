"""Versions on their way out and in: as a folder that peft loads, as a merged model, to and from a model hub."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.registry.naming import is_version_name
from daemon.registry.serving import resolve
from medasr.errors import FatalError, ModelError, PackUnavailable, TransientError
from medasr.packs import locate
from medasr.whisper.manifest import CARD_FILE, CONFIG_FILE, HEARD_FILE, MANIFEST_FILE, WEIGHTS_FILE, verify_adapter

if TYPE_CHECKING:
    from daemon.config import Config

#: What is sent to a hub and taken from one: tensors, JSON, and the card. Nothing else is asked for.
FILES = (WEIGHTS_FILE, CONFIG_FILE, MANIFEST_FILE, HEARD_FILE, CARD_FILE)

_REPOSITORY = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
_REVISION = "[0-9a-f]{40}"


def is_hub_name(text: str) -> bool:
    """Whether a text names a repository at a revision rather than a folder."""
    return re.fullmatch(f"{_REPOSITORY}@.*", text, re.ASCII) is not None


def export_adapter(config: Config, name: str, target: Path) -> Path:
    """Write a version's files into the new folder ``target``, hashed before and after; peft loads it. Return the folder.

    Raise FatalError when the folder exists or the name stands for no adapter, ModelError when the version's files were altered.
    """
    source = adapter_of(config, name)
    with _appearing(target) as built:
        for file in FILES:
            if (source / file).is_file():
                shutil.copyfile(source / file, built / file)
        verify_adapter(built)
    return target


def export_merged(config: Config, name: str, target: Path) -> Path:
    """Write a version merged into its base, in full precision, into the new folder ``target``. Raise as :func:`export_adapter`."""
    from medasr.whisper.merging import merge

    source = adapter_of(config, name)
    base = locate(config.paths.models, resolve(config, name).base)
    with _appearing(target) as built:
        merge(base.path, source, built)
    return target


def adapter_of(config: Config, name: str) -> Path:
    """The folder of the adapter that a name stands for, hashed. Raise FatalError when it has none, ModelError when it was altered."""
    model = resolve(config, name)
    if not model.adapter:
        raise FatalError(f"{name} is a base without an adapter; `medasrd models list` shows the versions that have one")
    folder = Path(model.adapter)
    verify_adapter(folder)
    return folder


def push(config: Config, name: str, repository: str) -> str:
    """Send a version to a private repository of a hub, which is made if there is none; return the commit.

    Raise FatalError when ``repository`` is no ORG/NAME, ModelError when the hub refuses, PackUnavailable when it is not reached.
    """
    if not re.fullmatch(_REPOSITORY, repository, re.ASCII):
        raise FatalError(f"{repository!r} is no repository of a hub; name it ORG/NAME")
    folder = adapter_of(config, name)
    from huggingface_hub import HfApi

    with _translated(repository):
        api = HfApi()
        api.create_repo(repository, private=True, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=list(FILES),
            commit_message=f"{folder.name if is_version_name(folder.name) else 'adapter'} from medasr",
        )
    return str(commit.oid)


@contextmanager
def fetched(name: str) -> Iterator[Path]:
    """A folder with the adapter of a hub repository, ``ORG/NAME@REVISION``; gone afterwards.

    Raise FatalError for a name without the 40 digits of a commit, ModelError or PackUnavailable as :func:`push`.
    """
    repository, _, revision = name.partition("@")
    if not re.fullmatch(_REVISION, revision):
        raise FatalError(
            f"{name!r} does not fix a revision, so other weights could come tomorrow; name one as {repository}@ followed by the 40 "
            "hexadecimal digits of a commit"
        )
    with tempfile.TemporaryDirectory(prefix="medasrd-") as place:
        from huggingface_hub import snapshot_download

        with _translated(name):
            snapshot_download(repository, revision=revision, local_dir=place, allow_patterns=list(FILES))
        yield Path(place)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Say what a hub's errors mean here."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HTTPError,
        LocalTokenNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    login = "run `hf auth login` first, with an account that may do so"
    try:
        yield
    except (GatedRepoError, LocalTokenNotFoundError) as error:
        raise ModelError(f"the hub asks for an account with access to {name}; {login}") from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ModelError(
            f"the hub does not have {name}, or not for this account; check the name, or {login}"
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403):
            raise ModelError(f"the hub refuses access to {name}; {login}") from error
        raise PackUnavailable(f"the hub answered with status {status} for {name}; try again later") from error
    except (HTTPError, ConnectionError, FileNotFoundError, RuntimeError) as error:
        # huggingface_hub reports an unreachable hub as a missing local file, and its Rust half everything as RuntimeError.
        raise PackUnavailable(
            f"the hub could not be reached for {name}; check the network and that HF_HUB_OFFLINE is not set, or carry the version over "
            "as a folder: medasrd models export, medasrd models import"
        ) from error


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """A hidden folder beside ``target`` that gets its name when all went well, and goes when it did not."""
    target = target.expanduser().absolute()
    if os.path.lexists(target):
        raise FatalError(f"{target} exists already; name a folder that does not, so that nothing is overwritten")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as place:
            built = Path(place) / "export"
            built.mkdir(mode=0o700)
            yield built
            for path in built.iterdir():
                path.chmod(0o600)
                with path.open("rb") as written:
                    os.fsync(written.fileno())
            built.rename(target)
    except OSError as error:
        raise TransientError(
            f"{target} cannot be written ({error.strerror}); make room, or name another folder"
        ) from error
