"""Which utterances are fit for training: every stage with its counts, and what the notebook would have made of the same recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from medasr.dataset.utterance import Dataset, Exclusion, ExclusionReason
from medasr.preparation.measurement import MeasuredUtterance
from medasr.preparation.rules import NOTEBOOK_AMBIGUOUS, PreparationRules, find_ambiguous
from medasr.text.normalizers import TextNormalizer

#: The stages in their order, and the reasons for which each drops an entry.
STAGES: Mapping[str, tuple[ExclusionReason, ...]] = {
    "missing": (
        ExclusionReason.MALFORMED,
        ExclusionReason.OUTSIDE,
        ExclusionReason.NO_ENTRY,
        ExclusionReason.NO_REFERENCE,
        ExclusionReason.NO_AUDIO,
    ),
    "duplicate": (ExclusionReason.DUPLICATE_ID, ExclusionReason.DUPLICATE, ExclusionReason.CONFLICTING),
    "unreadable": (ExclusionReason.UNREADABLE,),
    "length": (ExclusionReason.TOO_SHORT, ExclusionReason.TOO_LONG),
    "silence": (ExclusionReason.SILENT,),
    "clipping": (ExclusionReason.CLIPPED,),
    "noise": (ExclusionReason.NOISY,),
    "ambiguous text": (ExclusionReason.AMBIGUOUS,),
    "16 kHz mono": (),
    "normalized text": (ExclusionReason.EMPTY_REFERENCE,),
}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What one stage did. Entries that an earlier stage dropped are not looked at again."""

    name: str
    before: int  #: entries that reached it
    after: int  #: entries that passed it
    reasons: Mapping[str, int]  #: reason → entries dropped for it
    changed: int  #: of those kept in the end, how many it converts: another rate or more channels, another text

    @property
    def dropped(self) -> int:
        """How many entries it dropped."""
        return self.before - self.after


