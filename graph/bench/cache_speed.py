"""How fast the answer cache answers: hits, near questions and misses among many stored answers.

Gives `run`. A cache is filled with answers to generated questions (``graph.bench.cache_fill``). Then one process asks,
kind by kind in turn: the same text, the same with other capitals or courtesy, one about another thing (``near``), one
about a place that nobody asked about (``miss``). No question is asked twice, so that none is remembered. Beside each
stands the bare embedding of the same question in the same run, its vector and its token vectors in one pass;
``of_embedding`` is the ratio of the medians. At last many threads ask at once. Whatever is served is checked: ``wrong``
counts answers to other questions, ``as_meant`` is the share of the outcomes that the kind should have; what is near is
missed where a better candidate hides it. Times are wall clock in milliseconds; on a machine that is busy with other
work, the load average says what they are worth.
"""

import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.progress import Progress

from graph.bench.cache_fill import KINDS, PARTITION, Filler, Plan, answered, corpus, planned
from graph.bench.report import quantiles, share
from infra.cache.answers import AnswerCache
from infra.cache.records import Asked, Search
from infra.resources import Resources
from infra.settings import Settings
from infra.store.embeddings import TokenEmbedder
from tools.ingest import ingest
from tools.search import Retriever

ENTRIES = 10_000
ASKED = 200
"""Questions of each kind."""
WARMING = 10
"""Questions of each kind before those that count."""
THREADS = 64
ASKED_AT_ONCE = 1_024
FINDINGS = 32
MEANT = {"same_text": "hit", "rephrased": "hit", "near": "near", "miss": "miss"}


@dataclass(frozen=True, slots=True)
class _Seen:
    """One question asked: its outcome, whether another's answer was served, and milliseconds, of its embedding too."""

    milliseconds: float
    outcome: str
    wrong: bool
    embedding: float


