"""What a model is tested on: recordings, speech unlike them, long recordings with their times, and sounds without speech."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.joined import grouped, join
from benchmarks.scores import Scored
from medasr.lexicon import Lexicon
from medasr.metrics.scores import ScoredUtterance
from medasr.metrics.scoring import score_utterance
from medasr.metrics.vocabulary import normalize_lexicon
from medasr.nonspeech import make_sounds
from medasr.quality import QualityThresholds
from medasr.recognition import assemble
from medasr.speech import SpeechDetector, SpeechOptions, plan_windows
from medasr.text.normalizers import text_normalizer
from medasr.types import SAMPLE_RATE

if TYPE_CHECKING:
    from medasr.dataset.utterance import Utterance
    from medasr.training.examples import Example
    from medasr.types import Waveform
    from medasr.whisper.transcriber import Transcriber

_NORMALIZER = text_normalizer("clinical-en")
_BATCH = 8


class Examination:
    """The same for every model."""

    def __init__(self, speech: SpeechOptions, lexicon: Lexicon) -> None:
        self._speech = speech
        self._detector = SpeechDetector(speech)
        self._lexicon = normalize_lexicon(lexicon, _NORMALIZER)

    def score(
        self,
        name: str,
        transcriber: Transcriber,
        test: Sequence[Example],
        unlike: Sequence[Example],
        speakers: dict[str, Utterance],
        seconds: float,
    ) -> Scored:
        """What a model writes; ``seconds`` is how long its training took."""
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
        for number, group in enumerate(grouped(test)):
            samples, starts = join(group)
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


def _transcribe(transcriber: Transcriber, waveforms: Sequence[Waveform]) -> list[str]:
    """Hypotheses in the order given; those of like length are decoded together."""
    order = sorted(range(len(waveforms)), key=lambda place: len(waveforms[place]))
    texts = [""] * len(waveforms)
    for first in range(0, len(order), _BATCH):
        places = order[first : first + _BATCH]
        for place, written in zip(places, transcriber.transcribe([waveforms[one] for one in places]), strict=True):
            texts[place] = written.text
    return texts
