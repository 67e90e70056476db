"""What training brings on speakers and phrases that were not trained on: stock, our recipe and the notebook's, in one run.

Leave-speakers-out folds over the medical recordings: each fold tests all recordings of some speakers, and trains on those of the others
that share no phrase with them. Nothing of a fold chooses anything: all epochs are made, and the recipe's mixture with the base is
taken. All models serve as they would: their own windows, the precision of this machine. Pooled over the folds each recording is
tested once. The speech unlike the training data and the joined recordings are tested in every fold. The notebook's recipe, which takes
windows of 30 s and five epochs, is trained in one fold only, and held against stock on the same recordings.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.figures import Line, tell
from benchmarks.options import CACHE, Options, cores, installed
from benchmarks.speech import MEDICAL_SPEECH
from daemon.config import Config
from medasr.dataset.loading import load_dataset
from medasr.dataset.utterance import Dataset, Utterance
from medasr.lexicon import find, load_lexicon
from medasr.metrics.comparison import compare
from medasr.metrics.scores import HEADLINE, ScoredUtterance
from medasr.metrics.scoring import score_utterance
from medasr.metrics.summary import summarize
from medasr.metrics.vocabulary import normalize_lexicon
from medasr.nonspeech import make_sounds
from medasr.quality import QualityThresholds
from medasr.recognition import assemble
from medasr.speech import SpeechDetector, SpeechOptions, plan_windows
from medasr.speech_sets import PRACTICE, REHEARSAL, UNLIKE, path_of
from medasr.splits import phrase_key
from medasr.text.normalizers import text_normalizer
from medasr.training.examples import Example, read_examples
from medasr.training.recipe import TrainingRecipe
from medasr.training.training import TrainingTask, train
from medasr.training.trial import Figures, Trial
from medasr.types import SAMPLE_RATE
from medasr.whisper.model import ModelOptions
from medasr.whisper.transcriber import Transcriber, load_transcriber

if TYPE_CHECKING:
    from medasr.types import Waveform

FOLDS = 4
#: In which the notebook's recipe is trained.
NOTEBOOK_FOLD = 0
_NORMALIZER = text_normalizer("clinical-en")
_JOINED_SECONDS = 120.0
_PAUSES = (0.4, 1.6)
_BATCH = 8


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What one model wrote in all folds, and how long its training took."""

    name: str
    medical: tuple[ScoredUtterance, ...]
    unlike: tuple[ScoredUtterance, ...]
    joined: tuple[ScoredUtterance, ...]
    time_error: float  #: seconds, median of how far a segment's start is from a recording's, in the joined ones
    sound_words: int
    training_seconds: float


@dataclass(frozen=True, kw_only=True)
class AccuracyFigures:
    """The models beside stock."""

    model: str
    stock: Scored
    others: tuple[Scored, ...]

    def lines(self) -> list[Line]:
        lines = _plain(self.stock, self.model)
        for other in self.others:
            lines += _plain(other, self.model) + _beside(self.stock, other)
        return lines


def measure(options: Options) -> list[AccuracyFigures]:
    if not (MEDICAL_SPEECH / "overview-of-recordings.csv").is_file():
        tell("the medical recordings are not at hand: nothing is measured")
        return []
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        return [_Course(model, Path(name), options).run() for model in options.models if model == "whisper-base"]


