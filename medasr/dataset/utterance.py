"""What a dataset is made of, wherever it came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, Protocol

#: The parts of a dataset or split, in the order in which they are used.
PARTS = ("train", "validate", "test")


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One recording of a dataset and what is said in it. The recording itself: :meth:`Dataset.open_audio`."""

    id: str  #: unique within the dataset, and the same wherever the dataset is loaded from: the file's name without its suffix
    reference: str  #: what is said, as published
    speaker: str | None
    prompt: str | None  #: what the speaker was asked to talk about
    part: str | None  #: train, validate or test as published; None where the source has no parts
    audio_sha256: str  #: of the recording's bytes


class ExclusionReason(StrEnum):
    """Why an entry of a dataset is not used; shown and counted, never silent."""

    NO_REFERENCE = "NO_REFERENCE"  # the text is missing or blank
    NO_AUDIO = "NO_AUDIO"  # the named recording does not exist, or its row holds no bytes
    UNREADABLE = "UNREADABLE"  # it exists and cannot be read as audio
    NO_ENTRY = "NO_ENTRY"  # a recording lies there that no entry names
    DUPLICATE_ID = "DUPLICATE_ID"  # an earlier entry has the same id
    DUPLICATE = "DUPLICATE"  # the same bytes with the same text as an earlier entry
    CONFLICTING = "CONFLICTING"  # the same bytes with another text than an earlier entry: nobody knows which is true
    OUTSIDE = "OUTSIDE"  # the path leads out of the dataset's folder
    MALFORMED = "MALFORMED"  # a line of the manifest that cannot be understood
    TOO_SHORT = "TOO_SHORT"
    TOO_LONG = "TOO_LONG"
    SILENT = "SILENT"
    CLIPPED = "CLIPPED"
    NOISY = "NOISY"
    AMBIGUOUS = "AMBIGUOUS"  # characters in the text that nobody speaks
    EMPTY_REFERENCE = "EMPTY_REFERENCE"  # nothing is left of the reference after normalization
    NO_HYPOTHESIS = "NO_HYPOTHESIS"  # the recording could not be transcribed


@dataclass(frozen=True, kw_only=True)
class Exclusion:
    """An entry that is not used, and why."""

    id: str  #: the utterance's id, or FILE:LINE where there is none
    reason: ExclusionReason
    detail: str = ""  #: a figure or code, e.g. "0.21 s"; never the text


class Dataset(Protocol):
    """Utterances whose memory does not grow with their number, and their recordings."""

    @property
    def source(self) -> str:
        """Where it came from, for people: a folder's name, or the hub id with its revision."""
        ...

    @property
    def sha256(self) -> str:
        """Of ids, references, speakers, prompts, parts and recordings of all utterances: equal datasets are equal to the byte."""
        ...

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """Entries that could not be loaded."""
        ...

    def __len__(self) -> int:
        """How many utterances there are."""
        ...

    def __iter__(self) -> Iterator[Utterance]:
        """The utterances, ordered by id, read as they are needed."""
        ...

    def open_audio(self, utterance: Utterance) -> BinaryIO:
        """The recording as a real open file (it has a descriptor), for the caller to close; raise DatasetError when it is gone."""
        ...
