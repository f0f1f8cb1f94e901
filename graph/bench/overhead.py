"""What a question takes beside its model calls and its searches: ours, and the stock supervisor in the same run.

Gives `run`. The same questions of LiHua-World go, one at a time and by turns, through ours without a checkpointer, ours
with one (as ``--thread`` has it, each question a conversation of its own), ours with the answer cache on (where nobody
asked before, and once more where the answer was kept), and the stock supervisor: same documents, same search, the
embedded engine in process with no speeds set. Of the seconds from end to end the time is taken off during which a model
call or a search was under way (`watch`); the rest is ``overhead``. Two other ways to count stand beside it: ``strict``
takes off only the engine's own work, so that reading a streamed reply counts, which a real server's pace hides;
``said`` is what the answer itself says (``seconds.overhead``), which counts the guard's work with the model and all of
the retrieval agent's with retrieval. ``loop_cpu`` is the processor time of the event loop's thread, the engine's pieces
and the client's reading included; it hardly depends on what else the machine does. All in milliseconds. Conversations
and kept answers lie in copies of the data directory, which are removed.

``steps`` are our graph's nodes in the run without a checkpointer (``recall`` with the cache on), each time one was
called: its time without model calls; ``retrieval`` has the search in it.
"""

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.progress import Progress

from graph.bench.answers import Gold, read_gold
from graph.bench.overhead_figures import Row, figures_of, kept
from graph.bench.tokens import questions
from graph.bench.tokens_arms import Arm, settings_of
from graph.bench.tokens_stock import Form, Stock
from graph.bench.watch import Watch, watched
from graph.desk import LiveDesk
from graph.session import Ask, Session, prepare
from infra.measure.spans import Span
from infra.resources import Resources
from infra.settings import EngineSettings, Settings

QUESTIONS = 60
WARMING = (
    "What was said about the weather?",
    "Who cooked the dinner and who washed the dishes?",
    "Which film was the best one?",
    "When did the train leave and where did it stop?",
)
"""Asked first and not counted: what is opened and built once is no question's overhead."""

