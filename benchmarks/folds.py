"""Folds that leave speakers out: what is tested shares neither a speaker nor a phrase with what is trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from medasr.dataset.utterance import Utterance
from medasr.splits import phrase_key

FOLDS = 4


def leave_speakers_out(utterances: Sequence[Utterance]) -> list[tuple[set[str], set[str]]]:
    """The ids that each fold tests and trains; speakers are dealt out so that the folds test about equally many."""
    sizes = Counter(str(one.speaker) for one in utterances)
    groups: list[list[str]] = [[] for _ in range(FOLDS)]
    for speaker, _ in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        min(groups, key=lambda group: sum(sizes[one] for one in group)).append(speaker)
    folds = []
    for group in groups:
        tested = {one.id for one in utterances if str(one.speaker) in group}
        phrases = {phrase_key(one.reference) for one in utterances if one.id in tested}
        trained = {one.id for one in utterances if one.id not in tested and phrase_key(one.reference) not in phrases}
        folds.append((tested, trained))
    return folds
