"""What a machine is, as far as its speed goes, found out without torch."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PROC = Path("/proc")
#: Instructions that decide which precision is fast; a virtual machine may lose them when it moves to another host.
_FEATURES = frozenset(
    {*("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni"), *("amx_bf16", "amx_int8", "asimd", "sve", "bf16")}
)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Two machines with equal fields are equally fast."""

    cpu: str
    features: tuple[str, ...]  #: instructions for matrix products, by name
    cores: int  #: real ones that this process may use
    gpus: tuple[str, ...]
    torch: str  #: its version


def this_machine(proc: Path = _PROC) -> Machine:
    """The machine that this process runs on."""
    lines = _lines(proc / "cpuinfo")
    named = dict(reversed(lines))  # of several entries of a name the first
    flags = set(named.get("flags", named.get("Features", "")).split())
    return Machine(
        cpu=named.get("model name") or platform.machine(),
        features=tuple(sorted(flags & _FEATURES)),
        cores=_cores(lines),
        gpus=_gpus(proc),
        torch=_torch(),
    )


def available_memory() -> int:
    """Bytes that programs can still have."""
    for name, value in _lines(_PROC / "meminfo"):
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _cores(lines: list[tuple[str, str]]) -> int:
    """Real cores: a second thread on the same core only gets in the way of matrix products."""
    real, package = set(), ""
    for name, value in lines:
        if name == "physical id":
            package = value
        elif name == "core id":
            real.add((package, value))
    allowed = len(os.sched_getaffinity(0))
    return min(allowed, len(real) or allowed)


def _gpus(proc: Path) -> tuple[str, ...]:
    """The models of the graphics cards that the driver knows and this process may see."""
    models = [
        value
        for file in sorted((proc / "driver/nvidia/gpus").glob("*/information"))
        for name, value in _lines(file)
        if name == "Model"
    ]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (*models, *([] if visible is None else [f"visible: {visible}"]))


def _torch() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return "missing"


def _lines(file: Path) -> list[tuple[str, str]]:
    """The lines ``name: value`` of a file of the kernel; none where there is no such file."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    parts = [line.partition(":") for line in text.splitlines()]
    return [(name.strip(), value.strip()) for name, colon, value in parts if colon]
