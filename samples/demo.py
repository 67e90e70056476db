"""What `make demo` runs: a fresh home, the real daemon, the sample recordings, and what came of them.

Everything is done with the commands that a person would type; this script only types them and waits.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

SAMPLES = Path(__file__).parent
AUDIO = (".wav", ".flac", ".ogg", ".mp3")
MEDASRD = Path(sys.executable).with_name("medasrd")
#: Longest wait for the daemon to load and transcribe the samples, seconds.
PATIENCE = 900.0

console = Console(highlight=False)


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True, help="folder for the weights, kept between runs")
    options = parser.parse_args()
    home, models = options.home.absolute(), options.models.absolute()
    config = home / "config.toml"
    # The files of a short recording are complete at once: no need to wait five seconds to see that.
    os.environ |= {"MEDASRD_PATHS__MODELS": str(models), "MEDASRD_INTAKE__SETTLE_SECONDS": "1"}

    if home.exists():
        shutil.rmtree(home)
    step("a fresh home", "medasrd", "init", home)
    step("the model", "medasrd", "models", "pull", "--config", config)
    say("the daemon", f"medasrd run --config {short(config)}")
    log = (home / "daemon.log").open("w")
    daemon = subprocess.Popen([MEDASRD, "run", "--config", config], stderr=log)
    try:
        recordings = [path for path in sorted(SAMPLES.iterdir()) if path.suffix in AUDIO]
        say("the recordings", f"cp samples/*.wav ... {short(home / 'inbox')}")
        for recording in recordings:
            shutil.copy(recording, home / "inbox")
        ended = wait(daemon, config, len(recordings))
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(60)
        log.close()
    console.rule("what was heard")
    for job in reversed(ended):
        subprocess.run([MEDASRD, "show", job["recording"], "--config", config], check=True)
        console.print()
    step("the terms", "medasrd", "terms", "--limit", "12", "--config", config)
    console.rule("where everything lies")
    for what, where in (
        ("transcripts", home / "outbox"),
        ("database", home / "state" / "medasr.db"),
        ("our copies of the recordings", home / "state" / "spool" / "recordings"),
        ("the daemon's log", home / "daemon.log"),
        ("configuration", config),
    ):
        console.print(Text(f"  {short(where):38} {what}"))
    for path in sorted((home / "outbox").iterdir()):
        console.print(Text(f"    {path.name}", style="dim"))
    console.print(f"\nTry: {short(MEDASRD)} search ibuprofen --config {short(config)}")
    if any(job["state"] not in ("done", "needs_review") for job in ended):
        sys.exit("some of the samples were not transcribed; see above")


def say(title: str, command: str) -> None:
    """Show what is done, and the command that does it."""
    console.print(Text.assemble((f"== {title}  ", "bold"), (command, "dim")))


def step(title: str, *command: object) -> None:
    """Show a command and run it."""
    words = [short(word) if isinstance(word, Path) else str(word) for word in command]
    say(title, " ".join(words))
    subprocess.run([MEDASRD, *map(str, command[1:])], check=True)


def wait(daemon: subprocess.Popen[bytes], config: Path, expected: int) -> list[dict[str, Any]]:
    """Wait until every recording has ended and its files are delivered; show each change of state."""
    shown: dict[int, str] = {}
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if daemon.poll() is not None:
            sys.exit(f"the daemon ended by itself ({daemon.returncode}); its log is {config.parent / 'daemon.log'}")
        jobs: list[dict[str, Any]] = json.loads(
            subprocess.run(
                [MEDASRD, "jobs", "list", "--json", "--config", config], check=True, stdout=subprocess.PIPE
            ).stdout
        )
        for job in reversed(jobs):
            if shown.get(job["job"]) != job["state"]:
                shown[job["job"]] = job["state"]
                console.print(Text(f"   {job['name']:32} {job['state']}"))
        if len(jobs) == expected and all(job["delivered"] for job in jobs):
            return jobs
        time.sleep(0.3)
    sys.exit(f"not done after {PATIENCE:.0f} s; the daemon's log is {config.parent / 'daemon.log'}")


def short(path: object) -> str:
    """A path as one would type it here."""
    return str(path).removeprefix(f"{Path.cwd()}/")


if __name__ == "__main__":
    main()
