"""On what the figures were taken: a figure without its machine says nothing."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

import psutil
import torch

from benchmarks.options import cores

#: Features that decide how fast matrices are multiplied.
FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve")


def machine_line() -> str:
    """Processor, cores, memory, accelerator, versions, and how busy the machine is with other things."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    load = os.getloadavg()[0]
    parts = [
        _processor(),
        f"{cores()} cores",
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        gpu,
        f"Python {platform.python_version()}",
        f"torch {version('torch')}",
        f"transformers {version('transformers')}",
        f"load before {load:.1f}",
    ]
    return ", ".join(parts)


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    present = set(flags[1].split()) if flags else set()
    found = [feature for feature in FEATURES if feature in present]
    return f"{name[1] if name else platform.machine()} ({' '.join(found)})"
