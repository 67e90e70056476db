"""One program in a process of its own: reads its order and then what to transcribe, a line of JSON each; answers in lines of JSON."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import time
from dataclasses import asdict
from pathlib import Path


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print what they like
    order = json.loads(sys.stdin.readline())
    if order["program"] != "medasr":
        # How medasr's threads wait is medasr's choice; the others wait as they do by themselves.
        os.environ.pop("OMP_WAIT_POLICY", None)
    module = importlib.import_module(f"benchmarks.programs.{order['program']}")
    transcribe = module.load(order["model"], **order["setting"])
    for line in sys.stdin:
        task = json.loads(line)
        began = time.perf_counter()
        written = transcribe([Path(one) for one in task["recordings"]], task["way"])
        seconds = time.perf_counter() - began
        answer = {
            "seconds": seconds,
            "written": [asdict(one) for one in written],
            "peak_bytes": _peak_bytes(),
        }
        out.write(json.dumps(answer) + "\n")
        out.flush()


def _peak_bytes() -> int:
    """The most memory of this process so far; unlike getrusage's, it does not begin with that of the parent."""
    found = re.search(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    main()
