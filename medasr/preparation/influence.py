"""Whether a recording's prompt or speaker tells what is said in it: a random forest, held against guessing.

The notebook asks the same with one forest, one random split and no baseline, with the speaker's number taken for a quantity.
docs/preparation.md says what is done otherwise and why.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from medasr.dataset.utterance import Utterance
from medasr.text.normalizers import TextNormalizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOLDS = 5

_TREES = 50
_LEAVES = 256  # of each tree
_CLASSES = 1000  # the commonest are asked for: with so many a forest stays under 210 MB
_FEWEST = 2  # recordings of a class: what occurs once cannot be learned from one recording and named in another
_DEALS = 3
_STUDENT_T = 2.776  # 97.5 %, four degrees of freedom: FOLDS - 1
_NO_KEYWORD = ""


class Target(StrEnum):
    """What is to be predicted, and on which folds."""

    PHRASE = (
        "phrase"  # which phrase it is; random folds, since a phrase never seen cannot be named: the notebook's question
    )
    KEYWORD = "keyword"  # the commonest content word of a phrase; folds share no phrase


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """How well a random forest does against one that is given the features dealt out at random. Shares lie in 0..1."""

    target: Target
    features: tuple[str, ...]  #: prompt, speaker or both
    recordings: int  #: that were asked: those of classes that occur at least twice
    classes: int
    accuracy: float  #: of the forest, mean over the folds
    baseline: float  #: of the same forest when prompts and speakers are dealt out at random, mean of three deals
    low: float  #: 95 % interval of the difference between both
    high: float
    commonest: float  #: share of the commonest class: always naming it is right so often

    @property
    def gain(self) -> float:
        """Accuracy above the baseline."""
        return self.accuracy - self.baseline

    @property
    def predicts(self) -> bool:
        """Whether the forest is better than the baseline beyond chance, and better than always naming the commonest class."""
        return self.low > 0 and self.accuracy > self.commonest


@dataclass(frozen=True, kw_only=True)
class Influence:
    """What prompt and speaker tell about the transcription."""

    recordings: int
    phrases: int  #: different texts after normalization
    prompts: int
    speakers: int
    predictions: tuple[Prediction, ...]  #: empty where there is too little to ask
    sentences: tuple[str, ...]  #: what it means, in plain words; no phrase and no speaker is named


def influence(utterances: Iterable[Utterance], normalizer: TextNormalizer) -> Influence:
    """Ask a random forest whether prompt, speaker or both predict the transcription.

    Given utterances and what makes two texts the same phrase, return accuracies from five-fold cross-validation beside those with
    the features dealt out at random, and the share of the commonest class. That share is taken over all folds: what is common in the
    training folds is rare in the one held out, so the commonest class of those would be right too seldom, and any forest would seem
    to know something. Intervals of the difference are Nadeau and Bengio's corrected resampled t (Machine Learning 52, 2003), since
    folds share their training data. The outcome does not depend on the order of the utterances.
    """
    used = [
        (one, phrase) for one in sorted(utterances, key=lambda one: one.id) if (phrase := normalizer(one.reference))
    ]
    phrases = [phrase for _, phrase in used]
    columns = {
        "prompt": [one.prompt or "" for one, _ in used],
        "speaker": [one.speaker or "" for one, _ in used],
    }
    asked = [name for name, values in columns.items() if len(set(values)) > 1]
    predictions: list[Prediction] = []
    if len(set(phrases)) >= FOLDS:
        sets = [(name,) for name in asked] + ([tuple(asked)] if len(asked) > 1 else [])
        for features in sets:
            rows = list(zip(*(columns[name] for name in features), strict=True))
            asked_of = (_predict(target, features, rows, phrases) for target in Target)
            predictions += [one for one in asked_of if one is not None]
    return Influence(
        recordings=len(used),
        phrases=len(set(phrases)),
        prompts=len({one.prompt for one, _ in used} - {None, ""}),
        speakers=len({one.speaker for one, _ in used} - {None, ""}),
        predictions=tuple(predictions),
        sentences=_sentences(predictions, [name for name in columns if name not in asked], len(set(phrases))),
    )


def keywords(phrases: Iterable[str]) -> dict[str, str]:
    """For each phrase its content word that occurs in most of the phrases; an empty text where it has none."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    distinct = sorted(set(phrases))
    words = {
        phrase: {word for word in phrase.split() if word not in ENGLISH_STOP_WORDS and word.isalpha() and len(word) > 2}
        for phrase in distinct
    }
    counts = Counter(word for found in words.values() for word in found)
    return {
        phrase: min(found, key=lambda word: (-counts[word], word)) if found else _NO_KEYWORD
        for phrase, found in words.items()
    }


