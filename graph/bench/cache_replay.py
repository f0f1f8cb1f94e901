"""What the answer cache saves of the model calls when questions come again, and what it costs when they do not.

Gives `run`. Questions of LiHua-World go through the whole graph. In the replay ``rephrased`` each comes once and then
eight times in other words, made by the generator's rules that keep the meaning, kind by kind; in ``identical`` nine
times as it is. The order is shuffled. Model calls are those that the answers say (``usage.llm_calls``), beside the same
stream without any cache; of the identical one, nine times the calls of each first question, since the engine's reply
is a function of its prompt. Not every answer may be kept: those that abstain are not, so the saving is given over all
questions and over those kept. The first time saves nothing, so that 8 of 9 is the most there is; ``saved_of_repeats``
leaves it out. A hit is wrong here when it cites none of the documents that the fresh answer to the same words cites. No
hit is sampled for an audit.

``miss`` is what a question costs that nobody asked before: the same questions with and without cache by turns, the
engine's speeds set, in milliseconds; ``share`` is the median of (with - without) / without, ``recall`` the time in the
cache's ``ask``, ``keep`` that of storing, which is off the question's way.
"""

import asyncio
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, ParamSpec, TypeVar

from rich.console import Console
from rich.progress import Progress

from graph.bench.answers import read_gold
from graph.bench.rephrase.amounts import ids_in
from graph.bench.rephrase.make import REPHRASINGS
from graph.bench.rephrase.rules import Source
from graph.bench.rephrase.text import Question, read
from graph.bench.rephrase.words import load_words
from graph.bench.report import quantiles, share
from graph.session import Ask, Session, prepare
from infra.cache.answers import AnswerCache
from infra.cache.records import normal
from infra.resources import Resources
from infra.settings import Settings

QUESTIONS = 40
MISSES = 40
AGAIN = 8
SEED = 5
PREFILL, DECODE = 5_000.0, 100.0
"""Tokens a second where the settings say nothing: a small model on one graphics card, so that a question is soon done
and the cache's share of it is not flattered."""
WARMING = 2

Answer = dict[str, Any]
Given = ParamSpec("Given")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Asking:
    """One question of a replay: the number of the question, and its words this time."""

    number: int
    text: str


def replay(questions: Sequence[str], *, again: Callable[[int], Sequence[str]], seed: int) -> list[Asking]:
    """Each question and what ``again`` gives for its number, shuffled; a question's own words come first."""
    left = [iter([text, *again(number)]) for number, text in enumerate(questions)]
    order = [number for number in range(len(questions)) for _ in range(1 + AGAIN)]
    Random(seed).shuffle(order)
    return [Asking(number, next(left[number])) for number in order]


def variants(question: Question, source: Source, seed: int) -> list[str]:
    """Eight rephrasings of a question, of as many kinds as fit it; fewer different ones come again."""
    found: list[str] = []
    for turn in range(AGAIN):
        for kind, rule in REPHRASINGS.items():
            changes = rule(question, source, Random(f"{seed} {turn} {kind} {question.text}"))
            fresh = (c.text for c in changes if not c.base and c.text not in {question.text, *found})
            found += list(fresh)[:1]
    return [found[number % len(found)] for number in range(AGAIN)]


def run(
    settings: Settings, data: Path, *, questions: int = QUESTIONS, misses: int = MISSES, console: Console
) -> dict[str, Any]:
    """Replay questions of the folder lihua_world under the settings' data directory, which should be empty.

    Args:
        settings: the back end is the engine, whatever they say.
        data: the folder.
        questions: how many are replayed.
        misses: how many others tell what a miss costs.
        console: where progress is shown.

    Raises:
        ConfigurationError: ``data`` is not the folder.
        StoreError: the data directory cannot be written.
    """
    texts = [gold.question for gold in read_gold(data)]
    chosen = Random(SEED).sample(texts, min(len(texts), questions + misses + WARMING))
    home = settings.data_dir
    before = os.getloadavg()[0]
    with closing(Resources(_settings(settings, home / "off", cached=False))) as resources:
        roots = prepare(resources, [data / "records"], console) or []
    for name in ("rephrased", "identical"):
        shutil.copytree(home / "off", home / name, ignore=shutil.ignore_patterns("*.sock", "*.lock"))
    with Progress(console=console, transient=True) as progress:
        bench = _Bench(settings, home, roots, progress)
        figures = asyncio.run(bench.replays(chosen[:questions]))
        miss = asyncio.run(bench.misses(chosen[questions:]))
    return {**figures, "miss": miss, "load_average": [round(before, 2), round(os.getloadavg()[0], 2)]}


