"""The word error rate under any text normalizer, for comparison with figures that others publish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medasr.metrics.alignment import align_words, collapse, count_edits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def word_error_rate(pairs: Iterable[tuple[str, str]], normalizer: Callable[[str], str]) -> float | None:
    """Given references with their hypotheses, return the errors per word of the references in percent; None without a word."""
    errors = words = 0
    for reference, hypothesis in pairs:
        said = collapse(normalizer(reference))
        if said:
            counts = count_edits(align_words(said, collapse(normalizer(hypothesis))))
            errors += counts.errors
            words += counts.reference_length
    return 100 * errors / words if words else None
