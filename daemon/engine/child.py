"""The model child: the process that holds the weights.

Started by :mod:`daemon.engine.host` as ``python -m daemon.engine.child``. It reads requests from stdin and writes replies to
stdout (:mod:`daemon.engine.protocol`); whatever libraries print is thrown away, since it may quote a transcript. An error nobody
expected ends the process after one frame that names its class and position: the host decides what follows.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import resource
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from daemon.engine.engine import Engine, Recognizer
from daemon.engine.protocol import (
    EngineOptions,
    Fatal,
    Fault,
    FrameReader,
    Ready,
    Reply,
    Request,
    Stop,
    decode_request,
    encode_reply,
)
from medasr.errors import ConfigurationError, EngineError, ModelError
from medasr.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from medasr.lexicon import Lexicon
    from medasr.types import Hypothesis, SpeechSpan, Transcript, Waveform

#: Exit status after an error nobody expected, and after weights that cannot be used.
EXIT_FAULT = 70
EXIT_FATAL = 78

_PR_SET_PDEATHSIG = 1
_READ_BYTES = 65536


def load_recognizer(options: EngineOptions) -> Recognizer:
    """Load detector and weights; raise ModelError when the weights are missing, altered, unsafe or of the wrong kind."""
    from medasr.lexicon import find
    from medasr.packs import locate
    from medasr.recognition import assemble
    from medasr.speech import SpeechDetector, SpeechOptions, plan_windows
    from medasr.whisper.manifest import MANIFEST_FILE, require_base, verify_adapter

    model = options.model
    installed = locate(options.models, model.base)
    adapter = Path(model.adapter) if model.adapter else None
    if adapter is not None and (adapter / MANIFEST_FILE).is_file():
        require_base(verify_adapter(adapter), installed.weights_sha256)
    lexicon = _lexicon(options.lexicon)

    # Not before: torch takes seconds to import, half a minute on a busy machine, and what was altered is refused without it.
    from medasr.whisper.model import ModelOptions, choose_device
    from medasr.whisper.transcriber import load_transcriber

    # What is fastest on a GPU may be slow on the processor, or not exist there.
    holds = options.tuned_for in ("", choose_device(model.device).type)
    transcriber = load_transcriber(
        ModelOptions(
            path=installed.path,
            base_id=installed.name,
            base_revision=installed.revision,
            base_sha256=installed.weights_sha256,
            adapter=adapter,
            precision=model.precision if holds else "auto",
            device=model.device,
            language=model.language,
            beams=model.beams,
            threads=model.threads,
        ),
        wants_words=lambda text: bool(find(lexicon, text)),
        term_lists=options.term_lists,
    )
    speech_options = SpeechOptions(**options.speech.model_dump())
    detector = SpeechDetector(speech_options)
    thresholds = options.quality.thresholds()

    def plan(waveform: Waveform) -> tuple[list[SpeechSpan], list[SpeechSpan]]:
        speech = detector.detect(waveform)
        return speech, plan_windows(speech, speech_options)

    def finish(
        windows: Sequence[SpeechSpan], hypotheses: Sequence[Hypothesis], speech: Sequence[SpeechSpan]
    ) -> Transcript:
        return assemble(windows, hypotheses, speech, model.language, thresholds)

    return Recognizer(transcriber=transcriber, plan=plan, assemble=finish)


def _lexicon(extra: Sequence[Path]) -> Lexicon:
    """What is timed word by word: ours alone if a file of the user's has been damaged since the daemon read it."""
    from medasr.lexicon import load_lexicon

    try:
        return load_lexicon(extra)
    except ConfigurationError:
        return load_lexicon()


def main(load: Callable[[EngineOptions], Recognizer] = load_recognizer) -> NoReturn:
    """Serve the host until it says stop or is gone; ``load`` gives what transcribes."""
    send = _replies()
    _settle_in()
    _report_faults(send)
    requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests,), name="requests", daemon=True).start()
    options = requests.get()
    if not isinstance(options, EngineOptions):
        raise EngineError("the model process was not told its options first")
    engine = Engine(_load(load, options, send), options.model.batch_size, send)
    while True:
        while engine.idle or not requests.empty():
            engine.accept(requests.get())
        engine.step()


def _load(
    load: Callable[[EngineOptions], Recognizer], options: EngineOptions, send: Callable[[Reply], None]
) -> Recognizer:
    began = time.monotonic()
    try:
        recognizer = load(options)
    except ModelError as error:
        send(Fatal(message=str(error)))
        os._exit(EXIT_FATAL)
    # A device that cannot compute shows here, where no recording can be blamed for it.
    transcriber = recognizer.transcriber
    transcriber.transcribe([np.zeros(SAMPLE_RATE, dtype=np.float32)])
    _trim()
    send(Ready(version=transcriber.version, device=transcriber.device, load_seconds=time.monotonic() - began))
    return recognizer


def _trim() -> None:
    """Give back to the system what loading took and no longer needs, where the C library knows how."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _replies() -> Callable[[Reply], None]:
    """Keep stdout for frames alone: what libraries print goes where stderr goes."""
    descriptor = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(reply: Reply) -> None:
        rest = memoryview(encode_reply(reply))
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except BrokenPipeError:
            os._exit(0)  # the daemon is gone, and with it everybody who wants to know

    return send


def _settle_in() -> None:
    """Offline, private, and no longer lived than the daemon; stopped by it alone."""
    os.umask(0o077)
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
    # Ctrl-C in a terminal and systemd's SIGTERM reach every process; the daemon says what becomes of work in hand.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold speech
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # When the machine runs out of memory this process is the one that can be spared.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def _report_faults(send: Callable[[Reply], None]) -> None:
    """End the process on an error in any thread, after telling its class and position, never its message."""

    def report(kind: type[BaseException], trace: TracebackType | None) -> None:
        frames = traceback.extract_tb(trace)
        place = Path(frames[-1].filename) if frames else Path()
        position = f"{place.parent.name}/{place.name}:{frames[-1].lineno}" if frames else ""
        send(Fault(error=kind.__name__, position=position))
        os._exit(EXIT_FAULT)

    sys.excepthook = lambda kind, _error, trace: report(kind, trace)
    threading.excepthook = lambda details: report(details.exc_type, details.exc_traceback)


def _receive(requests: queue.SimpleQueue[Request]) -> None:
    """Read requests while the main thread computes; end the process at once on a stop, or when the daemon is gone."""
    frames = FrameReader()
    while data := os.read(sys.stdin.fileno(), _READ_BYTES):
        for body in frames.feed(data):
            request = decode_request(body)
            if isinstance(request, Stop):
                os._exit(0)
            requests.put(request)
    os._exit(0)


if __name__ == "__main__":
    main()