def run(
    settings: Settings, *, entries: int = ENTRIES, data: Path | None = None, asked: int = ASKED, console: Console
) -> dict[str, Any]:
    """Fill a cache in the settings' data directory, which should be empty, and ask.

    Args:
        settings: the embedding model, and where the cache is made.
        entries: answers stored.
        data: a folder of documents that they rest on; None: a small corpus is generated.
        asked: questions of each kind.
        console: where progress is shown.

    Raises:
        ConfigurationError: more entries than there are questions.
        StoreError: the data directory cannot be written.
    """
    plan = planned(entries, WARMING + asked + ASKED_AT_ONCE // len(KINDS))
    before = os.getloadavg()[0]
    with closing(Resources(_roomy(settings))) as resources, Progress(console=console, transient=True) as progress:
        bench = _Bench(resources, plan, progress)
        started = time.perf_counter()
        bench.fill(data)
        filled = time.perf_counter()
        bench.ask("What is asked first?", "")
        opened = time.perf_counter()
        figures = bench.in_turn(asked)
        at_once = bench.at_once(WARMING + asked)
        stats = bench.cache.stats()
    return {
        "entries": stats.answers,
        "megabytes": round(stats.megabytes),
        "fill_seconds": round(filled - started, 1),
        "open_seconds": round(opened - filled, 2),
        **figures,
        "threads": at_once,
        "load_average": [round(before, 2), round(os.getloadavg()[0], 2)],
    }


def _roomy(settings: Settings) -> Settings:
    """With room for all entries, and nothing else kept that was done before."""
    room = {"enabled": True, "answers": True, "answers_max": 1_000_000, "answers_max_mb": 65_536.0}
    return settings.model_copy(update={"cache": settings.cache.model_copy(update=room)})


class _Bench:
    """One cache and what is asked of it."""

    def __init__(self, resources: Resources, plan: Plan, progress: Progress) -> None:
        self._resources = resources
        self._plan = plan
        self._progress = progress
        self._index, self._embedder = resources.index()
        self._retriever = Retriever(self._index, self._embedder, resources.settings.retrieval)

    def fill(self, data: Path | None) -> None:
        """Ingest the documents and store the answers; the cache is opened by the first question."""
        settings = self._resources.settings
        with TemporaryDirectory() as folder:
            ingest(self._index, self._embedder, [data or corpus(Path(folder) / "documents")], settings=settings.ingest)
        found = [self._retriever.search(question) for question in self._plan.stored[:FINDINGS]]
        filler = Filler(self._index, self._embedder, settings, found)
        bar = self._progress.add_task("Storing answers", total=len(self._plan.stored))
        filler.fill(self._plan.stored, lambda more: self._progress.advance(bar, more))

    @property
    def cache(self) -> AnswerCache:
        """Opened at the first call."""
        cache = self._resources.answers()
        assert cache is not None
        return cache

    def ask(self, question: str, meant: str) -> tuple[float, str, bool]:
        """Milliseconds, the outcome, and whether another question's answer was served."""
        started = time.perf_counter()
        decision = self.cache.ask(Asked(question, PARTITION), self._again)
        spent = 1_000 * (time.perf_counter() - started)
        served = decision.kept is not None and decision.outcome == "hit"
        wrong = served and decision.kept is not None and answered(decision.kept.answer) != meant
        return spent, decision.outcome, wrong

    def in_turn(self, asked: int) -> dict[str, Any]:
        """Ask ``asked`` questions of each kind one after the other, the kinds by turns; figures by kind."""
        bar = self._progress.add_task("Asking", total=(WARMING + asked) * len(KINDS))
        seen: dict[str, list[_Seen]] = {kind: [] for kind in KINDS}
        for number in range(WARMING + asked):
            for kind in KINDS:
                for question, meant in self._plan.asked[kind][number : number + 1]:
                    one = self._beside(question, meant)
                    if number >= WARMING:
                        seen[kind].append(one)
                self._progress.advance(bar)
        return {kind: _figures(kind, found) for kind, found in seen.items()}

    def at_once(self, after: int) -> dict[str, Any]:
        """Let many threads ask the questions that come ``after`` those asked before, all kinds mixed."""
        questions = [(kind, *one) for kind in KINDS for one in self._plan.asked[kind][after:]]
        Random(after).shuffle(questions)

        def answered_to(one: tuple[str, str, str]) -> tuple[float, bool, bool]:
            kind, question, meant = one
            spent, outcome, wrong = self.ask(question, meant)
            return spent, outcome == MEANT[kind], wrong

        started = time.perf_counter()
        with ThreadPoolExecutor(THREADS) as pool:
            seen = list(pool.map(answered_to, questions))
        seconds = time.perf_counter() - started
        return {
            "threads": THREADS,
            "questions": len(seen),
            "a_second": round(len(seen) / seconds, 1),
            **quantiles([spent for spent, _, _ in seen]),
            "as_meant": share(sum(meant for _, meant, _ in seen), len(seen)),
            "wrong": sum(wrong for _, _, wrong in seen),
        }

    def _beside(self, question: str, meant: str) -> _Seen:
        """One question, asked and embedded."""
        seen = self.ask(question, meant)
        started = time.perf_counter()
        if isinstance(self._embedder, TokenEmbedder):
            self._embedder.embed_both(question)
        else:
            self._embedder.embed_queries([question])
        return _Seen(*seen, 1_000 * (time.perf_counter() - started))

    def _again(self, old: Search) -> Search:
        found = self._retriever.search(old.query, roots=old.roots, context=old.context)
        passages = tuple((passage.id, passage.digest) for passage in found.passages)
        return Search(old.query, old.roots, passages, found.signal.likely, old.context)


def _figures(kind: str, seen: Sequence[_Seen]) -> dict[str, Any]:
    milliseconds, embedding = [one.milliseconds for one in seen], [one.embedding for one in seen]
    return {
        **quantiles(milliseconds),
        "embedding": quantiles(embedding),
        "of_embedding": round(median(milliseconds) / median(embedding), 2) if seen else 0.0,
        "outcomes": dict(Counter(one.outcome for one in seen)),
        "as_meant": share(sum(one.outcome == MEANT[kind] for one in seen), len(seen)),
        "wrong": sum(one.wrong for one in seen),
    }
