"""A program's process as the comparison sees it, and the programs there are."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.options import ROOT
from benchmarks.programs.written import Written
from daemon.engine.process import ENVIRONMENT, MEMORY


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program in one setting."""

    name: str
    module: str  #: in this package
    package: str  #: what has to be installed, by the name it is imported by
    setting: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def here(self) -> bool:
        """Whether it is installed."""
        return importlib.util.find_spec(self.package) is not None


MEDASR = Program(name="medasr", module="medasr", package="medasr", setting={"adapter": "serving"})
STOCK = Program(name="medasr, stock weights", module="medasr", package="medasr", setting={"adapter": ""})
INT8, FLOAT32 = (
    Program(
        name=f"faster-whisper {precision}",
        module="faster_whisper",
        package="faster_whisper",
        setting={"precision": precision},
    )
    for precision in ("int8", "float32")
)
OTHERS = (
    Program(name="openai-whisper", module="openai_whisper", package="whisper"),
    Program(name="transformers pipeline", module="transformers_pipeline", package="transformers"),
    Program(name="whisper.cpp", module="whisper_cpp", package="pywhispercpp"),
)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a program wrote of recordings, and what that took."""

    written: tuple[Written, ...]
    seconds: float
    peak_bytes: int  #: of its process until then


class Running:
    """A program that has loaded a model; ends with the ``with`` it stands in."""

    def __init__(self, program: Program, model: str) -> None:
        self._name = program.name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.programs.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            # As the daemon starts its own; the others run as they do by themselves.
            env={**ENVIRONMENT, **MEMORY, **os.environ} if program.module == MEDASR.module else None,
        )
        self._say({"program": program.module, "model": model, "setting": program.setting})

    def transcribe(self, recordings: Sequence[Path], way: str) -> Taken:
        """What it writes, each recording once. Raise RuntimeError when it has ended; stderr says why."""
        self._say({"recordings": [str(one) for one in recordings], "way": way})
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} ended with {self._process.wait()}; what it said stands above")
        answer = json.loads(line)
        written = [
            Written(text=one["text"], spans=tuple((start, end) for start, end in one["spans"]))
            for one in answer["written"]
        ]
        return Taken(written=tuple(written), seconds=answer["seconds"], peak_bytes=answer["peak_bytes"])

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def _say(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # that it has ended shows when nothing is answered
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