@dataclass(frozen=True, kw_only=True)
class NotebookView:
    """What the notebook's rules find in the same recordings; ids, sorted."""

    noisy: tuple[str, ...]  #: the loudest, which it calls too noisy
    noisy_yet_clean: tuple[str, ...]  #: of these, the ones whose SNR is good enough for our rules
    ambiguous: tuple[str, ...]  #: texts with one of its ambiguous characters
    loses_digits: tuple[str, ...]  #: texts with digits, all of which its normalization deletes


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What is kept of a dataset, and what is not and why."""

    dataset: str  #: for people
    dataset_sha256: str
    rules: PreparationRules
    normalizer: str  #: name and version
    kept: tuple[str, ...]  #: ids, sorted
    dropped: tuple[Exclusion, ...]  #: sorted by id; those that could not be loaded or measured among them
    stages: tuple[Stage, ...]
    notebook: NotebookView

    @property
    def notebook_noisy(self) -> tuple[str, ...]:
        """The ids that the notebook would call too noisy."""
        return self.notebook.noisy


def prepare(
    dataset: Dataset,
    measured: Sequence[MeasuredUtterance],
    exclusions: Iterable[Exclusion],
    *,
    rules: PreparationRules,
    normalizer: TextNormalizer,
) -> Preparation:
    """Decide what is kept.

    Given a dataset, both results of :func:`medasr.preparation.measurement.measure_all`, the rules and the normalizer that scores
    use, return every decision. An entry with several flaws is dropped by the first stage that minds one. Nothing is written and
    no recording is read; the outcome depends on the arguments alone.
    """
    kept: list[MeasuredUtterance] = []
    dropped = [*dataset.exclusions, *exclusions]
    for one in measured:
        flaw = _flaw(one, rules, normalizer)
        if flaw is None:
            kept.append(one)
        else:
            dropped.append(flaw)
    return Preparation(
        dataset=dataset.source,
        dataset_sha256=dataset.sha256,
        rules=rules,
        normalizer=normalizer.id,
        kept=tuple(sorted(one.utterance.id for one in kept)),
        dropped=tuple(sorted(dropped, key=lambda one: (one.id, one.reason, one.detail))),
        stages=_stages(kept, dropped, normalizer),
        notebook=_notebook_view(measured, rules),
    )


def _flaw(one: MeasuredUtterance, rules: PreparationRules, normalizer: TextNormalizer) -> Exclusion | None:
    """The first reason, in the order of the stages, not to keep an utterance."""
    return _flaw_of_recording(one, rules) or _flaw_of_text(one, rules, normalizer)


def _flaw_of_recording(one: MeasuredUtterance, rules: PreparationRules) -> Exclusion | None:
    facts = one.facts
    if facts.seconds < rules.min_seconds:
        reason, detail = ExclusionReason.TOO_SHORT, f"{facts.seconds:.2f} s"
    elif facts.seconds > rules.max_seconds:
        reason, detail = ExclusionReason.TOO_LONG, f"{facts.seconds:.2f} s"
    elif facts.rms_dbfs < rules.min_rms_dbfs or one.levels.noise_dbfs is None:
        reason, detail = ExclusionReason.SILENT, f"{facts.rms_dbfs:.1f} dBFS"
    elif facts.clipped_share > rules.max_clipped_share:
        reason, detail = ExclusionReason.CLIPPED, f"{100 * facts.clipped_share:.2f} %"
    elif one.snr_db is None or one.snr_db < rules.min_snr_db:
        reason = ExclusionReason.NOISY
        detail = "nothing stands out" if one.snr_db is None else f"{one.snr_db:.1f} dB"
    else:
        return None
    return Exclusion(id=one.utterance.id, reason=reason, detail=detail)


def _flaw_of_text(one: MeasuredUtterance, rules: PreparationRules, normalizer: TextNormalizer) -> Exclusion | None:
    if found := find_ambiguous(one.utterance.reference, rules.ambiguous):
        codes = " ".join(f"U+{ord(character):04X}" for character in found)
        return Exclusion(id=one.utterance.id, reason=ExclusionReason.AMBIGUOUS, detail=codes)
    if not normalizer(one.utterance.reference):
        return Exclusion(id=one.utterance.id, reason=ExclusionReason.EMPTY_REFERENCE)
    return None


def _stages(
    kept: Sequence[MeasuredUtterance], dropped: Sequence[Exclusion], normalizer: TextNormalizer
) -> tuple[Stage, ...]:
    counts = Counter(one.reason for one in dropped)
    changed = {
        "16 kHz mono": sum(not one.is_normal for one in kept),
        "normalized text": sum(normalizer(one.utterance.reference) != one.utterance.reference for one in kept),
    }
    stages: list[Stage] = []
    before = len(kept) + len(dropped)
    for name, reasons in STAGES.items():
        found = {str(reason): counts[reason] for reason in reasons if counts[reason]}
        after = before - sum(found.values())
        stages.append(Stage(name=name, before=before, after=after, reasons=found, changed=changed.get(name, 0)))
        before = after
    return tuple(stages)


def _notebook_view(measured: Sequence[MeasuredUtterance], rules: PreparationRules) -> NotebookView:
    loudest = sorted(measured, key=lambda one: (-one.mean_absolute, one.utterance.id))
    noisy = loudest[: round(len(measured) * rules.notebook_noisy_share)]
    clean = [one for one in noisy if one.snr_db is not None and one.snr_db >= rules.min_snr_db]
    return NotebookView(
        noisy=_ids(noisy),
        noisy_yet_clean=_ids(clean),
        ambiguous=_ids(one for one in measured if find_ambiguous(one.utterance.reference, NOTEBOOK_AMBIGUOUS)),
        loses_digits=_ids(one for one in measured if any(map(str.isdigit, one.utterance.reference))),
    )


def _ids(utterances: Iterable[MeasuredUtterance]) -> tuple[str, ...]:
    return tuple(sorted(one.utterance.id for one in utterances))