class _Course:
    """All folds of one base."""

    def __init__(self, model: str, folder: Path, options: Options) -> None:
        self._folder = folder
        self._model = model
        self._options = options
        self._speech = SpeechOptions()
        self._detector = SpeechDetector(self._speech)
        self._plain_lexicon = load_lexicon()
        self._lexicon = normalize_lexicon(self._plain_lexicon, _NORMALIZER)
        base = installed(model)
        self._base = ModelOptions(
            path=base.path,
            base_id=base.name,
            base_revision=base.revision,
            base_sha256=base.weights_sha256,
            device="cpu",
            threads=cores(),
        )

    def run(self) -> AccuracyFigures:
        dataset = load_dataset(str(MEDICAL_SPEECH), cache=CACHE / "datasets")
        examples = self._read(dataset, "medical")
        speakers = {one.id: one for one in dataset}
        sets = {name: self._read(self._set(name), name) for name in (PRACTICE, REHEARSAL, UNLIKE)}
        recipes = {"ours": _configured(), "notebook": _notebook()}
        written: dict[str, list[Scored]] = {name: [] for name in ("stock", *recipes)}
        folds = _folds(list(dataset))[: self._options.pick(FOLDS, 1)]
        for number, (tested, trained) in enumerate(folds):
            test, learned = ([one for one in examples if one.id in ids] for ids in (tested, trained))
            for name, parts in written.items():
                if name == "notebook" and number != NOTEBOOK_FOLD:
                    continue
                tell(f"fold {number + 1} of {len(folds)}, {name}")
                adapter, seconds = None, 0.0
                if name in recipes:
                    began = time.monotonic()
                    adapter = self._train(recipes[name], learned, sets, self._folder / f"{number}-{name}")
                    seconds = time.monotonic() - began
                transcriber = load_transcriber(replace(self._base, adapter=adapter))
                parts.append(self._score(name, transcriber, test, sets[UNLIKE], speakers, seconds))
        pooled = {name: _pool(name, parts) for name, parts in written.items()}
        return AccuracyFigures(model=self._model, stock=pooled["stock"], others=tuple(pooled[name] for name in recipes))

    def _set(self, name: str) -> Dataset:
        return load_dataset(str(path_of(name)), cache=CACHE / "datasets")

    def _read(self, dataset: Dataset, name: str) -> list[Example]:
        found, _ = read_examples(dataset, [one.id for one in dataset], self._folder / name, self._speech)
        return found

    def _train(
        self, recipe: TrainingRecipe, learned: Sequence[Example], sets: dict[str, list[Example]], folder: Path
    ) -> Path:
        task = TrainingTask(
            model=self._base,
            recipe=recipe,
            examples=learned,
            practice=sets[PRACTICE] if recipe.practice_share else (),
            rehearsal=sets[REHEARSAL] if recipe.rehearsal_share else (),
            find_terms=lambda text: [
                (one.position, one.position + one.length) for one in find(self._plain_lexicon, text)
            ],
        )
        return train(task, folder, _Silent()).folder

    def _score(
        self,
        name: str,
        transcriber: Transcriber,
        test: Sequence[Example],
        unlike: Sequence[Example],
        speakers: dict[str, Utterance],
        seconds: float,
    ) -> Scored:
        medical = [
            self._held(one.id, one.text, text, speakers[one.id].speaker)
            for one, text in zip(test, _transcribe(transcriber, [one.waveform() for one in test]), strict=True)
        ]
        others = [
            self._held(one.id, one.text, text, None)
            for one, text in zip(unlike, _transcribe(transcriber, [one.waveform() for one in unlike]), strict=True)
        ]
        joined, errors = self._long(transcriber, test)
        sounds = [samples for _, samples in make_sounds()]
        words = sum(len(self._long_text(transcriber, samples)[0].split()) for samples in sounds)
        return Scored(
            name=name,
            medical=tuple(medical),
            unlike=tuple(others),
            joined=tuple(joined),
            time_error=float(np.median(errors)) if errors else float("nan"),
            sound_words=words,
            training_seconds=seconds,
        )

    def _long(self, transcriber: Transcriber, test: Sequence[Example]) -> tuple[list[ScoredUtterance], list[float]]:
        """Recordings joined with pauses, transcribed as a long recording is; and how far off the segments begin."""
        scored, errors = [], []
        for number, group in enumerate(_groups(test)):
            samples, starts = _joined(group)
            text, begun = self._long_text(transcriber, samples)
            scored.append(self._held(f"joined-{number}", " ".join(one.text for one in group), text, None))
            errors += [min(abs(start - one) for one in begun) for start in starts if begun]
        return scored, errors

    def _long_text(self, transcriber: Transcriber, samples: Waveform) -> tuple[str, list[float]]:
        speech = self._detector.detect(samples)
        windows = plan_windows(speech, self._speech)
        cut = [samples[round(one.start * SAMPLE_RATE) : round(one.end * SAMPLE_RATE)] for one in windows]
        hypotheses = [
            one for first in range(0, len(cut), _BATCH) for one in transcriber.transcribe(cut[first : first + _BATCH])
        ]
        transcript = assemble(windows, hypotheses, speech, "en", QualityThresholds())
        return transcript.text, [segment.start for segment in transcript.segments]

    def _held(self, name: str, reference: str, hypothesis: str, speaker: str | None) -> ScoredUtterance:
        scored = score_utterance(
            id=name,
            speaker=speaker,
            seconds=1.0,
            reference=reference,
            hypothesis=hypothesis,
            normalizer=_NORMALIZER,
            lexicon=self._lexicon,
        )
        assert isinstance(scored, ScoredUtterance)
        return scored


