"""Whether the process grows: many questions through one session, its resident memory after every so many.

Gives `run`. Questions of LiHua-World come again and again, first with the caches off, then with them on, on the
embedded engine in process without speeds. Before each look what can be freed is freed (garbage collection, and
``malloc_trim`` where the C library has it). ``per_thousand_mb`` is the slope of a straight line through the looks from
the first on, MiB for 1,000 questions. Memory is that of the whole process, engine and embedding model included.
"""

import asyncio
import ctypes
import gc
import os
import resource
import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import linear_regression
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.progress import Progress

from graph.bench.answers import read_gold
from graph.bench.overhead import indexed, plain, records_of
from graph.session import Ask, Session
from infra.resources import Resources
from infra.settings import Settings

LOOKS = 10
"""Looks at the memory, evenly spread; the first after a tenth of the questions."""

MIB = 2**20
_KIB = 2**10


def run(data: Path, settings: Settings, console: Console, *, questions: int) -> dict[str, Any]:
    """Ask ``questions`` questions with the caches off, and as many with them on, in a copy of the index.

    Raises:
        ConfigurationError: ``data`` is not the folder.
        BackendError, StoreError: see `Session.ask`.
    """
    data = records_of(data)
    texts = [gold.question for gold in read_gold(data)]
    home = settings.data_dir / "evaluation"
    settings = settings.model_copy(update={"data_dir": home / "tokens"})
    roots = indexed(settings, data, console)
    aside = home / f"memory-{uuid4().hex}"
    figures: dict[str, Any] = {}
    try:
        shutil.copytree(settings.data_dir, aside, ignore=shutil.ignore_patterns("*.sock", "*.lock"))
        with Progress(console=console, transient=True) as progress:
            for name, cached in (("off", False), ("on", True)):
                own = plain(settings.model_copy(update={"data_dir": aside}), cached=cached)
                looks = asyncio.run(_asked(own, [texts[n % len(texts)] for n in range(questions)], roots, progress))
                figures[name] = growth(looks)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    figures["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB / MIB, 1)
    return figures


async def _asked(
    settings: Settings, texts: Sequence[str], roots: Sequence[str], progress: Progress
) -> list[tuple[int, float]]:
    """Ask one question after the other; return the looks: after how many questions, how many MiB."""
    bar = progress.add_task(f"Memory, caches {'on' if settings.cache.enabled else 'off'}", total=len(texts))
    every = max(1, len(texts) // LOOKS)
    looks: list[tuple[int, float]] = []
    async with Session(Resources(settings), progress.console, keep_threads=False) as session:
        for number, text in enumerate(texts, start=1):
            await session.ask(Ask(text, roots))
            progress.advance(bar)
            if number % every == 0:
                await session.stored()
                looks.append((number, resident_mib()))
    return looks


def growth(looks: Sequence[tuple[int, float]]) -> dict[str, Any]:
    """Return what ``looks`` (after how many questions, how many MiB) come to."""
    slope = linear_regression(*zip(*looks, strict=True)).slope if len(looks) > 1 else 0.0
    return {
        "questions": looks[-1][0],
        "first_mb": round(looks[0][1], 1),
        "last_mb": round(looks[-1][1], 1),
        "per_thousand_mb": round(1_000 * slope, 2),
        "looks": [[asked, round(mib, 1)] for asked, mib in looks],
    }


def resident_mib() -> float:
    """Return the process's resident memory in MiB, after what can be freed was freed; needs /proc."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / MIB
