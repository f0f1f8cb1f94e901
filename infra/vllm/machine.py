"""The machine at hand: its GPUs, cores and main memory. Where the system does not say, a figure is 0."""

import os
from pathlib import Path

from infra.vllm.facts import Machine
from infra.vllm.gpus import installed

_MEMINFO = Path("/proc/meminfo")
_MAX_BYTES = 64 << 10


def here() -> Machine:
    """Return what this machine has."""
    total, free = _memory()
    return Machine(gpus=installed(), cpu_cores=_cores(), ram_bytes=total, ram_free_bytes=free)


def _cores() -> int:
    """Return the cores this process may use: fewer than there are where it is bound to some."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _memory() -> tuple[int, int]:
    """Return bytes of main memory, and of it what can be had without swapping."""
    try:
        with _MEMINFO.open("rb") as file:
            text = file.read(_MAX_BYTES).decode("ascii", "replace")
    except OSError:  # not Linux
        return _pages("SC_PHYS_PAGES"), _pages("SC_AVPHYS_PAGES")
    rows = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return _kibibytes(rows.get("MemTotal", "")), _kibibytes(rows.get("MemAvailable", ""))


def _kibibytes(text: str) -> int:
    word = text.split()[0] if text.split() else ""
    return int(word) << 10 if word.isdigit() else 0


def _pages(name: str) -> int:
    try:
        return max(0, os.sysconf(name) * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return 0