def _settings(settings: Settings, folder: Path, *, cached: bool, paced: bool = False) -> Settings:
    cache = settings.cache.model_copy(update={"enabled": cached, "answers": cached, "audit_share": 0.0})
    engine = settings.engine
    if paced:
        prefill = engine.prefill_tokens_per_second or PREFILL
        decode = engine.decode_tokens_per_second or DECODE
        engine = engine.model_copy(update={"prefill_tokens_per_second": prefill, "decode_tokens_per_second": decode})
    update = {"data_dir": folder, "cache": cache, "engine": engine, "backend": "engine"}
    return settings.model_copy(update=update)


class _Watched(Resources):
    """Resources whose answer cache is timed; milliseconds of each call."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.recalls: list[float] = []
        self.keeps: list[float] = []
        self._watched = False

    def answers(self) -> AnswerCache | None:
        cache = super().answers()
        if cache is not None and not self._watched:
            self._watched = True
            cache.ask = _timed(cache.ask, self.recalls)
            cache.keep = _timed(cache.keep, self.keeps)
        return cache


def _timed(work: Callable[Given, Result], spent: list[float]) -> Callable[Given, Result]:
    def timed(*given: Given.args, **named: Given.kwargs) -> Result:
        started = time.perf_counter()
        try:
            return work(*given, **named)
        finally:
            spent.append(1_000 * (time.perf_counter() - started))

    return timed


@dataclass(frozen=True, slots=True)
class _Replayed:
    """The answers of a replay in its order, and the questions whose answers were kept."""

    answers: list[Answer]
    kept: frozenset[str]


class _Bench:
    """Asks the graph, over copies of one index."""

    def __init__(self, settings: Settings, home: Path, roots: Sequence[str], progress: Progress) -> None:
        self._settings = settings
        self._home = home
        self._roots = roots
        self._progress = progress

    async def replays(self, questions: Sequence[str]) -> dict[str, Any]:
        """Both replays, the rephrased one without cache as well."""
        words = load_words()
        asked = [read(text, words) for text in questions]
        names = sorted({one.name(span) for one in asked for span in one.names})
        source = Source(words, tuple(names), tuple(sorted({found for one in asked for found in ids_in(one)})))
        other = replay(questions, again=lambda number: variants(asked[number], source, SEED), seed=SEED)
        same = replay(questions, again=lambda number: [questions[number]] * AGAIN, seed=SEED)
        fresh = await self._answered("off", other)
        rephrased = await self._answered("rephrased", other)
        identical = await self._answered("identical", same)
        first = {one.text: answer for one, answer in zip(other, fresh.answers, strict=True)}
        kept = {number for number, text in enumerate(questions) if normal(text) in identical.kept}
        why = {one.number: _why(answer) for one, answer in zip(same, identical.answers, strict=True)}
        return {
            "questions": len(questions),
            "asked": len(other),
            "rephrased": saved(other, rephrased.answers, fresh.answers, kept),
            "identical": saved(same, identical.answers, [first[one.text] for one in same], kept),
            "kept": share(len(kept), len(questions)),
            "not_kept": dict(Counter(why[number] for number in range(len(questions)) if number not in kept)),
        }

    async def misses(self, questions: Sequence[str]) -> dict[str, Any]:
        """Each question with and without cache, in turn; the cache holds the answers of the rephrased replay."""
        bar = self._progress.add_task("Misses", total=2 * len(questions))
        watched = _Watched(_settings(self._settings, self._home / "rephrased", cached=True, paced=True))
        plain = Resources(_settings(self._settings, self._home / "off", cached=False, paced=True))
        spent: dict[str, list[float]] = {"with": [], "without": []}
        outcomes: Counter[str] = Counter()
        async with AsyncExitStack() as stack:
            sessions = {
                "with": await stack.enter_async_context(self._session(watched)),
                "without": await stack.enter_async_context(self._session(plain)),
            }
            for number, question in enumerate(questions):
                for name in ("with", "without") if number % 2 else ("without", "with"):
                    started = time.perf_counter()
                    answer = await sessions[name].ask(Ask(question, self._roots))
                    spent[name].append(1_000 * (time.perf_counter() - started))
                    await sessions[name].stored()
                    outcomes[answer["cache"]["answer"]] += name == "with"
                    self._progress.advance(bar)
        speeds = _settings(self._settings, self._home, cached=True, paced=True).engine
        on, off = spent["with"][WARMING:], spent["without"][WARMING:]
        recalls = watched.recalls[WARMING:]
        return {
            "questions": len(on),
            "prefill_tokens_per_second": speeds.prefill_tokens_per_second,
            "decode_tokens_per_second": speeds.decode_tokens_per_second,
            "outcomes": dict(+outcomes),
            "without": quantiles(off),
            "with": quantiles(on),
            "share": round(median((x - y) / y for x, y in zip(on, off, strict=True)), 4) if on else 0.0,
            "recall": quantiles(recalls),
            "recall_share": round(median(x / y for x, y in zip(recalls, off, strict=False)), 4) if recalls else 0.0,
            "keep": quantiles(watched.keeps[WARMING:]),
        }

    def _session(self, resources: Resources) -> Session:
        return Session(resources, self._progress.console, keep_threads=False)

    async def _answered(self, name: str, asked: Sequence[Asking]) -> _Replayed:
        """The answers to a replay, with a cache except in the folder ``off``."""
        bar = self._progress.add_task(f"Replay: {name}", total=len(asked))
        resources = Resources(_settings(self._settings, self._home / name, cached=name != "off"))
        answers: list[Answer] = []
        async with self._session(resources) as session:
            for one in asked:
                answers.append(await session.ask(Ask(one.text, self._roots)))
                self._progress.advance(bar)
            await session.stored()
            cache = resources.answers()
            kept = frozenset(kept.question for kept in cache.export()) if cache else frozenset[str]()
        return _Replayed(answers, kept)


def saved(
    asked: Sequence[Asking], answers: Sequence[Answer], fresh: Sequence[Answer], kept: set[int]
) -> dict[str, Any]:
    """What a replay saved; ``fresh`` are the answers to the same words without a cache."""
    rows = list(zip(asked, answers, fresh, strict=True))
    hits = [(one, answer, new) for one, answer, new in rows if _is_hit(answer)]
    wrong = [one.text for one, answer, new in hits if not new["abstained"] and _cited(answer).isdisjoint(_cited(new))]
    of_kept = [(answer, new) for one, answer, new in rows if one.number in kept]
    first = {one.number: place for place, one in reversed(list(enumerate(asked)))}
    repeats = [(answer, new) for place, (one, answer, new) in enumerate(rows) if first[one.number] != place]
    return {
        "calls_without": sum(_calls(new) for _, _, new in rows),
        "calls_with": sum(_calls(answer) for _, answer, _ in rows),
        "saved": _saving([row[1:] for row in rows]),
        "saved_of_repeats": _saving(repeats),
        "saved_of_kept": _saving(of_kept),
        "hit_rate": share(len(hits), len(repeats)),
        "hit_rate_of_kept": share(sum(_is_hit(answer) for answer, _ in of_kept), len(kept) * AGAIN),
        "hits": len(hits),
        "wrong_hits": len(wrong),
        "wrong": wrong,
        "hits_where_fresh_abstains": sum(bool(new["abstained"]) for _, _, new in hits),
    }


def _saving(rows: Sequence[tuple[Answer, Answer]]) -> float:
    without = sum(_calls(new) for _, new in rows)
    return share(without - sum(_calls(answer) for answer, _ in rows), without)


def _calls(answer: Answer) -> int:
    return answer["usage"]["llm_calls"]


def _is_hit(answer: Answer) -> bool:
    return answer["cache"]["answer"] == "hit"


def _cited(answer: Answer) -> frozenset[str]:
    return frozenset(citation["doc"] for citation in answer["citations"])


def _why(answer: Answer) -> str:
    """Why an answer was not kept, as far as it and the cache tell."""
    if answer["abstained"]:
        return "abstained"
    return str(answer["notes"][0]) if answer["notes"] else answer["cache"]["reason"]
