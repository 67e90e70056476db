"""The figures of an exploration: everything the report shows, as plain numbers and texts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from medasr.dataset.utterance import Dataset, Exclusion, ExclusionReason, Utterance
from medasr.errors import DatasetError
from medasr.exploration.coverage import TermCoverage, cover_terms
from medasr.exploration.distribution import Distribution, describe
from medasr.exploration.noise import NoiseFacts, compare_noise
from medasr.exploration.partition import SplitFacts, describe_split
from medasr.lexicon import Lexicon
from medasr.preparation import Influence, MeasuredUtterance, Preparation, find_ambiguous
from medasr.splits import SPLITS, Split, split_utterances
from medasr.text.normalizers import TextNormalizer

SCHEMA = "medasr.exploration/1"


@dataclass(frozen=True, kw_only=True)
class ColumnFacts:
    """What is missing from a column of the dataset, and what stands in it more than once."""

    column: str
    missing: int  #: entries without a value, those that could not be used among them
    distinct: int  #: different values among the utterances
    repeated: int  #: entries whose value an earlier entry has already


@dataclass(frozen=True, kw_only=True)
class GroupFacts:
    """The recordings that share a prompt or a speaker."""

    name: str
    recordings: int
    seconds: float
    phrases: int


@dataclass(frozen=True, kw_only=True)
class AmbiguousText:
    """A reference with characters that nobody can speak, so nobody knows what was said."""

    id: str
    text: str
    characters: str  #: those characters, each once


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a dataset holds. Counts are of recordings unless they say otherwise; times are seconds, levels dBFS."""

    source: str
    sha256: str
    recordings: int  #: utterances that could be loaded
    seconds: float  #: of those that could be measured
    words: int
    vocabulary: int  #: different words after normalization
    sentences: int  #: different texts as published
    phrases: int  #: different texts after normalization
    unusable: dict[str, int]  #: reason → entries that could not be loaded
    formats: dict[str, int]  #: container, encoding and channels → recordings
    columns: tuple[ColumnFacts, ...]
    splits: tuple[SplitFacts, ...]
    impossible_splits: dict[str, str]  #: name → why this dataset cannot be split so
    sample_rates: dict[int, int]  #: Hz → recordings
    durations: Distribution | None
    levels: Distribution | None  #: RMS
    noise: NoiseFacts
    lengths: Distribution | None  #: words a text
    ambiguous: tuple[AmbiguousText, ...]
    prompts: tuple[GroupFacts, ...]  #: most recordings first
    speakers: tuple[GroupFacts, ...]
    terms: TermCoverage
    influence: Influence
    preparation: Preparation


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was found out about a dataset before it is summed up."""

    dataset: Dataset
    measured: Sequence[MeasuredUtterance]
    preparation: Preparation
    influence: Influence


def survey(found: Findings, lexicon: Lexicon, normalizer: TextNormalizer) -> Survey:
    """Sum up a dataset; the result depends on the arguments alone."""
    utterances = list(found.dataset)
    seconds = {one.utterance.id: one.facts.seconds for one in found.measured}
    splits, impossible = _split_all_ways(utterances)
    normalized = {one.id: normalizer(one.reference) for one in utterances}
    facts = [one.facts for one in found.measured]
    formats = Counter(f"{one.container} {one.encoding}, {_channels(one.channels)}" for one in facts)
    return Survey(
        source=found.dataset.source,
        sha256=found.dataset.sha256,
        recordings=len(utterances),
        seconds=sum(seconds.values()),
        words=sum(len(text.split()) for text in normalized.values()),
        vocabulary=len({word for text in normalized.values() for word in text.split()}),
        sentences=len({one.reference for one in utterances}),
        phrases=len(set(normalized.values()) - {""}),
        unusable=dict(Counter(str(one.reason) for one in found.dataset.exclusions).most_common()),
        formats=dict(formats.most_common()),
        columns=_columns(utterances, found.dataset.exclusions),
        splits=tuple(describe_split(split, utterances, seconds) for split in splits),
        impossible_splits=impossible,
        sample_rates=dict(sorted(Counter(one.sample_rate for one in facts).items())),
        durations=describe((one.seconds for one in facts), "s"),
        levels=describe((one.rms_dbfs for one in facts), "dBFS"),
        noise=compare_noise([(one.mean_absolute, one.snr_db) for one in found.measured]),
        lengths=describe((len(one.reference.split()) for one in utterances), "words", whole=True),
        ambiguous=_ambiguous(utterances, found.preparation.rules.ambiguous),
        prompts=_groups(utterances, seconds, lambda one: one.prompt),
        speakers=_groups(utterances, seconds, lambda one: one.speaker),
        terms=cover_terms(utterances, lexicon, splits),
        influence=found.influence,
        preparation=found.preparation,
    )


def survey_document(survey: Survey) -> dict[str, Any]:
    """A survey as JSON; the keys are documented in docs/exploration.md."""
    return {"schema": SCHEMA, **asdict(survey)}


def _split_all_ways(utterances: Sequence[Utterance]) -> tuple[list[Split], dict[str, str]]:
    splits, impossible = [], {}
    for name in SPLITS[1:]:
        try:
            splits.append(split_utterances(utterances, name))
        except DatasetError as error:
            impossible[name] = str(error)
    return splits, impossible


def _columns(utterances: Sequence[Utterance], exclusions: Iterable[Exclusion]) -> tuple[ColumnFacts, ...]:
    lost = Counter(one.reason for one in exclusions)
    copies = lost[ExclusionReason.DUPLICATE] + lost[ExclusionReason.CONFLICTING]
    columns: tuple[tuple[str, list[str | None], int, int], ...] = (
        ("text", [one.reference for one in utterances], lost[ExclusionReason.NO_REFERENCE], 0),
        ("recording", [one.audio_sha256 for one in utterances], lost[ExclusionReason.NO_AUDIO], copies),
        ("prompt", [one.prompt for one in utterances], 0, 0),
        ("speaker", [one.speaker for one in utterances], 0, 0),
        ("part", [one.part for one in utterances], 0, 0),
    )
    facts = []
    for name, values, missing, repeated in columns:
        known = [value for value in values if value is not None]
        distinct = len(set(known))
        facts.append(
            ColumnFacts(
                column=name,
                missing=len(values) - len(known) + missing,
                distinct=distinct,
                repeated=len(known) - distinct + repeated,
            )
        )
    return tuple(facts)


def _ambiguous(utterances: Iterable[Utterance], characters: str) -> tuple[AmbiguousText, ...]:
    return tuple(
        AmbiguousText(id=one.id, text=one.reference, characters=found)
        for one in utterances
        if (found := find_ambiguous(one.reference, characters))
    )


def _groups(
    utterances: Iterable[Utterance], seconds: dict[str, float], key: Callable[[Utterance], str | None]
) -> tuple[GroupFacts, ...]:
    groups: defaultdict[str, list[Utterance]] = defaultdict(list)
    for one in utterances:
        if (name := key(one)) is not None:
            groups[name].append(one)
    facts = [
        GroupFacts(
            name=name,
            recordings=len(members),
            seconds=sum(seconds.get(one.id, 0.0) for one in members),
            phrases=len({one.reference for one in members}),
        )
        for name, members in groups.items()
    ]
    return tuple(sorted(facts, key=lambda group: (-group.recordings, group.name)))


def _channels(count: int) -> str:
    return {1: "mono", 2: "stereo"}.get(count, f"{count} channels")
