"""Which utterances a model may learn from and which it is measured on.

The published dataset has 706 phrases in 6,661 recordings. A random split therefore has every test phrase among the training phrases,
and measures memory. What we claim is measured on phrases and speakers that were not trained on.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from medasr.dataset.utterance import PARTS, Utterance
from medasr.errors import DatasetError

SPLITS = ("all", "published", "phrase-disjoint", "phrase-and-speaker-disjoint")

#: How much of the dataset each part gets where we split it.
SHARES = {"train": 0.6, "validate": 0.15, "test": 0.25}


@dataclass(frozen=True, kw_only=True)
class Leak:
    """What one part shares with an earlier one."""

    part: str
    earlier: str
    utterances: int  #: of the part
    shared_phrases: int  #: utterances of the part whose phrase occurs in the earlier part
    shared_speakers: int  #: utterances of the part whose speaker occurs in the earlier part
    shared_recordings: int  #: utterances of the part whose very recording occurs in the earlier part


@dataclass(frozen=True, kw_only=True)
class Leaks:
    """What the parts of a split share with each other."""

    found: tuple[Leak, ...]

    def warnings(self) -> tuple[str, ...]:
        """Every leak in plain words; empty when there is none. No phrase and no speaker is named."""
        return tuple(sentence for leak in self.found for sentence in _sentences(leak))


@dataclass(frozen=True, kw_only=True)
class Split:
    """The ids of each part, sorted."""

    name: str
    parts: Mapping[str, tuple[str, ...]]
    unused: tuple[str, ...]  #: in no part: they would leak wherever they stood
    leaks: Leaks

    @cached_property
    def sha256(self) -> str:
        """Of the name and the ids of each part."""
        content = [self.name, {part: list(ids) for part, ids in self.parts.items()}]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def part(self, name: str) -> tuple[str, ...]:
        """The ids of a part. Raise DatasetError when the split has no such part or nothing is in it."""
        if not self.parts.get(name):
            known = ", ".join(part for part, ids in self.parts.items() if ids) or "none"
            raise DatasetError(
                f"the split {self.name} of this dataset has nothing in its part {name}; with utterances: {known}"
            )
        return self.parts[name]


def split_utterances(utterances: Iterable[Utterance], name: str, *, seed: int = 0) -> Split:
    """Split a dataset; the result does not depend on the order of the utterances.

    Given the name of a split (one of :data:`SPLITS`): ``all`` has everything in its part test; ``published`` keeps the parts of the
    source; ``phrase-disjoint`` gives each phrase to one part; ``phrase-and-speaker-disjoint`` each phrase and each speaker, and what
    combines a speaker of one part with a phrase of another is unused. Raise DatasetError for an unknown name, for a source
    without parts or speakers where they are needed.
    """
    ordered = sorted(utterances, key=lambda one: one.id)
    if name == "all":
        parts = {one.id: "test" for one in ordered}
    elif name == "published":
        parts = _published(ordered)
    elif name == "phrase-disjoint":
        phrases = _share_out(Counter(phrase_key(one.reference) for one in ordered), SHARES, seed)
        parts = {one.id: phrases[phrase_key(one.reference)] for one in ordered}
    elif name == "phrase-and-speaker-disjoint":
        parts = _doubly_disjoint(ordered, SHARES, seed)
    else:
        raise DatasetError(f'there is no split "{name}"; known are {", ".join(SPLITS)}')
    return _make(name, ordered, parts)


def crossed_folds(utterances: Iterable[Utterance], count: int, *, seed: int = 0) -> tuple[Split, ...]:
    """Make ``count`` splits of which each tests other speakers on phrases that it does not train, so that all speakers are tested once.

    In fold *n* the speakers of group *n* are tested on the phrases of group *n*; the speakers and phrases of all other groups train.
    Raise DatasetError when there are fewer speakers or phrases than folds.
    """
    ordered = sorted(utterances, key=lambda one: one.id)
    _require_speakers(ordered, count)
    groups = {str(number): 1 / count for number in range(count)}
    phrases = _share_out(Counter(phrase_key(one.reference) for one in ordered), groups, seed)
    speakers = _share_out(Counter(str(one.speaker) for one in ordered), groups, seed)
    folds = []
    for fold in groups:
        parts = {}
        for one in ordered:
            tested = speakers[str(one.speaker)] == fold, phrases[phrase_key(one.reference)] == fold
            if tested[0] == tested[1]:
                parts[one.id] = "test" if tested[0] else "train"
        folds.append(_make(f"crossed-{count}-{int(fold) + 1}", ordered, parts))
    return tuple(folds)


def find_leaks(utterances: Iterable[Utterance], parts: Mapping[str, Sequence[str]]) -> Leaks:
    """Given a dataset and the ids of each part, say what parts share: phrases, speakers, recordings."""
    by_id = {one.id: one for one in utterances}
    named = [(part, [by_id[key] for key in parts[part]]) for part in PARTS if parts.get(part)]
    leaks = []
    for number, (part, later) in enumerate(named):
        for earlier, before in named[:number]:
            leaks.append(_leak(part, later, earlier, before))
    return Leaks(
        found=tuple(leak for leak in leaks if leak.shared_phrases or leak.shared_speakers or leak.shared_recordings)
    )


def phrase_key(reference: str) -> str:
    """What two references have in common when they are the same phrase: their letters and digits, case folded."""
    return re.sub(r"[\W_]+", " ", re.sub("['’]", "", reference.casefold())).strip()


def _published(utterances: Sequence[Utterance]) -> dict[str, str]:
    parts = {one.id: one.part for one in utterances if one.part in PARTS}
    if not parts:
        raise DatasetError(
            "this dataset names no parts (train, validate, test); choose another split: " + ", ".join(SPLITS[2:])
        )
    return {key: str(part) for key, part in parts.items()}


def _doubly_disjoint(utterances: Sequence[Utterance], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """No speaker and no phrase in two parts; several ways are tried, and the one that uses most is taken.

    Where phrases return again and again, speakers and phrases are shared out each, and an utterance is used where both fall into the
    same part: of the shares alone half would be lost, but some ways are far better than others. Where most phrases are said once,
    it costs far less to share out the speakers alone, and to leave out of a part what a later one says too.
    """
    _require_speakers(utterances, len(shares))
    ways = [_crossed(utterances, shares, seed * 1000 + attempt) for attempt in range(20)]
    ways += [_speakers_first(utterances, shares, seed * 1000 + attempt) for attempt in range(40)]
    return max(ways, key=lambda parts: _usefulness(utterances, parts, shares))


def _crossed(utterances: Sequence[Utterance], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Speakers and phrases are shared out each; an utterance is used where both fall into the same part."""
    by_speaker = _share_out(Counter(str(one.speaker) for one in utterances), shares, seed)
    by_phrase = _share_out(Counter(phrase_key(one.reference) for one in utterances), shares, seed)
    return {
        one.id: by_speaker[str(one.speaker)]
        for one in utterances
        if by_speaker[str(one.speaker)] == by_phrase[phrase_key(one.reference)]
    }