def _predict(
    target: Target, features: tuple[str, ...], rows: Sequence[tuple[str, ...]], phrases: Sequence[str]
) -> Prediction | None:
    """Cross-validate; None where the classes that occur more than once have fewer phrases than there are folds."""
    import numpy as np
    from sklearn.model_selection import GroupKFold, KFold
    from sklearn.preprocessing import OneHotEncoder

    names = {phrase: phrase for phrase in phrases} if target is Target.PHRASE else keywords(phrases)
    places = _learnable([names[phrase] for phrase in phrases])
    groups = [phrases[place] for place in places]
    if len(set(groups)) < FOLDS:
        return None
    classes, labels = np.unique([names[phrase] for phrase in groups], return_inverse=True)
    encoded = OneHotEncoder().fit_transform(np.array([rows[place] for place in places], dtype=object))
    if target is Target.PHRASE:
        folds = KFold(FOLDS, shuffle=True, random_state=0).split(encoded)
    else:
        folds = GroupKFold(FOLDS, shuffle=True, random_state=0).split(encoded, labels, groups)
    scores = np.array([_score(encoded, labels, *fold) for fold in folds])
    gains = scores[:, 0] - scores[:, 1]
    margin = _STUDENT_T * math.sqrt(float(np.var(gains, ddof=1)) * (1 / FOLDS + 1 / (FOLDS - 1)))
    return Prediction(
        target=target,
        features=features,
        recordings=len(places),
        classes=len(classes),
        accuracy=float(scores[:, 0].mean()),
        baseline=float(scores[:, 1].mean()),
        low=float(gains.mean()) - margin,
        high=float(gains.mean()) + margin,
        commonest=float(np.bincount(labels).max() / len(labels)),
    )


def _learnable(names: Sequence[str]) -> list[int]:
    """The places of the classes that occur often enough, at most a thousand classes."""
    counts = sorted(Counter(names).items(), key=lambda one: (-one[1], one[0]))
    known = {name for name, count in counts[:_CLASSES] if count >= _FEWEST}
    return [place for place, name in enumerate(names) if name in known]


def _score(
    encoded: Any, labels: NDArray[np.intp], train: NDArray[np.intp], test: NDArray[np.intp]
) -> tuple[float, float]:
    """Accuracy on one fold of the forest that is given the features, and of such that are given them dealt out at random."""
    import numpy as np

    dealer = np.random.default_rng(0)
    dealt = [encoded[dealer.permutation(len(labels))] for _ in range(_DEALS)]
    given, *at_random = [_accuracy(features, labels, train, test) for features in (encoded, *dealt)]
    return given, float(np.mean(at_random))


def _accuracy(features: Any, labels: NDArray[np.intp], train: NDArray[np.intp], test: NDArray[np.intp]) -> float:
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(_TREES, max_leaf_nodes=_LEAVES, random_state=0)
    with warnings.catch_warnings():
        # Few recordings share a phrase: that is the point here, and no sign that phrases are quantities.
        warnings.filterwarnings("ignore", message="The number of unique classes", category=UserWarning)
        return float(np.mean(forest.fit(features[train], labels[train]).predict(features[test]) == labels[test]))


def _sentences(predictions: Sequence[Prediction], absent: Sequence[str], phrases: int) -> tuple[str, ...]:
    found = [
        f"The dataset does not tell {name}s apart, so nothing can be said about their influence." for name in absent
    ]
    if not predictions:
        return (*found, "There is too little to ask whether anything predicts the transcription.")
    found += [_sentence(one) for one in predictions]
    found.append(
        f"The notebook concludes from a low accuracy on one random split that neither matters. With {phrases} phrases a low "
        "accuracy is what anything has: only the distance from the baseline tells, and with the same phrases on both sides of a "
        "split even that shows memory as much as influence."
    )
    return tuple(found)


def _sentence(one: Prediction) -> str:
    given = " and ".join(one.features)
    asked = "the phrase" if one.target is Target.PHRASE else "the key word of phrases it never saw"
    verdict = (
        f"the {given} {'tell' if len(one.features) > 1 else 'tells'} something about it"
        if one.predicts
        else f"no influence of the {given} is shown"
    )
    return (
        f"From the {given}, a random forest names {asked} in {100 * one.accuracy:.1f} % of {one.recordings} recordings; with the "
        f"{given} dealt out at random it is {100 * one.baseline:.1f} %, and always naming the commonest is right in "
        f"{100 * one.commonest:.1f} %. The difference from dealing is {100 * one.gain:+.1f} points (95 %: {100 * one.low:+.1f} to "
        f"{100 * one.high:+.1f}): {verdict}."
    )