class _Silent:
    """A listener that says nothing and never wants room."""

    def on_phase(self, name: str, done: int, total: int) -> None: ...

    def on_step(self, step: int, steps: int, loss: float, seconds_left: float) -> None:
        if step % 10 == 0 and seconds_left >= 0.0:
            tell(f"  step {step} of {steps}, loss {loss:.3f}")

    def on_trial(self, trial: Trial, base: Figures) -> None: ...

    def must_step_aside(self) -> bool:
        return False


def _configured() -> TrainingRecipe:
    """The recipe as the default configuration makes it."""
    from daemon.learning.task import training_request

    return training_request(Config(), dataset="here").recipe


def _notebook() -> TrainingRecipe:
    """The notebook's, in the precision of this machine: 4 bits are slow on a processor and change little."""
    from medasr.training.recipe import NOTEBOOK

    return replace(NOTEBOOK, precision="auto")


def _folds(utterances: Sequence[Utterance]) -> list[tuple[set[str], set[str]]]:
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


def _groups(test: Sequence[Example]) -> list[list[Example]]:
    groups: list[list[Example]] = [[]]
    for one in sorted(test, key=lambda example: example.id):
        if sum(example.seconds for example in groups[-1]) > _JOINED_SECONDS:
            groups.append([])
        groups[-1].append(one)
    return groups


def _joined(group: Sequence[Example]) -> tuple[Waveform, list[float]]:
    chance = np.random.default_rng(0)
    pieces, starts, position = [], [], 0
    for one in group:
        pause = round(chance.uniform(*_PAUSES) * SAMPLE_RATE)
        pieces += [np.zeros(pause, dtype=np.float32), one.waveform()]
        position += pause
        starts.append(position / SAMPLE_RATE)
        position += len(pieces[-1])
    return np.concatenate(pieces), starts


def _transcribe(transcriber: Transcriber, waveforms: Sequence[Waveform]) -> list[str]:
    """Hypotheses in the order given; those of like length are decoded together."""
    order = sorted(range(len(waveforms)), key=lambda place: len(waveforms[place]))
    texts = [""] * len(waveforms)
    for first in range(0, len(order), _BATCH):
        places = order[first : first + _BATCH]
        for place, written in zip(places, transcriber.transcribe([waveforms[one] for one in places]), strict=True):
            texts[place] = written.text
    return texts


def _pool(name: str, parts: Sequence[Scored]) -> Scored:
    """The folds together; sets that are tested in each fold are counted as often."""
    return Scored(
        name=name,
        medical=tuple(one for part in parts for one in part.medical),
        unlike=tuple(replace(one, id=f"{fold}-{one.id}") for fold, part in enumerate(parts) for one in part.unlike),
        joined=tuple(replace(one, id=f"{fold}-{one.id}") for fold, part in enumerate(parts) for one in part.joined),
        time_error=float(np.median([part.time_error for part in parts])),
        sound_words=sum(part.sound_words for part in parts),
        training_seconds=float(np.mean([part.training_seconds for part in parts])),
    )


