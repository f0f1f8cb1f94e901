"""What a question costs in tokens, calls and seconds: the stock supervisor, ours, and ours with each saving off.

Gives `run`. The same questions of LiHua-World go through every arm (`tokens_arms`): same documents, same search, same
engine with its speeds set and a prefix cache of its own, no answer and no call kept. The counts are those that the
engine reports for the messages that arrive, call by call, as the ledger has them. The seconds are run, not computed,
several questions at once: on the engine requests do not slow each other down. It has no model: it calls tools and
copies sentences by stated rules, the same for all arms, so the figures tell what each way of working sends and asks
for, not how well a model would do it. Compound questions are those in which the engine's grammar finds several parts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.progress import Progress

from graph.bench.answers import Gold, read_gold
from graph.bench.tokens_arms import Arm, settings_of, swapped
from graph.bench.tokens_figures import Row, figures_of, kind_of
from graph.bench.tokens_stock import Form, Stock
from graph.desk import LiveDesk
from graph.session import Ask, Session, prepare
from infra.errors import ConfigurationError
from infra.llm.ledger import Call
from infra.resources import Resources
from infra.settings import Settings

QUESTIONS = 24
SEED = 6
AT_ONCE = 6
UNPACED = 1e6
"""Tokens a second from which on no time passes that is worth measuring."""
PREFILL, DECODE = 1_050.0, 130.0
"""Tokens a second of the published figures for a 4B model on a 16 GB laptop card (requirements)."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is measured.

    Attributes:
        data: the folder lihua_world, or the folder it lies in.
        questions: how many, half of them compound where there are so many.
        arms: which.
        prefill: the engine's speed, tokens/s.
        decode: likewise.
        at_once: questions worked on at the same time; None: `AT_ONCE`, but one after the other where the speeds are
            no real ones, so that the prefix cache, and with it the uncached tokens, are the same in each run.
    """

    data: Path
    questions: int
    arms: Sequence[Arm]
    prefill: float = PREFILL
    decode: float = DECODE
    at_once: int | None = None

    @property
    def together(self) -> int:
        """How many questions are worked on at the same time."""
        return self.at_once or (1 if min(self.prefill, self.decode) >= UNPACED else AT_ONCE)


def run(options: Options, settings: Settings, console: Console) -> dict[str, Any]:
    """Measure the arms over documents kept under the settings' data directory.

    Raises:
        ConfigurationError: ``data`` is not the folder, or holds no question with an answer.
        BackendError, StoreError: see `Session.ask`.
    """
    data = options.data / "lihua_world" if (options.data / "lihua_world").is_dir() else options.data
    gold = questions(read_gold(data), options.questions)
    settings = settings.model_copy(update={"data_dir": settings.data_dir / "evaluation" / "tokens"})
    with closing(Resources(settings_of(Arm("", ""), settings, options.prefill, options.decode))) as resources:
        roots = prepare(resources, [data / "records"], console) or []
    rows: dict[str, list[Row]] = {}
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("", total=len(options.arms) * len(gold))
        for arm in options.arms:
            progress.update(bar, description=arm.what)
            own = settings_of(arm, settings, options.prefill, options.decode)
            with swapped(arm.swaps):
                bench = _Bench(own, arm, roots, console)
                rows[arm.name] = asyncio.run(bench.rows(gold, options.together, lambda: progress.advance(bar)))
    conditions = {
        "prefill_tokens_per_second": options.prefill,
        "decode_tokens_per_second": options.decode,
        "at_once": options.together,
    }
    return {**figures_of(rows, options.arms), "conditions": conditions}


def questions(gold: Sequence[Gold], number: int) -> list[Gold]:
    """Return a sample of the questions that have an answer, half of them compound where there are so many.

    Raises:
        ConfigurationError: there is none.
    """
    answerable = [g for g in gold if g.records]
    compound = [g for g in answerable if kind_of(g) == "compound"]
    lookup = [g for g in answerable if kind_of(g) == "lookup"]
    if not answerable:
        raise ConfigurationError("--data: no question there has an answer in the records; give the folder lihua_world")
    random = Random(SEED)
    first = random.sample(compound, min(len(compound), number // 2))
    return [*first, *random.sample(lookup, min(len(lookup), number - len(first)))]


Answers = Callable[[Gold], Awaitable[Mapping[str, Any]]]


class _Bench:
    """One arm at work; its engine's prefix cache is new."""

    def __init__(self, settings: Settings, arm: Arm, roots: Sequence[str], console: Console) -> None:
        self._settings, self._arm, self._roots, self._console = settings, arm, roots, console

    async def rows(self, gold: Sequence[Gold], at_once: int, done: Callable[[], None]) -> list[Row]:
        """Ask all questions; the calls of each are told apart by its thread."""
        calls: dict[str, list[Call]] = {one.id: [] for one in gold}
        resources = Resources(self._settings)
        resources.ledger.listen(lambda call: calls[call.scope.thread_id].append(call))
        free = asyncio.Semaphore(at_once)
        now = asyncio.get_running_loop().time

        async def row(one: Gold, answered: Answers) -> Row:
            async with free:
                began = now()
                answer = await answered(one)
                done()
                return Row(one, answer, calls[one.id], now() - began)

        async with Session(resources, self._console, keep_threads=False) as session:
            answered = await self._stock(resources, self._arm.stock) if self._arm.stock else self._ours(session)
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(row(one, answered)) for one in gold]
            except BaseExceptionGroup as several:
                raise several.exceptions[0] from several
            return [task.result() for task in tasks]

    async def _stock(self, resources: Resources, form: Form) -> Answers:
        stock = Stock(await resources.chat(), await LiveDesk(resources).searcher(), form)
        return lambda one: stock.ask(one.question, one.id, self._roots)

    def _ours(self, session: Session) -> Answers:
        return lambda one: session.ask(Ask(one.question, self._roots, thread=one.id, cache=False))
