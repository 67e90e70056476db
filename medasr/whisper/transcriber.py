"""From windows of a waveform to hypotheses: the protocol the daemon knows, and Whisper behind it."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import torch

from medasr.types import SAMPLE_RATE, TermLists
from medasr.whisper.alignment import align
from medasr.whisper.beams import search
from medasr.whisper.biasing import NO_BIAS, preferred, term_bias
from medasr.whisper.context import context_seconds, encode
from medasr.whisper.continuation import continued, is_sure, unheard_from
from medasr.whisper.decoder import Sound
from medasr.whisper.decoding import DecodedWindow, decode, decoding_tokens
from medasr.whisper.features import log_mel
from medasr.whisper.hypothesis import hypothesis_of
from medasr.whisper.model import LoadedModel, ModelOptions, is_out_of_memory, load_model
from medasr.whisper.overlooked import quietest, rewritten, sparse_segment
from medasr.whisper.packing import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from medasr.types import Hypothesis, ModelVersion, Waveform
    from medasr.whisper.alignment import Timing
    from medasr.whisper.biasing import TermBias

    #: A window's text → whether its words are to be timed.
    WantsWords = Callable[[str], bool]


#: How often what was passed over at the end of a window is decoded.
_CONTINUATIONS = 2
#: Windows of which a CPU follows several texts at a time.
_SEARCHED_TOGETHER = 6
#: Frames of 10 ms that a CPU encodes together.
_FRAMES_TOGETHER = 3000
#: So many batches are transcribed side by side at most, on a CPU: each needs memory of its own. Further cores are shared out among them.
_MOST_LANES = 4


class Transcriber(Protocol):
    """Whatever turns speech into text, one batch of windows at a time."""

    @property
    def version(self) -> ModelVersion:
        """What decides its output."""
        ...

    @property
    def device(self) -> str:
        """Where it runs: ``cpu`` or ``cuda:0``."""
        ...

    @property
    def lanes(self) -> int:
        """How many threads may transcribe a batch each at the same time, which is faster than one batch after the other."""
        ...

    def enter_lane(self, number: int) -> None:
        """Called once by each of the threads that are to transcribe side by side, counted from 0."""
        ...

    def context(self, seconds: float) -> float:
        """Given the length of a window, return the length that is computed for it, in seconds.

        Windows of which this is the same are transcribed alike, alone or together, as far as arithmetic allows.
        """
        ...

    def transcribe(self, windows: Sequence[Waveform], lists: Sequence[str] = ()) -> list[Hypothesis]:
        """Given windows of at most 30 s each, return one hypothesis per window, in order; always the same for the same batch.

        Given besides, where any is to be used, the name of each window's list of terms, empty for none. What is written for a window without
        one does not depend on the others' lists. Raise MemoryError when the batch does not fit: the same windows in smaller batches may.
        """
        ...


def load_transcriber(
    options: ModelOptions, wants_words: WantsWords = lambda _text: False, term_lists: TermLists | None = None
) -> Transcriber:
    """Load the model described; raise ModelError as :func:`medasr.whisper.model.load_model` does.

    The words of a window are timed only where ``wants_words`` says so of its text. Lists of terms are those that may be named for a window.
    """
    model = load_model(options)
    pack(model.network)
    lanes = lanes_of(torch.get_num_threads(), model.device)
    return WhisperTranscriber(model, options.language, options.beams, wants_words, term_lists, lanes)


def lanes_of(threads: int, device: torch.device) -> int:
    """How many batches are transcribed side by side on a device, with so many threads on the CPU."""
    return min(threads, _MOST_LANES) if device.type == "cpu" else 1


class WhisperTranscriber:
    """Whisper with timestamps; windows are filled up to 30 s, or to what the longest needs if the model was trained so."""

    def __init__(
        self,
        model: LoadedModel,
        language: str,
        beams: int,
        wants_words: WantsWords = lambda _text: False,
        term_lists: TermLists | None = None,
        lanes: int = 1,
    ) -> None:
        """Given a loaded model, the ISO 639-1 code of the language spoken, and how many texts of a doubtful window are followed.

        The words of a window are timed only where ``wants_words`` says so of its text: that costs another pass of the decoder. Lists of terms
        are those that may be named for a window. So many ``lanes``, if any are entered, share the threads that torch has now. Raise ModelError
        for a language that the model does not know.
        """
        self._lanes, self._all_threads = lanes, torch.get_num_threads()
        self._model = model
        self._beams = beams
        self._wants_words = wants_words
        config = model.network.config
        self._mel_bins = int(config.num_mel_bins)
        self._tokens = decoding_tokens(model.network.generation_config, language, int(config.max_target_positions))
        listed = term_lists or TermLists()
        self._biases = {name: term_bias(terms, model.tokenizer, listed) for name, terms in listed.lists.items()}

    @property
    def version(self) -> ModelVersion:
        """What decides the output."""
        return self._model.version

    @property
    def device(self) -> str:
        """Where the model runs."""
        return str(self._model.device)

    @property
    def lanes(self) -> int:
        """See :meth:`Transcriber.lanes`."""
        return self._lanes

    def enter_lane(self, number: int) -> None:
        """See :meth:`Transcriber.enter_lane`: the threads for arithmetic are shared out among the lanes."""
        each, left = divmod(self._all_threads, self._lanes)
        torch.set_num_threads(max(1, each + (number < left)))

    def context(self, seconds: float) -> float:
        """See :meth:`Transcriber.context`."""
        return context_seconds(seconds, self._model.shortest_context)

    def transcribe(self, windows: Sequence[Waveform], lists: Sequence[str] = ()) -> list[Hypothesis]:
        """See :meth:`Transcriber.transcribe`."""
        if not windows:
            return []
        biases = [self._biases.get(name, NO_BIAS) for name in lists or [""] * len(windows)]
        decoded, encoded, sound = self._decode(windows, biases)
        unsettled = [place for place, window in enumerate(windows) if self._is_unsettled(decoded[place], window)]
        settled = [place for place in range(len(windows)) if place not in unsettled]
        timings = self._timed(settled, windows, decoded, sound.only)
        del sound  # what is decoded once more needs the room
        self._write_once_more(decoded, windows, biases)
        open_places = unsettled
        for _ in range(_CONTINUATIONS):
            open_places = self._go_on(decoded, windows, biases, open_places)
        network = self._model.network
        timings |= self._timed(unsettled, windows, decoded, lambda places: Sound(network, encoded[places]))
        return [self._hypothesis(window, decoded[place], timings.get(place)) for place, window in enumerate(windows)]

    def _is_unsettled(self, decoded: DecodedWindow, window: Waveform) -> bool:
        """Whether a window's text is to be looked at again."""
        seconds = len(window) / SAMPLE_RATE
        unheard = unheard_from(decoded, self._tokens, seconds)
        return unheard is not None or sparse_segment(decoded, self._tokens, seconds) is not None

    def _hypothesis(self, window: Waveform, decoded: DecodedWindow, timing: Timing | None = None) -> Hypothesis:
        return hypothesis_of(decoded, self._tokens, len(window) / SAMPLE_RATE, self._to_text, timing)

    def _timed(
        self,
        places: Sequence[int],
        windows: Sequence[Waveform],
        decoded: Sequence[DecodedWindow],
        hear: Callable[[list[int]], Sound],
    ) -> dict[int, Timing | None]:
        """When the words of the windows in these places were said, where they are wanted; given how to hear some of the windows."""
        wanted = [place for place in places if self._wants_words(self._hypothesis(windows[place], decoded[place]).text)]
        if not wanted:
            return {}
        heard = [windows[place] for place in wanted]
        written = [decoded[place] for place in wanted]
        with self._computing(len(wanted)):
            timings = align(self._model.network, hear(wanted), heard, written, self._tokens)
        return dict(zip(wanted, timings, strict=True))

    def _go_on(
        self,
        decoded: list[DecodedWindow],
        windows: Sequence[Waveform],
        biases: Sequence[TermBias],
        places: Sequence[int],
    ) -> list[int]:
        """Decode what was passed over at the end of the windows in these places, in place; return where something was added."""
        rests = []
        for place in places:
            start = unheard_from(decoded[place], self._tokens, len(windows[place]) / SAMPLE_RATE)
            if start is not None:
                rests.append((place, start))
        if not rests:
            return []
        added = []
        heard = [windows[place][round(start * SAMPLE_RATE) :] for place, start in rests]
        for rest, more in self._decode_alike(heard, [biases[place] for place, _ in rests]):
            place, start = rests[rest]
            if is_sure(more, self._tokens):
                decoded[place] = continued(decoded[place], more, self._tokens, start)
                added.append(place)
        return added

    def _write_once_more(
        self, decoded: list[DecodedWindow], windows: Sequence[Waveform], biases: Sequence[TermBias]
    ) -> None:
        """Decode segments whose text is too short for their time again in two pieces, in place."""
        for place, window in enumerate(windows):
            segment = sparse_segment(decoded[place], self._tokens, len(window) / SAMPLE_RATE)
            if segment is None:
                continue
            first = round(segment.start * SAMPLE_RATE)
            heard = window[first : round(segment.end * SAMPLE_RATE)]
            cut = quietest(heard)
            parts = dict(self._decode_alike([heard[:cut], heard[cut:]], [biases[place]] * 2))
            starts = (segment.start, (first + cut) / SAMPLE_RATE)
            pieces = [(start, parts[number]) for number, start in enumerate(starts)]
            decoded[place] = rewritten(decoded[place], segment, pieces, self._tokens)

    def _decode_alike(
        self, windows: Sequence[Waveform], biases: Sequence[TermBias]
    ) -> Iterator[tuple[int, DecodedWindow]]:
        """The windows' places and what is written for them, each computed as long as if it were alone."""
        contexts = [self.context(len(window) / SAMPLE_RATE) for window in windows]
        for context in sorted(set(contexts)):
            places = [place for place, other in enumerate(contexts) if other == context]
            decoded = self._decode([windows[place] for place in places], [biases[place] for place in places])[0]
            yield from zip(places, decoded, strict=True)

    def _decode(
        self, windows: Sequence[Waveform], biases: Sequence[TermBias]
    ) -> tuple[list[DecodedWindow], torch.Tensor, Sound]:
        """What is written for each window, the encoded windows ``[windows, time, width]``, and what is heard of them."""
        model = self._model
        seconds = self.context(max(len(window) for window in windows) / SAMPLE_RATE)
        with self._computing(len(windows)):
            features = log_mel(windows, self._mel_bins, model.device, seconds).to(model.compute_type)
            encoded = self._encode(features)
            sound = Sound(model.network, encoded)
            return self._listen_for_terms(self._written(sound), sound, biases), encoded, sound

    def _encode(self, features: torch.Tensor) -> torch.Tensor:
        """The encoded windows ``[windows, time, width]``; on a CPU few at a time, which is no slower and takes less memory."""
        frames = features.shape[-1]
        together = max(1, _FRAMES_TOGETHER // frames) if features.device.type == "cpu" else len(features)
        return torch.cat([encode(self._model.network, piece) for piece in torch.split(features, together)])

    @contextmanager
    def _computing(self, windows: int) -> Iterator[None]:
        """Without gradients; raise MemoryError when so many windows do not fit."""
        try:
            with torch.inference_mode():
                yield
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise MemoryError(f"a batch of {windows} windows does not fit on {self.device}") from error

    def _written(self, sound: Sound) -> list[DecodedWindow]:
        """What is written for each window: in doubt the likeliest of several texts."""
        network, tokens, beams = self._model.network, self._tokens, self._beams
        if beams == 1:
            return decode(network, sound, tokens)
        written = search(network, sound, tokens, beams, from_doubt=True)
        endless = [place for place, window in enumerate(written) if window.truncated]
        if endless:  # never in doubt, or not early enough
            found = self._searched(sound, endless, [NO_BIAS] * len(endless))
            for place, searched in zip(endless, found, strict=True):
                written[place] = searched
        return written

    def _searched(self, sound: Sound, places: Sequence[int], biases: Sequence[TermBias]) -> list[DecodedWindow]:
        """The likeliest of several texts of each of these windows; on a CPU not of too many at a time, for the memory."""
        pieces = math.ceil(len(places) / _SEARCHED_TOGETHER) if sound.device.type == "cpu" else 1
        together = math.ceil(len(places) / pieces)
        found = []
        for first in range(0, len(places), together):
            some = slice(first, first + together)
            heard = sound.only(places[some])
            found += search(self._model.network, heard, self._tokens, self._beams, biases[some])
        return found

    def _listen_for_terms(
        self, decoded: list[DecodedWindow], sound: Sound, biases: Sequence[TermBias]
    ) -> list[DecodedWindow]:
        """What is written for each window once its list of terms was listened for; where nothing was written, nothing is."""
        places = [place for place, window in enumerate(decoded) if biases[place] and window.words(self._tokens)]
        if not places:
            return decoded
        considered = list(decoded)
        listed = [biases[place] for place in places]
        found = self._searched(sound, places, listed)
        for place, bias, searched in zip(places, listed, found, strict=True):
            considered[place] = preferred(decoded[place], searched, bias, self._tokens)
        return considered

    def _to_text(self, tokens: list[int]) -> str:
        text: str = self._model.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text
