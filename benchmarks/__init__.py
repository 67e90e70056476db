"""Speed and memory against their limits, and beside other programs; see docs/benchmarks.md."""

import os

from daemon.engine.process import ENVIRONMENT

# Models that run in this process wait for each other as those in the daemon's child do. It counts when torch is imported.
for name, value in ENVIRONMENT.items():
    os.environ.setdefault(name, value)
