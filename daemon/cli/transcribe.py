"""``medasrd transcribe``: files straight to text, with nothing taken in and nothing stored."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.options import config_option, console, json_option

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.decode.host import DecodeServer
    from daemon.engine.host import EngineHost
    from daemon.engine.protocol import Completed
    from medasr.types import AudioFacts

#: Files decoded ahead of the model.
AHEAD = 32


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--bias",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A list of terms that are preferred in doubt, with bias.weight, as a folder of the inbox may have one.",
)
@config_option
@json_option
def transcribe(config: Config, files: tuple[Path, ...], bias: Path | None, as_json: bool) -> None:
    """Transcribe FILES and print the text with its medical terms; nothing is stored. Exit 3 if some could not be.

    With --json each file gives one line that is a JSON object, as soon as it is done.
    """
    from medasr.packs import locate

    os.umask(0o077)
    locate(config.paths.models, config.model.base)
    failed = 0
    for path, document in _transcribed(config, files, bias):
        failed += "error" in document
        if as_json:
            click.echo(json.dumps(document, ensure_ascii=False))
        else:
            _print(path, document, many=len(files) > 1)
    sys.exit(3 if failed else 0)


def _transcribed(config: Config, files: tuple[Path, ...], bias: Path | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each file with its transcript or error as JSON, as they are finished."""
    from daemon.decode.host import DecodeServer
    from daemon.engine.bias import term_lists
    from daemon.engine.host import EngineHost
    from daemon.engine.options import engine_options
    from daemon.engine.protocol import Completed, Failed
    from medasr.errors import RecordingError

    terms = "" if bias is None else "given"
    lists = term_lists(config.bias, {} if bias is None else {terms: bias})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="medasrd-")))
        decoder = stack.enter_context(DecodeServer())
        engine = EngineHost(replace(engine_options(config), term_lists=lists))
        stack.callback(engine.stop)
        stack.enter_context(_spinner())
        waiting = list(enumerate(files))
        facts: dict[str, AudioFacts] = {}
        while waiting or engine.in_flight:
            while waiting and len(engine.in_flight) < AHEAD:
                number, path = waiting.pop(0)
                samples = folder / str(number)
                try:
                    facts[str(number)] = _decode(config, decoder, path, samples)
                    engine.submit(str(number), samples, terms=terms)
                except RecordingError as error:
                    yield path, {"file": _name(path), "error": str(error.reason), "message": str(error)}
            for event in engine.poll(1.0):
                if isinstance(event, Completed):
                    path = files[int(event.id)]
                    yield path, _document(config, path, event, facts[event.id])
                elif isinstance(event, Failed):
                    yield (
                        files[int(event.id)],
                        {"file": _name(files[int(event.id)]), "error": str(event.kind), "message": ""},
                    )
                if isinstance(event, Completed | Failed):
                    (folder / event.id).unlink()
            _require_health(engine)


def _require_health(engine: EngineHost) -> None:
    from medasr.errors import EngineError

    if not engine.healthy:
        raise EngineError("the model process keeps dying; `medasrd doctor` looks for the cause")


def _decode(config: Config, decoder: DecodeServer, path: Path, samples: Path) -> AudioFacts:
    from daemon.decode.host import decode_limits

    sink = os.open(samples, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with path.open("rb") as source:
            return decoder.decode(source.fileno(), sink, decode_limits(config))
    finally:
        os.close(sink)


def _document(config: Config, path: Path, event: Completed, facts: AudioFacts) -> dict[str, Any]:
    from dataclasses import asdict

    from medasr.doubts import mark_doubtful_terms
    from medasr.lexicon import find_terms, load_lexicon

    terms = find_terms(load_lexicon(config.lexicon.extra), event.transcript.segments, event.transcript.text)
    transcript = mark_doubtful_terms(event.transcript, terms, config.quality.thresholds())
    return {
        "file": _name(path),
        "audio": asdict(facts),
        "model": asdict(event.version) | {"device": event.device},
        "engine_seconds": round(event.seconds, 3),
        "language": transcript.language,
        "verdict": asdict(transcript.verdict),
        "text": transcript.text,
        "segments": [asdict(segment) for segment in transcript.segments],
        "terms": [asdict(term) for term in terms],
    }


def _print(path: Path, document: dict[str, Any], *, many: bool) -> None:
    from rich.text import Text

    from daemon.cli.transcripts import print_terms

    if many:
        console().print(Text(_name(path), style="bold"), soft_wrap=True)
    if "error" in document:
        console(stderr=True).print(
            Text(f"{_name(path)}: {document['error']} {document['message']}", style="red"), soft_wrap=True
        )
        return
    if document["verdict"]["kind"] != "ok":
        concerns = ", ".join(concern["code"] for concern in document["verdict"]["concerns"])
        console(stderr=True).print(Text(f"{document['verdict']['kind']} {concerns}".strip(), style="yellow"))
    for segment in document["segments"]:
        console().print(Text(segment["text"]), soft_wrap=True)
    if document["terms"]:
        print_terms(document["terms"])


def _name(path: Path) -> str:
    """A path as one harmless line: it may hold escape codes, or be no UTF-8."""
    from daemon.intake.names import printable_name

    return printable_name(os.fsencode(path))


@contextmanager
def _spinner() -> Iterator[None]:
    """A sign of life on a terminal; nothing elsewhere."""
    output = console(stderr=True)
    if output.is_terminal:
        with output.status("transcribing"):
            yield
    else:
        yield
