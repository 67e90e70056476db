"""Which recordings have a list of terms, and what stands in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from daemon.intake.names import folded
from daemon.sections import InboxFolder, Section
from medasr.lexicon.term_list import read_term_list
from medasr.types import TermLists


def _is_named(folder: str) -> str:
    if not folder:
        raise ValueError('a list needs a sub-folder of the inbox, e.g. cardiology = "terms/cardiology.txt"')
    return folder


ListFolder = Annotated[InboxFolder, AfterValidator(_is_named)]


class Bias(Section):
    """Terms that are preferred where they are heard nearly as well as other words, by folder of the inbox. Measure first: docs/decoding.md."""

    lists: dict[ListFolder, Path] = Field(
        {},
        description='Sub-folder of the inbox = file with one term a line, or CSV as in lexicon.extra; e.g. { cardiology = "terms/heart.txt" }.',
    )
    weight: float = Field(
        1.0, gt=0, le=10, description="What a term earns for each of its tokens; natural logarithm of a probability."
    )
    maximum: float = Field(4.0, gt=0, le=20, description="What a whole term earns at most.")

    def list_for(self, label: str) -> str:
        """Given a recording's label, return the folder with a list in which it was dropped, the deepest one; empty for none."""
        parts = _folded(label)
        fitting = [folder for folder in self.lists if parts[: folder.count("/") + 1] == _folded(folder)]
        return max(fitting, key=lambda folder: folder.count("/"), default="")


def _folded(folder: str) -> list[str]:
    return [folded(part) for part in folder.split("/")]


def term_lists(bias: Bias, files: Mapping[str, Path]) -> TermLists:
    """The lists of terms in these files, under their names; raise ConfigurationError for one that cannot be used."""
    lists = {name: read_term_list(file) for name, file in files.items()}
    return TermLists(lists=lists, weight=bias.weight, maximum=bias.maximum)