Answers = Callable[[str], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Options:
    """What is measured.

    Attributes:
        data: the folder lihua_world, or the folder it lies in.
        questions: how many, half of them compound where there are so many.
    """

    data: Path
    questions: int = QUESTIONS


def records_of(data: Path) -> Path:
    """Return the folder lihua_world, given itself or the folder it lies in."""
    return data / "lihua_world" if (data / "lihua_world").is_dir() else data


def plain(settings: Settings, *, cached: bool = False) -> Settings:
    """Return the settings of the measurements: the engine without speeds, no budget, the caches as ``cached`` says."""
    engine = EngineSettings(prefill_tokens_per_second=None, decode_tokens_per_second=None)
    made = settings_of(Arm("", ""), settings, 1.0, 1.0).model_copy(update={"engine": engine})
    cache = settings.cache.model_copy(update={"enabled": cached, "answers": cached, "audit_share": 0.0})
    return made.model_copy(update={"cache": cache})


def indexed(settings: Settings, data: Path, console: Console) -> list[str]:
    """Bring the records' index under the settings' data directory up to date; return the roots."""
    with closing(Resources(plain(settings))) as resources:
        return prepare(resources, [data / "records"], console) or []


def run(options: Options, settings: Settings, console: Console) -> dict[str, Any]:
    """Measure over documents kept under the settings' data directory.

    What is asked is asked in two copies, one of them with caches: conversations and answers go with them.

    Raises:
        ConfigurationError: ``data`` is not the folder, or holds no question with an answer.
        BackendError, StoreError: see `Session.ask`.
    """
    data = records_of(options.data)
    gold = questions(read_gold(data), options.questions)
    home = settings.data_dir / "evaluation"
    settings = settings.model_copy(update={"data_dir": home / "tokens"})
    before = os.getloadavg()[0]
    roots = indexed(settings, data, console)
    aside = home / f"overhead-{uuid4().hex}"
    try:
        asked, caching = (_copied(settings, aside / name) for name in ("asked", "caching"))
        with Progress(console=console, transient=True) as progress:
            bench = _Bench(asked, caching, roots, progress)
            rows = asyncio.run(bench.rows(gold))
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return {**figures_of(rows), "load_average": [round(before, 2), round(os.getloadavg()[0], 2)]}


def _copied(settings: Settings, folder: Path) -> Settings:
    """Return the settings of a copy of the data directory."""
    shutil.copytree(settings.data_dir, folder, ignore=shutil.ignore_patterns("*.sock", "*.lock", "threads.sqlite3*"))
    return settings.model_copy(update={"data_dir": folder})


class _Bench:
    """All arms open at once, asked by turns."""

    def __init__(self, settings: Settings, caching: Settings, roots: Sequence[str], progress: Progress) -> None:
        self._settings, self._caching, self._roots, self._progress = settings, caching, roots, progress
        self._watch = Watch()

    async def rows(self, gold: Sequence[Gold]) -> dict[str, list[Row]]:
        """Ask all arms every question; see `turns`."""
        bar = self._progress.add_task("Overhead", total=len(gold))
        async with AsyncExitStack() as stack:
            with watched(self._watch):
                arms, stored = await self._opened(stack)
                rows: dict[str, list[Row]] = {name: [] for name in (*arms, "ours_again")}
                for text in WARMING:
                    for answered in arms.values():
                        await answered(text)
                for one, names in turns(gold, [*arms]):
                    for name in names:
                        rows[name].append(await self._row(one, arms[name]))
                        await stored()
                    again = await self._row(one, arms["ours_cache"])
                    rows["ours_again"] += [again] if kept(again) else []
                    self._progress.advance(bar)
        return rows

    async def _opened(self, stack: AsyncExitStack) -> tuple[dict[str, Answers], Callable[[], Awaitable[None]]]:
        """Return the arms, and what waits until answers are kept."""
        console = self._progress.console
        resources = Resources(plain(self._settings))
        without = await stack.enter_async_context(Session(resources, console, keep_threads=False))
        saving = await stack.enter_async_context(Session(resources, console, keep_threads=True))
        cached = Resources(plain(self._caching, cached=True))
        caching = await stack.enter_async_context(Session(cached, console, keep_threads=False))
        stock = Stock(await resources.chat(), await LiveDesk(resources).searcher(), Form())
        arms: dict[str, Answers] = {
            "ours": lambda text: without.ask(Ask(text, self._roots, cache=False)),
            "ours_thread": lambda text: saving.ask(Ask(text, self._roots, thread=str(uuid4()), cache=False)),
            "ours_cache": lambda text: caching.ask(Ask(text, self._roots)),
            "stock": lambda text: stock.ask(text, str(uuid4()), self._roots),
        }
        return arms, caching.stored

    async def _row(self, one: Gold, answered: Answers) -> Row:
        self._watch.clear()
        processor, began = time.thread_time(), time.perf_counter()
        answer = await answered(one.question)
        whole, spent = Span(began, time.perf_counter()), time.thread_time() - processor
        seen = self._watch
        return Row(one, answer, whole, spent, [*seen.calls], [*seen.work], [*seen.searches], [*seen.steps])


def turns(gold: Sequence[Gold], arms: Sequence[str]) -> Iterator[tuple[Gold, list[str]]]:
    """Yield the questions, of which the compound ones come first, with both kinds in turn, and the arms in their order.

    Each pair of a compound question and a look-up begins with another arm, so every arm begins as often for each kind.
    """
    half = len(gold) // 2
    pairs = zip(gold[:half], gold[half:], strict=False)
    mixed = [*(one for pair in pairs for one in pair), *gold[2 * half :]]
    for number, one in enumerate(mixed):
        first = number // 2 % len(arms)
        yield one, [*arms[first:], *arms[:first]]
