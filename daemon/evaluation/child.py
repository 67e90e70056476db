"""The scheduled evaluation's own process: ``python -P -m daemon.evaluation.child``.

It reads its order (the configuration, the slot) as one line of JSON, evaluates at low priority, and says one line of JSON: the number of the evaluation,
or the class of the error. It ends as soon as its standard input does, which is when the daemon ends.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

from daemon.config import Config
from daemon.evaluation.evaluation import evaluate
from daemon.evaluation.plan import EvaluationRequest, plan_evaluation
from medasr.errors import MedasrError

#: Below the service's own processes; the model child inherits it.
NICE = 10


def main() -> None:
    """Evaluate the model that serves on the configured dataset."""
    os.umask(0o077)
    os.nice(NICE)
    config = Config(**json.loads(sys.stdin.buffer.readline())["config"])
    threading.Thread(target=_end_with_daemon, daemon=True).start()
    options = config.evaluation
    request = EvaluationRequest(dataset=options.dataset, split=options.split, trigger="scheduled")
    answer: dict[str, Any]
    try:
        plan = plan_evaluation(config, request)
        answer = {"evaluation": evaluate(config, plan, lambda _done, _total: None)}
    except MedasrError as error:
        answer = {"error": type(error).__name__}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _end_with_daemon() -> None:
    # Not through sys.stdin: a thread that waits in it makes the interpreter abort when it ends.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
