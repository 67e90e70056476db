"""The scheduled learning cycle's own process: ``python -P -m daemon.learning.child``.

It reads its order (the configuration, the slot) as one line of JSON, learns, and says one line of JSON: how it ended, or the class of the
error. It ends as soon as its standard input does, which is when the daemon ends; the next one goes on where it was.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from datetime import datetime
from typing import Any

from daemon.config import Config
from daemon.learning.cycle import learn
from daemon.learning.task import training_request
from daemon.learning.trainer import NICE
from medasr.errors import MedasrError


def main() -> None:
    """Run one cycle."""
    os.umask(0o077)
    os.nice(NICE)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries print what they like
    order = json.loads(sys.stdin.buffer.readline())
    config, slot = Config(**order["config"]), datetime.fromisoformat(order["slot"])
    threading.Thread(target=_end_with_daemon, daemon=True).start()
    answer: dict[str, Any]
    try:
        outcome = learn(config, training_request(config), trigger="scheduled", slot=slot, any_time=False)
        answer = {"outcome": str(outcome.state)}
    except MedasrError as error:
        answer = {"error": type(error).__name__}
    out.write(json.dumps(answer) + "\n")
    out.flush()


def _end_with_daemon() -> None:
    # Not through sys.stdin: a thread that waits in it makes the interpreter abort when it ends.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
