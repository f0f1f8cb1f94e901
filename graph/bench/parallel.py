"""What it is worth to search independent sub-questions side by side.

Gives `run`. Questions of two and of three independent parts are made of look-ups of LiHua-World; each goes through our
graph with three hand-offs at once and with one, by turns, on the embedded engine without speeds. To every search time
is added in its thread, as an embedding or rerank server would take it. ``saved`` is the median over the questions of
1 - together / apart; ``same`` the share of questions whose answer and citations are equal both ways.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from rich.console import Console
from rich.progress import Progress

from graph.bench.answers import read_gold
from graph.bench.overhead import indexed, plain, records_of
from graph.bench.report import share
from graph.bench.watch import Watch, watched
from graph.session import Ask, Session
from infra.engine.tasks.plan import steps_of
from infra.resources import Resources
from infra.settings import Settings

DELAYS_MS = (0, 50, 200)
PARTS = (2, 3)
QUESTIONS = 8
TOGETHER, APART = 3, 1
SEED = 7


def compound(texts: Sequence[str], parts: int, number: int) -> list[str]:
    """Return up to ``number`` questions of so many independent parts, made of ``texts``, the same each time."""
    whole = [text for text in texts if len(steps_of(text)) == 1 and text.endswith("?")]
    Random(SEED).shuffle(whole)
    made = (" ".join(whole[at : at + parts]) for at in range(0, len(whole) - parts + 1, parts))
    return [text for text in made if _independent(text) == parts][:number]


def _independent(text: str) -> int:
    steps = steps_of(text)
    return 0 if any(step.get("needs") for step in steps) else len(steps)


def run(data: Path, settings: Settings, console: Console, *, questions: int = QUESTIONS) -> dict[str, Any]:
    """Measure over documents kept under the settings' data directory.

    Raises:
        ConfigurationError: ``data`` is not the folder.
        BackendError, StoreError: see `Session.ask`.
    """
    data = records_of(data)
    texts = [gold.question for gold in read_gold(data) if gold.records]
    settings = settings.model_copy(update={"data_dir": settings.data_dir / "evaluation" / "tokens"})
    roots = indexed(settings, data, console)
    with Progress(console=console, transient=True) as progress:
        asked = {parts: compound(texts, parts, questions) for parts in PARTS}
        return {"rows": asyncio.run(_rows(plain(settings), roots, asked, progress))}


async def _rows(
    settings: Settings, roots: Sequence[str], asked: dict[int, list[str]], progress: Progress
) -> list[dict[str, Any]]:
    bar = progress.add_task("Side by side", total=len(DELAYS_MS) * sum(map(len, asked.values())))
    rows: list[dict[str, Any]] = []
    async with AsyncExitStack() as stack:
        with watched(watch := Watch()):
            sessions = await _sessions(settings, stack, progress.console)
            for text in [texts[0] for texts in asked.values() if texts]:
                await _both(sessions, text, roots, turn=0)  # opens what is opened once
            for parts, texts in asked.items():
                for delay in DELAYS_MS:
                    watch.delay_seconds = delay / 1_000
                    pairs: list[_Pair] = []
                    for turn, text in enumerate(texts):
                        pairs.append(await _both(sessions, text, roots, turn=turn))
                        progress.advance(bar)
                    if pairs:
                        rows.append({"parts": parts, "delay_ms": delay, **figures_of(pairs)})
    return rows


_Pair = tuple[float, float, bool]
"""Seconds together and apart, and whether the answers are the same."""


def figures_of(pairs: Sequence[_Pair]) -> dict[str, Any]:
    """Return the medians of ``pairs``."""
    return {
        "questions": len(pairs),
        "together_s": round(median(pair[0] for pair in pairs), 4),
        "apart_s": round(median(pair[1] for pair in pairs), 4),
        "saved": round(median(1 - together / apart for together, apart, _ in pairs), 4),
        "same": share(sum(pair[2] for pair in pairs), len(pairs)),
    }


async def _sessions(settings: Settings, stack: AsyncExitStack, console: Console) -> dict[int, Session]:
    """Return a session for each number of hand-offs at once, over one index: a graph reads it when it is built."""
    resources = Resources(settings)
    sessions: dict[int, Session] = {}
    for at_once in (TOGETHER, APART):
        agents = settings.agents.model_copy(update={"parallel_tools": True, "max_parallel_calls": at_once})
        resources.settings = settings.model_copy(update={"agents": agents})
        sessions[at_once] = await stack.enter_async_context(Session(resources, console, keep_threads=False))
    return sessions


async def _both(sessions: dict[int, Session], text: str, roots: Sequence[str], *, turn: int) -> _Pair:
    """Ask both ways; which comes first changes with ``turn``."""
    seconds: dict[int, float] = {}
    said: dict[int, Any] = {}
    for at_once in (TOGETHER, APART) if turn % 2 else (APART, TOGETHER):
        began = time.perf_counter()
        answer = await sessions[at_once].ask(Ask(text, roots, cache=False))
        seconds[at_once] = time.perf_counter() - began
        said[at_once] = (answer["answer"], answer["citations"])
    return seconds[TOGETHER], seconds[APART], said[TOGETHER] == said[APART]
