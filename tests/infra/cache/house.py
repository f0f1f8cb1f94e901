"""A tenant's documents in files, their index, and a cache over them; answers are a function of the searches."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from infra.cache import upkeep
from infra.cache.answers import AnswerCache
from infra.cache.meaning import Meaning
from infra.cache.records import Asked, Bounds, Cost, Decision, Gates, Kept, Partition, Search, normal
from infra.settings import IngestSettings, RetrievalSettings, load_settings
from infra.store import index as index_module
from infra.store import server as server_module
from infra.store.index import Index
from tests.tools.plain_vectors import PlainVectors
from tests.tools.words import WordEmbedder
from tools.evidence import Finding
from tools.ingest import ingest
from tools.search import Retriever

COST = Cost(tokens=100, seconds=2.0)
TOP_K = 3
PATIENT = partial(Bounds, ask_seconds=600.0)
CATS = "Cats sleep all day.\n"
DOGS = "Dogs chase cats in the garden.\n"
QUESTION = "Where do cats sleep?"


def quick(patch: pytest.MonkeyPatch) -> None:
    """Keep vectors in plain arithmetic: the engine takes a second to be opened and closed. Nobody is short of time."""
    patch.setattr(upkeep, "Bounds", PATIENT)
    patch.setattr(index_module, "open_edge", PlainVectors)
    patch.setattr(server_module, "BEAT_SECONDS", 0.02)


def partition_of(tenant: str = "one", *, prompts: str = "1") -> Partition:
    return Partition(tenant, ("/docs",), ("engine", "words"), prompts, f'{{"top_k": {TOP_K}}}', ("1",))


def found(index: Index, query: str, roots: Sequence[str] | None = None) -> Finding:
    return Retriever(index, WordEmbedder(), RetrievalSettings()).search(query, k=TOP_K, roots=roots)


def search_of(finding: Finding, roots: tuple[str, ...] | None = None) -> Search:
    return Search(finding.query, roots, tuple((p.id, p.digest) for p in finding.passages), finding.signal.likely)


def answer_of(finding: Finding) -> str:
    """What would be answered: the words and places of the passages; they depend on nothing else."""
    return json.dumps([(p.doc, p.start, p.end, p.text, p.section) for p in finding.passages])


class SameText:
    """The gates of who trusts nothing but the same text."""

    def unfit(self, asked: Asked) -> str:
        """Keep everything."""
        return ""

    def words(self, asked: Asked) -> str:
        """Return the question's key."""
        return asked.key

    def reading(self, asked: Asked) -> bytes:
        """Keep nothing more."""
        return b""

    def judge(self, asked: Asked, kept: Kept) -> tuple[Literal["hit", "near", "miss"], str]:
        """Serve only what was asked in the same normal text."""
        if normal(asked.text) == normal(kept.question):
            return "hit", "the same question"
        return "miss", "another question"


@dataclass
class Tenant:
    """One process of a tenant: files in ``docs``, everything else in ``data``."""

    home: Path
    name: str = "one"
    gates: Gates = field(default_factory=SameText)
    bounds: Bounds = field(default_factory=lambda: PATIENT(least_cosine=0.5))
    model: WordEmbedder | None = None
    now: float = 1_000_000.0

    def __post_init__(self) -> None:
        self.docs = self.home / "docs" / self.name
        self.docs.mkdir(parents=True, exist_ok=True)
        self.searched: list[str] = []
        self.open()

    @property
    def embedder(self) -> WordEmbedder:
        return self.model or WordEmbedder()

    def open(self) -> None:
        settings = load_settings(data_dir=self.home / "data", tenant=self.name)
        self.index = Index.open(settings, self.embedder)
        embedder = self.gates if isinstance(self.gates, Meaning) else self.embedder
        self.cache = AnswerCache(self.index, embedder, self.gates, bounds=self.bounds, clock=lambda: self.now)

    def close(self) -> None:
        self.cache.close()
        self.index.close()

    def restart(self) -> None:
        self.close()
        self.open()

    def write(self, name: str, text: str) -> None:
        (self.docs / name).write_text(text, encoding="utf-8")
        self.ingest()

    def delete(self, name: str) -> None:
        (self.docs / name).unlink()
        self.ingest()

    def ingest(self, index: Index | None = None) -> None:
        ingest(index or self.index, self.embedder, [self.docs], settings=IngestSettings())

    def asked(self, question: str) -> Asked:
        return Asked(question, partition_of(self.name))

    def search(self, old: Search) -> Search:
        self.searched.append(old.query)
        return search_of(found(self.index, old.query, old.roots), old.roots)

    def ask(self, question: str) -> Decision:
        return self.cache.ask(self.asked(question), self.search)

    def keep(self, question: str, decision: Decision, finding: Finding | None = None) -> str:
        """Answer a question as after a miss, and store the answer."""
        assert decision.generation is not None
        finding = finding or found(self.index, question)
        return self.cache.keep(
            self.asked(question), answer_of(finding), [search_of(finding)], COST, generation=decision.generation
        )

    def learn(self, question: str) -> None:
        decision = self.ask(question)
        assert decision.outcome == "miss", decision
        assert self.keep(question, decision) == ""

    def answered(self, question: str) -> str | None:
        """What the cache serves."""
        decision = self.ask(question)
        return decision.kept.answer if decision.outcome == "hit" and decision.kept else None
