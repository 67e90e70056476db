"""Commands on a store of 100,000 transcripts, each as a person waits for it: a whole process from start to end.

What a search takes beyond start-up is what it takes beyond the same command on an empty store; the commands take turns.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.figures import Line, Spread, tell
from benchmarks.filled_store import fill
from benchmarks.homes import MEDASRD, command, temporary_home
from benchmarks.options import Options
from daemon.config import Config
from daemon.store.connection import Store

STATUS_SECONDS = 0.5
SEARCH_SECONDS = 0.2
#: From a word that every transcript holds to one that a single one does.
SEARCHES = {
    "a word of every transcript": "the",
    "two words of nearly every one": "pain doctor",
    "a phrase": '"high blood pressure"',
    "a drug, rarely heard": "amoxicillin",
    "one visit": "number 4711",
}
OTHERS = {
    "jobs list": ("jobs", "list"),
    "jobs list --state needs_review": ("jobs", "list", "--state", "needs_review"),
    "terms": ("terms",),
    "terms ibuprofen": ("terms", "ibuprofen"),
}


@dataclass(frozen=True, kw_only=True)
class StoreFigures:
    """Seconds of whole processes."""

    transcripts: int
    database_bytes: int
    torch_imported: bool  #: by ``medasrd status``
    version: Spread
    status: Spread
    empty_search: Spread
    searches: Mapping[str, Spread]
    others: Mapping[str, Spread]

    def lines(self) -> list[Line]:
        return [
            Line(what="transcripts", value=self.transcripts),
            Line(what="database", value=self.database_bytes / 2**20, unit="MiB"),
            Line(what="medasrd --version", value=self.version, unit="s"),
            Line(what="medasrd status", value=self.status, unit="s", at_most=STATUS_SECONDS),
            Line(what="  imports of torch in it", value=int(self.torch_imported), at_most=0),
            Line(what="medasrd search on an empty store", value=self.empty_search, unit="s"),
            *(
                Line(
                    what=f"  more for {what}",
                    value=_beyond(spread, self.empty_search),
                    unit="s",
                    at_most=SEARCH_SECONDS,
                )
                for what, spread in self.searches.items()
            ),
            *(Line(what=f"medasrd {what}", value=spread, unit="s") for what, spread in self.others.items()),
        ]


def measure(options: Options) -> StoreFigures:
    transcripts = options.pick(100_000, 10_000)
    with temporary_home() as empty, temporary_home() as config:
        store = Store(config.paths.database, writable=True)
        try:
            fill(store, transcripts)
        finally:
            store.close()
        commands = {
            "version": [*MEDASRD, "--version"],
            "status": command(config, "status"),
            "empty": command(empty, "search", "the"),
            **{f"search {what}": command(config, "search", query) for what, query in SEARCHES.items()},
            **{what: command(config, *arguments) for what, arguments in OTHERS.items()},
        }
        seconds = _seconds(commands, options.pick(7, 3))
        return StoreFigures(
            transcripts=transcripts,
            database_bytes=config.paths.database.stat().st_size,
            torch_imported=_imports_torch(config),
            version=seconds["version"],
            status=seconds["status"],
            empty_search=seconds["empty"],
            searches={what: seconds[f"search {what}"] for what in SEARCHES},
            others={what: seconds[what] for what in OTHERS},
        )


def _seconds(commands: Mapping[str, list[str]], rounds: int) -> dict[str, Spread]:
    """Wall seconds of each command, run in turn; the first round only warms the caches."""
    taken: dict[str, list[float]] = {what: [] for what in commands}
    for number in range(rounds + 1):
        tell(f"store: round {number} of {rounds}")
        for what, line in commands.items():
            began = time.perf_counter()
            subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
            taken[what].append(time.perf_counter() - began)
    return {what: Spread(values=tuple(values[1:])) for what, values in taken.items()}


def _beyond(spread: Spread, base: Spread) -> Spread:
    """Round by round, so that what slows both cancels out."""
    return Spread(values=tuple(value - less for value, less in zip(spread.values, base.values, strict=True)))


def _imports_torch(config: Config) -> bool:
    """Whether ``medasrd status`` imports torch; Python lists what it imports."""
    _, *rest = command(config, "status")
    listed = subprocess.run([sys.executable, "-X", "importtime", *rest], check=True, capture_output=True, text=True)
    return any(line.rpartition("|")[2].strip() == "torch" for line in listed.stderr.splitlines())
