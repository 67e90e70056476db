"""Which words of a hypothesis stand for which words of its reference: minimal edit alignments, by jiwer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from medasr.metrics.scores import AlignedWords, Edit, EditCounts


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """Consecutive words (or characters) of which the same became; ranges of indices, either may be empty."""

    edit: Edit
    reference: range
    hypothesis: range


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """Where each word of one text went in the other: the place of word ``n`` is ``starts[n]`` to ``ends[n]``, empty for a lost one."""

    starts: list[int]
    ends: list[int]
    equal: list[bool]  #: whether the same word stands there
    length: int  #: words of the other text

    def is_equal(self, words: range) -> bool:
        """Whether all of ``words`` stand in the other text."""
        return all(self.equal[words.start : words.stop])

    def exactly(self, words: range) -> range:
        """Give the place of ``words``."""
        return range(self.starts[words.start], self.ends[words.stop - 1])

    def around(self, words: range) -> range:
        """Give the place of ``words`` with what stands there additionally, before and behind it."""
        start = self.ends[words.start - 1] if words.start else 0
        stop = self.starts[words.stop] if words.stop < len(self.starts) else self.length
        return range(start, stop)


@dataclass(frozen=True, kw_only=True, slots=True)
class Traces:
    """An alignment word by word, from either side."""

    reference: Trace  #: of the reference's words, in the hypothesis
    hypothesis: Trace  #: of the hypothesis's words, in the reference


def collapse(text: str) -> str:
    """Give the words of ``text`` with one space between them: the form in which all texts are aligned."""
    return " ".join(text.split())


def align_words(reference: str, hypothesis: str) -> tuple[Stretch, ...]:
    """Align two collapsed texts word by word, with as few errors as possible. Either may be empty."""
    from jiwer import process_words

    return _align(process_words, reference, hypothesis, lengths=(len(reference.split()), len(hypothesis.split())))


def align_characters(reference: str, hypothesis: str) -> tuple[Stretch, ...]:
    """Align two collapsed texts character by character, spaces included. Either may be empty."""
    from jiwer import process_characters

    return _align(process_characters, reference, hypothesis, lengths=(len(reference), len(hypothesis)))


def count_edits(stretches: Iterable[Stretch]) -> EditCounts:
    """Count what an alignment consists of."""
    counts = dict.fromkeys(Edit, 0)
    for stretch in stretches:
        counts[stretch.edit] += max(len(stretch.reference), len(stretch.hypothesis))
    return EditCounts(
        hits=counts[Edit.EQUAL],
        substitutions=counts[Edit.SUBSTITUTE],
        deletions=counts[Edit.DELETE],
        insertions=counts[Edit.INSERT],
    )


def describe(
    stretches: Iterable[Stretch], reference: Sequence[str], hypothesis: Sequence[str]
) -> Iterable[AlignedWords]:
    """Give the words of each stretch."""
    for stretch in stretches:
        yield AlignedWords(
            edit=stretch.edit,
            reference=words_in(stretch.reference, reference),
            hypothesis=words_in(stretch.hypothesis, hypothesis),
        )


def words_in(places: range, words: Sequence[str]) -> str:
    """Give the words at ``places``, joined by spaces."""
    return " ".join(words[places.start : places.stop])


def trace_words(stretches: Sequence[Stretch], reference: int, hypothesis: int) -> Traces:
    """Follow an alignment of so many words of the reference and of the hypothesis."""
    there = [(one.reference, one.hypothesis, one.edit is Edit.EQUAL) for one in stretches]
    back = [(one.hypothesis, one.reference, one.edit is Edit.EQUAL) for one in stretches]
    return Traces(reference=_trace(there, hypothesis), hypothesis=_trace(back, reference))


def _align(
    process: Callable[[str, str], Any], reference: str, hypothesis: str, *, lengths: tuple[int, int]
) -> tuple[Stretch, ...]:
    """Align with ``process``. What jiwer does with an empty text changed between its versions, so it is not asked."""
    if not reference and not hypothesis:
        return ()
    if not reference or not hypothesis:
        edit = Edit.DELETE if reference else Edit.INSERT
        return (Stretch(edit=edit, reference=range(lengths[0]), hypothesis=range(lengths[1])),)
    (chunks,) = process(reference, hypothesis).alignments
    return tuple(
        Stretch(
            edit=Edit(chunk.type),
            reference=range(chunk.ref_start_idx, chunk.ref_end_idx),
            hypothesis=range(chunk.hyp_start_idx, chunk.hyp_end_idx),
        )
        for chunk in chunks
    )


def _trace(stretches: Iterable[tuple[range, range, bool]], length: int) -> Trace:
    starts, ends, equal = [], [], []
    for own, other, is_equal in stretches:
        for step in range(len(own)):
            starts.append(min(other.start + step, other.stop))
            ends.append(min(other.start + step + 1, other.stop))
            equal.append(is_equal)
    return Trace(starts=starts, ends=ends, equal=equal, length=length)
