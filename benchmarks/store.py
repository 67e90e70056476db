"""Commands on a store of 100,000 transcripts, each as a person waits for it: a whole process from start to end.

What a search takes beyond start-up is what it takes beyond the same command on an empty store; the commands take turns.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from benchmarks.figures import Line, Spread
from benchmarks.filled_store import fill
from benchmarks.homes import MEDASRD, command, temporary_home
from benchmarks.options import Options
from benchmarks.turns import beyond, seconds_of, take_turns
from daemon.config import Config
from daemon.store.connection import Store

STATUS_SECONDS = 0.5
SEARCH_SECONDS = 0.2
#: From a word that every transcript holds to one that a single one does; one for a rare drug is added.
SEARCHES = {
    "a word of every transcript": "the",
    "two words of nearly every one": "pain doctor",
    "a phrase": '"high blood pressure"',
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
                    value=beyond(spread, self.empty_search),
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
        searches = {**SEARCHES, "a drug, rarely heard": f'"{_rarest_drug(config)}"'}
        commands = {
            "version": [*MEDASRD, "--version"],
            "status": command(config, "status"),
            "empty": command(empty, "search", "the"),
            **{f"search {what}": command(config, "search", query) for what, query in searches.items()},
            **{what: command(config, *arguments) for what, arguments in OTHERS.items()},
        }
        for line in commands.values():
            _run(line)  # so that all meet warm caches
        sides = {what: partial(seconds_of, partial(_run, line)) for what, line in commands.items()}
        seconds = take_turns("store", sides, options.pick(7, 3))
        return StoreFigures(
            transcripts=transcripts,
            database_bytes=config.paths.database.stat().st_size,
            torch_imported=_imports_torch(config),
            version=seconds["version"],
            status=seconds["status"],
            empty_search=seconds["empty"],
            searches={what: seconds[f"search {what}"] for what in searches},
            others={what: seconds[what] for what in OTHERS},
        )


def _run(line: list[str]) -> None:
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)


def _rarest_drug(config: Config) -> str:
    query = "SELECT term FROM term_hits WHERE category = 'drug' GROUP BY term ORDER BY count(*), term LIMIT 1"
    with closing(sqlite3.connect(f"file:{config.paths.database}?mode=ro", uri=True)) as connection:
        return str(connection.execute(query).fetchone()[0])


def _imports_torch(config: Config) -> bool:
    """Whether ``medasrd status`` imports torch; Python lists what it imports."""
    _, *rest = command(config, "status")
    listed = subprocess.run([sys.executable, "-X", "importtime", *rest], check=True, capture_output=True, text=True)
    return any(line.rpartition("|")[2].strip() == "torch" for line in listed.stderr.splitlines())
