"""Training processes that follow a script instead of learning: they speak the same protocol and end in the ways real ones do."""

from __future__ import annotations

import json
import sys
from pathlib import Path

_PROGRAM = """
import json, os, signal, sys, time
from pathlib import Path
acts = json.loads(sys.argv[1])
state = Path(sys.argv[2])
order = json.loads(sys.stdin.buffer.readline())
turn = len(state.read_text().splitlines()) if state.exists() else 0
with state.open("a") as file:
    file.write(json.dumps({"parts": order["parts"], "folder": order["folder"], "recipe": order["recipe"]["name"]}) + "\\n")
for act in acts[min(turn, len(acts) - 1)]:
    if act == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif act == "hang":
        time.sleep(600)
    elif isinstance(act, int):
        sys.exit(act)
    else:
        sys.stdout.write(act if isinstance(act, str) else json.dumps(act))
        sys.stdout.write("\\n")
        sys.stdout.flush()
"""

PHASE = {"news": "phase", "name": "rehearsal", "done": 1, "total": 2}
STEP = {"news": "step", "step": 1, "steps": 2, "loss": 1.5, "seconds_left": 3.0}
ASIDE = {"news": "aside"}


def done(folder: Path) -> dict[str, object]:
    """The news that a candidate lies in a folder."""
    return {
        "news": "done",
        "folder": str(folder),
        "epoch": 1,
        "interpolation": 1.0,
        "seconds": 2.0,
        "peak_memory": 2**30,
    }


def refused(error: str, message: str, failure: str | None = None) -> dict[str, object]:
    """The news that an error ended it."""
    return {"news": "refused", "error": error, "message": message, "exit_code": 1, "failure": failure}


def scripted(notes: Path, *turns: list[object]) -> tuple[str, ...]:
    """The command of a process that acts out a turn each time it is started, the last one again and again.

    An act is a line of news (a dict, or text as it is), ``"kill"``, ``"hang"``, or an exit status. What it was ordered is noted.
    """
    return (sys.executable, "-c", _PROGRAM, json.dumps(turns), str(notes))


def orders(notes: Path) -> list[dict[str, object]]:
    """What the processes were ordered, one after the other."""
    return [json.loads(line) for line in notes.read_text().splitlines()]