def _speakers_first(utterances: Sequence[Utterance], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Speakers are shared out in a random order; what a part says that a later one says too is left out of it."""
    sizes = Counter(str(one.speaker) for one in utterances)
    order = sorted(sizes)
    random.Random(seed).shuffle(order)  # noqa: S311 - repeatable, not secret
    by_speaker = _give(order, sizes, shares)
    last: dict[str, int] = {}
    ranks = {part: rank for rank, part in enumerate(PARTS)}
    for one in utterances:
        phrase = phrase_key(one.reference)
        last[phrase] = max(last.get(phrase, 0), ranks[by_speaker[str(one.speaker)]])
    parts = {one.id: by_speaker[str(one.speaker)] for one in utterances}
    return {one.id: parts[one.id] for one in utterances if ranks[parts[one.id]] == last[phrase_key(one.reference)]}


def _usefulness(utterances: Sequence[Utterance], parts: Mapping[str, str], shares: Mapping[str, float]) -> float:
    """How large the part is that starves most, for its share; a test of few speakers says little of others."""
    sizes = Counter(parts.values())
    tested = len({one.speaker for one in utterances if parts.get(one.id) == "test"})
    return min(sizes[part] / share for part, share in shares.items()) * (1 - 0.5 / max(tested, 1))


def _share_out(sizes: Mapping[str, int], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Give each group to a part so that the parts are as large as their shares say, the largest groups first."""
    order = sorted(sizes)
    random.Random(seed).shuffle(order)  # noqa: S311 - repeatable, not secret
    order.sort(key=lambda group: -sizes[group])
    return _give(order, sizes, shares)


def _give(order: Sequence[str], sizes: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, str]:
    """Give each group in turn to the part in which most is missing; every part gets a group before any gets a second one."""
    total = sum(sizes.values())
    filled: Counter[str] = Counter()
    given: dict[str, str] = {}
    for group in order:
        empty = [part for part in shares if not filled[part]]
        part = max(empty or shares, key=lambda name: shares[name] * total - filled[name])
        given[group] = part
        filled[part] += sizes[group]
    return given


def _require_speakers(utterances: Sequence[Utterance], count: int) -> None:
    if any(one.speaker is None for one in utterances):
        raise DatasetError(
            "this dataset does not name the speaker of every utterance; choose the split phrase-disjoint"
        )
    speakers = len({one.speaker for one in utterances})
    phrases = len({phrase_key(one.reference) for one in utterances})
    if min(speakers, phrases) < count:
        raise DatasetError(
            f"{speakers} speakers and {phrases} phrases cannot be split {count} ways; choose the split phrase-disjoint"
        )


def _make(name: str, utterances: Sequence[Utterance], parts: Mapping[str, str]) -> Split:
    ids: dict[str, list[str]] = defaultdict(list)
    for one in utterances:
        if one.id in parts:
            ids[parts[one.id]].append(one.id)
    sorted_parts = {part: tuple(sorted(ids[part])) for part in PARTS}
    unused = tuple(one.id for one in utterances if one.id not in parts)
    return Split(name=name, parts=sorted_parts, unused=unused, leaks=find_leaks(utterances, sorted_parts))


def _leak(part: str, later: Sequence[Utterance], earlier: str, before: Sequence[Utterance]) -> Leak:
    phrases = {phrase_key(one.reference) for one in before}
    speakers = {one.speaker for one in before} - {None}
    recordings = {one.audio_sha256 for one in before}
    return Leak(
        part=part,
        earlier=earlier,
        utterances=len(later),
        shared_phrases=sum(phrase_key(one.reference) in phrases for one in later),
        shared_speakers=sum(one.speaker in speakers for one in later),
        shared_recordings=sum(one.audio_sha256 in recordings for one in later),
    )


def _sentences(leak: Leak) -> Iterable[str]:
    consequences = (
        (leak.shared_phrases, "say a phrase that", "a model may have learned them by heart"),
        (leak.shared_speakers, "are by a speaker who", "new voices may fare worse"),
        (leak.shared_recordings, "are recordings that", "the model has heard them"),
    )
    for count, what, so in consequences:
        if count:
            share = 100 * count / leak.utterances
            yield f"{count} of {leak.utterances} {leak.part} utterances ({share:.0f} %) {what} is also in {leak.earlier}: {so}"
