"""Turns recordings into transcripts, decoding windows of several recordings together. Runs in the model child."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from daemon.engine.lanes import Decoded, Lanes
from daemon.engine.pool import Window, WindowPool, shared_out
from daemon.engine.protocol import (
    Cancel,
    Completed,
    EngineOptions,
    Exhausted,
    Progress,
    Reply,
    Request,
    Stop,
    Transcribe,
    Unreadable,
    Working,
)
from medasr.audio import read_normalized
from medasr.errors import EngineError
from medasr.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from medasr.types import Hypothesis, SpeechSpan, Transcript, Waveform
    from medasr.whisper.transcriber import Transcriber

    #: A recording → its speech, and the windows to decode.
    Plan = Callable[[Waveform], tuple[list[SpeechSpan], list[SpeechSpan]]]
    #: Windows, one hypothesis for each, the recording's speech → its transcript.
    Assemble = Callable[[Sequence[SpeechSpan], Sequence[Hypothesis], Sequence[SpeechSpan]], Transcript]


@dataclass(frozen=True, kw_only=True)
class Recognizer:
    """The parts of the library that make a transcript, bound to their options."""

    transcriber: Transcriber
    plan: Plan
    assemble: Assemble


@dataclass(kw_only=True)
class _Work:
    """A recording whose speech is found."""

    pcm: Path
    terms: str  #: name of its list of terms; empty for none
    speech: list[SpeechSpan]
    seconds: float  #: spent on it so far


class Engine:
    """Transcribes the recordings it has accepted, one step at a time.

    Speech is looked for only as far ahead as the next batches need, and samples are read when their batch is started: memory does
    not depend on how many recordings wait, nor on how long they are. Urgent recordings wait for the batches in hand, no longer. Which
    windows of recordings that have arrived make up a batch follows from their order alone, however long each batch takes.
    """

    def __init__(self, recognizer: Recognizer, batch_size: int, send: Callable[[Reply], None]) -> None:
        self._recognizer = recognizer
        self._batch_size = batch_size
        self._send = send
        self._arrived: dict[str, Transcribe] = {}
        self._work: dict[str, _Work] = {}
        self._pool = WindowPool(recognizer.transcriber.context)
        self._formed: deque[list[Window]] = deque()
        self._lanes = Lanes(recognizer.transcriber)
        self._touched: dict[str, int] = {}  # recordings that lanes work on, and in how many batches

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do before the next request."""
        return not self._arrived and not self._pool and not self._formed and not self._lanes.busy

    def accept(self, request: Request) -> None:
        """Take a request into account from the next step on."""
        match request:
            case Transcribe():
                self._arrived[request.id] = request
            case Cancel():
                self._arrived.pop(request.id, None)
                self._forget(request.id)
            case EngineOptions() | Stop():
                raise EngineError(f"the model process cannot serve {request.frame!r} here")

    def step(self) -> None:
        """Find the speech of one recording if the next batches need more windows, else decode until one of them is done."""
        request = self._next_arrival()
        if request is not None:
            self._find_speech(self._arrived.pop(request.id))
            return
        while self._lanes.free and (self._formed or self._pool) and self._next_arrival() is None:
            self._start()
        if self._lanes.busy and self._next_arrival() is None:
            for decoded in self._lanes.wait():
                self._take(decoded)

    @property
    def _at_once(self) -> int:
        """Windows that all lanes together decode at a time."""
        return self._batch_size * self._lanes.count

    def _next_arrival(self) -> Transcribe | None:
        """The recording whose speech is to be found before batches are formed; none while urgent windows wait, unless it is urgent."""
        urgent = next((request for request in self._arrived.values() if request.urgent), None)
        if urgent is not None and self._pool.wants_more(self._at_once, urgent=True):
            return urgent
        if not self._pool.urgent and self._pool.wants_more(self._at_once):
            return next(iter(self._arrived.values()), None)
        return None

    def _find_speech(self, request: Transcribe) -> None:
        recording, pcm = request.id, request.pcm
        self._tell_working(recording)
        began = time.monotonic()
        waveform = self._open(recording, pcm)
        if waveform is None:
            return
        speech, windows = self._recognizer.plan(waveform)
        self._work[recording] = _Work(pcm=pcm, terms=request.terms, speech=speech, seconds=time.monotonic() - began)
        self._pool.add(recording, windows, urgent=request.urgent)
        self._report(recording)

    def _start(self) -> None:
        """Let a lane decode the next batch."""
        overtaken = self._formed and self._pool.urgent and not self._formed[0][0].urgent
        if overtaken or not self._formed:
            batches = shared_out(self._pool.take(self._at_once), self._lanes.count)
            self._formed.extendleft(reversed(batches))
        batch, samples = self._read(self._formed.popleft())
        if not batch:
            return
        for recording in _recordings(batch):
            self._touched[recording] = self._touched.get(recording, 0) + 1
        self._tell_working()
        self._lanes.start(batch, samples, [self._work[window.recording].terms for window in batch])

    def _take(self, decoded: Decoded) -> None:
        """Deliver what a lane has decoded; what was cancelled meanwhile is nobody's."""
        for recording in _recordings(decoded.windows):
            self._touched[recording] -= 1
            if not self._touched[recording]:
                del self._touched[recording]
        batch = [window for window in decoded.windows if self._pool.expects(window)]
        if decoded.hypotheses is None:
            self._pool.give_back([*batch, *(window for formed in self._formed for window in formed)])
            self._formed.clear()
            self._shrink(len(decoded.windows), batch, alone=decoded.alone)
            return
        share = decoded.seconds / len(decoded.windows)
        for window, hypothesis in zip(decoded.windows, decoded.hypotheses, strict=True):
            if window in batch:
                self._pool.deliver(window, hypothesis)
                self._work[window.recording].seconds += share
        for recording in _recordings(batch):
            self._report(recording)

    def _tell_working(self, *recordings: str) -> None:
        self._send(Working(ids=tuple(dict.fromkeys((*self._touched, *recordings)))))

    def _read(self, batch: Sequence[Window]) -> tuple[list[Window], list[Waveform]]:
        """Copy a batch's samples out of their files; without the windows of a recording that can no longer be read."""
        windows, samples = [], []
        for recording in dict.fromkeys(window.recording for window in batch):
            waveform = self._open(recording, self._work[recording].pcm)
            if waveform is None:
                continue
            for window in batch:
                if window.recording == recording:
                    first, last = round(window.span.start * SAMPLE_RATE), round(window.span.end * SAMPLE_RATE)
                    windows.append(window)
                    samples.append(np.array(waveform[first:last]))
        return windows, samples

    def _open(self, recording: str, pcm: Path) -> Waveform | None:
        """The recording's samples, mapped; None after telling the host that they are missing or cut off."""
        try:
            return read_normalized(pcm)
        except (OSError, ValueError):
            self._forget(recording)
            self._send(Unreadable(id=recording))
            return None

    def _shrink(self, tried: int, batch: Sequence[Window], *, alone: bool) -> None:
        """Go on with half the windows that were too many, then with one lane; a recording that is too much alone is handed back."""
        if tried > 1:
            self._batch_size = min(self._batch_size, tried // 2)
        elif not alone:
            self._lanes.count = 1
        else:
            for window in batch:
                self._forget(window.recording)
                self._send(Exhausted(id=window.recording))

    def _report(self, recording: str) -> None:
        """Tell how far a recording is, and hand it over when it is finished."""
        done, total = self._pool.progress(recording)
        self._send(Progress(id=recording, done=done, total=total))
        if done < total:
            return
        windows, hypotheses = self._pool.finish(recording)
        work = self._work.pop(recording)
        transcriber = self._recognizer.transcriber
        self._send(
            Completed(
                id=recording,
                transcript=self._recognizer.assemble(windows, hypotheses, work.speech),
                version=transcriber.version,
                device=transcriber.device,
                batch_size=self._batch_size,
                seconds=work.seconds,
            )
        )

    def _forget(self, recording: str) -> None:
        self._pool.drop(recording)
        self._formed = deque(
            kept for batch in self._formed if (kept := [window for window in batch if window.recording != recording])
        )
        self._work.pop(recording, None)


def _recordings(windows: Sequence[Window]) -> tuple[str, ...]:
    """Which recordings windows belong to, in order, each once."""
    return tuple(dict.fromkeys(window.recording for window in windows))
