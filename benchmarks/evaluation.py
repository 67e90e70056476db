"""What an evaluation costs beyond transcription: ``medasrd evaluate`` beside ``medasrd transcribe`` on the same recordings.

Both are whole processes that start, load the model and decode the recordings; only the former scores, draws its intervals and
stores every utterance with its alignment.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.figures import Line, Spread
from benchmarks.homes import command, temporary_home
from benchmarks.options import Options, cores, installed
from benchmarks.speech import Spoken, recordings
from benchmarks.turns import ratio, seconds_of, take_turns
from daemon.config import Config

#: An evaluation may take this much of a transcription's time.
SHARE = 1.1


@dataclass(frozen=True, kw_only=True)
class EvaluationFigures:
    """Seconds for all recordings, round by round."""

    model: str
    recordings: int
    evaluate: Spread
    transcribe: Spread

    def lines(self) -> list[Line]:
        return [
            Line(what=f"recordings, {self.model}", value=self.recordings),
            Line(what="medasrd evaluate", value=self.evaluate, unit="s"),
            Line(what="medasrd transcribe", value=self.transcribe, unit="s"),
            Line(what="evaluate / transcribe", value=ratio(self.evaluate, self.transcribe), at_most=SHARE),
        ]


def measure(options: Options) -> list[EvaluationFigures]:
    spoken = recordings(options, 96, 6)
    return [_compare(model, spoken, options.pick(3, 1)) for model in options.models]


def _compare(model: str, spoken: Sequence[Spoken], rounds: int) -> EvaluationFigures:
    installed(model)
    with temporary_home(model={"base": model, "threads": cores()}) as config:
        manifest = _manifest(config, spoken)
        files = [str(one.path) for one in spoken]
        sides = {
            "evaluate": partial(_run, config, "evaluate", "--dataset", str(manifest), "--split", "all"),
            "transcribe": partial(_run, config, "transcribe", *files),
        }
        taken = take_turns(f"evaluation, {model}", sides, rounds)
    return EvaluationFigures(
        model=model, recordings=len(spoken), evaluate=taken["evaluate"], transcribe=taken["transcribe"]
    )


def _manifest(config: Config, spoken: Sequence[Spoken]) -> Path:
    """The recordings as a dataset: a manifest beside copies of them, since its paths stay within its folder."""
    folder = config.paths.state.parent / "dataset"
    folder.mkdir()
    lines = []
    for one in spoken:
        (folder / one.path.name).write_bytes(one.path.read_bytes())
        lines.append(json.dumps({"audio": one.path.name, "text": one.reference}))
    manifest = folder / "manifest.jsonl"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def _run(config: Config, *arguments: str) -> float:
    run = partial(subprocess.run, command(config, *arguments, "--json"), check=True, stdout=subprocess.DEVNULL)
    return seconds_of(run)