def _plain(scored: Scored, model: str) -> list[Line]:
    scores = summarize(scored.medical)
    lines = [Line(what=f"{model}, {scored.name}: recordings tested", value=len(scored.medical))]
    lines += [
        Line(what=f"{scored.name}: {metric}", value=getattr(scores, metric).value or 0.0, unit="%")
        for metric in HEADLINE
    ]
    lines += [
        Line(what=f"{scored.name}: normalized WER on speech unlike it", value=_wer(scored.unlike), unit="%"),
        Line(what=f"{scored.name}: normalized WER on joined recordings", value=_wer(scored.joined), unit="%"),
        Line(what=f"{scored.name}: median error of a segment's start", value=scored.time_error, unit="s"),
        Line(what=f"{scored.name}: words written for sounds without speech", value=scored.sound_words),
    ]
    if scored.training_seconds:
        lines.append(Line(what=f"{scored.name}: training", value=scored.training_seconds, unit="s"))
    return lines


def _beside(stock: Scored, other: Scored) -> list[Line]:
    """What became better on the same recordings, held against what the recipe is to reach; the notebook's has nothing to reach."""
    stock = _same(stock, other)
    differences = compare(stock.medical, other.medical).differences
    before = summarize(stock.medical).normalized_wer.value or 0.0
    ours = other.name == "ours"
    no_more = 0.0 if ours else None
    change = 100 * (differences["normalized_wer"].points.value or 0.0) / before
    lines = [
        Line(
            what=f"{other.name}: normalized WER against stock, relative",
            value=change,
            unit="%",
            at_most=-20.0 if ours else None,
        ),
        Line(
            what=f"{other.name}: MTA against stock, points",
            value=differences["mta"].points.value or 0.0,
            at_least=3.0 if ours else None,
        ),
        Line(
            what=f"{other.name}: term precision against stock, points",
            value=differences["term_precision"].points.value or 0.0,
            at_least=0.0 if ours else None,
        ),
        *(
            Line(
                what=f"{other.name}: {name} against stock, points",
                value=differences[metric].points.value or 0.0,
                at_most=no_more,
            )
            for metric, name in (("wer", "WER"), ("cer", "CER"), ("normalized_cer", "normalized CER"))
        ),
        Line(
            what=f"{other.name}: probability of a lower normalized WER",
            value=differences["normalized_wer"].probability_better or 0.0,
        ),
    ]
    for what, first, second in (("unlike", stock.unlike, other.unlike), ("joined", stock.joined, other.joined)):
        points = _wer(second) - _wer(first)
        lines.append(Line(what=f"{other.name}: normalized WER {what}, points", value=points, at_most=no_more))
    if ours:  # who is tested in one fold only has other joined recordings than stock, and the sounds less often
        lines += [
            Line(
                what="ours: median error of a segment's start against stock",
                value=other.time_error - stock.time_error,
                unit="s",
                at_most=no_more,
            ),
            Line(
                what="ours: words written for sounds without speech against stock",
                value=other.sound_words - stock.sound_words,
                at_most=no_more,
            ),
        ]
    return lines


def _same(stock: Scored, other: Scored) -> Scored:
    """Of what stock wrote, that for which the other wrote something too."""

    def common(of_stock: Sequence[ScoredUtterance], of_other: Sequence[ScoredUtterance]) -> tuple[ScoredUtterance, ...]:
        known = {one.id for one in of_other}
        return tuple(one for one in of_stock if one.id in known)

    return replace(
        stock,
        medical=common(stock.medical, other.medical),
        unlike=common(stock.unlike, other.unlike),
        joined=common(stock.joined, other.joined),
    )


def _wer(scored: Sequence[ScoredUtterance]) -> float:
    return summarize(scored, samples=1).normalized_wer.value or 0.0
