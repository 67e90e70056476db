"""What becomes of memory that the model process no longer needs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

from daemon.engine.process import MEMORY

#: Large arrays with small ones between them that stay, as tensors and texts lie in memory; prints by how much the process has grown in MiB.
_PROGRAM = """
from pathlib import Path
import numpy

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024

numpy.ones(30 << 20, dtype=numpy.uint8)
before = resident()
pairs = [(numpy.ones(12 << 20, dtype=numpy.uint8), numpy.ones(200_000, dtype=numpy.uint8)) for _ in range(20)]
staying = [small for _, small in pairs]
del pairs
print(resident() - before)
"""


def grown(environment: Mapping[str, str]) -> int:
    others = {name: value for name, value in os.environ.items() if name not in MEMORY}
    command = [sys.executable, "-c", _PROGRAM]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=others | environment)
    return int(done.stdout)


def test_large_tensors_leave_nothing_behind_when_they_are_freed() -> None:
    assert grown(MEMORY) < 20


def test_without_what_the_process_is_told_they_would() -> None:
    assert grown({}) > 200
