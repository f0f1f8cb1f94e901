"""Tenants that are asked the same in many ways, and what is nearly the same: the real gates over a made-up model."""

import json
import shutil
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infra.cache.answers import AnswerCache
from infra.cache.meaning import Meaning
from infra.cache.records import Asked, Decision, Partition, Search
from infra.settings import IngestSettings, RetrievalSettings, load_settings
from infra.store.index import Index
from tests.infra.cache.gates.asked import pieces
from tests.infra.cache.house import COST, TOP_K, Tenant, answer_of
from tests.tools.words import WordEmbedder
from tools.evidence import Finding
from tools.ingest import ingest
from tools.search import Retriever

SAME = (
    (
        "Where can a traveller buy a ticket for the tram?",
        "where can a traveller buy a ticket for the tram",
        "Where can a traveller purchase a ticket for the tram?",
        "Could you tell me where a traveller can buy a ticket for the tram?",
    ),
    ("What's the price of a car?", "What is the price of a car?", "what is the price of an automobile?"),
    ("When did the baker purchase the car?", "When did the baker buy the car?"),
    ("Where can't a traveller buy a ticket for the tram?",),
    ("Where can a traveller buy 2 tickets for the tram?",),
    ("Where can a traveller buy 3 tickets for the tram?",),
    ("Where can a traveller hide a ticket for the tram?",),
    ("Does the baker pay the miller?",),
    ("Does the miller pay the baker?",),
)
"""Questions with their rephrasings; those of two groups ask for different things, however alike they sound."""

GROUP = {question: number for number, questions in enumerate(SAME) for question in questions}
CONTEXT = "tram"
PART = "part"


class MadeUp(WordEmbedder):
    """Words as vectors, and token vectors in which some words mean the same; ``passes`` counts its work."""

    def __init__(self) -> None:
        self.passes: list[str] = []

    def embed_both(self, text: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.passes.append(text)
        rows = [np.random.default_rng(piece).standard_normal(64) for piece in pieces(text)]
        return self.embed([text])[0], np.array([row / np.linalg.norm(row) for row in rows], dtype=np.float32)


def made_up() -> Meaning:
    return Meaning(MadeUp(), pieces)


@dataclass(frozen=True)
class Way:
    """How a question is asked: with which version of the prompts, and whether only of a part of the documents."""

    prompts: str = "1"
    limited: bool = False


@dataclass
class Talker(Tenant):
    """A tenant whose answers rest on several searches; ``data`` is where its process keeps everything."""

    gates: Meaning = field(default_factory=made_up)  # pyright: ignore[reportIncompatibleVariableOverride]
    lives: int = 0

    def __post_init__(self) -> None:
        self.docs = self.home / "docs" / self.name
        (self.docs / PART).mkdir(parents=True, exist_ok=True)
        self.searched: list[str] = []
        self.open()

    @property
    def data(self) -> Path:
        return self.home / f"data {self.lives}" / self.name

    def open(self) -> None:
        self.index = Index.open(load_settings(data_dir=self.data, tenant=self.name), self.embedder)
        self.cache = AnswerCache(self.index, self.gates, self.gates, bounds=self.bounds, clock=self.clock)

    def clock(self) -> float:
        return self.now

    def beside(self) -> "Talker":
        """Another process of the same tenant."""
        other = copy(self)
        other.gates = made_up()
        other.open()
        return other

    def killed(self) -> None:
        """Go on with what was on the disk, as after a kill: vectors that were not put there are lost."""
        was = self.data
        self.lives += 1
        shutil.copytree(was, self.data, ignore=shutil.ignore_patterns("*.sock", "*.lock"))
        self.close()
        shutil.rmtree(was)
        self.open()

    def ways(self, question: str, way: Way) -> list[tuple[str, tuple[str, ...] | None, str]]:
        """Queries, roots and contexts of the searches that answer a question."""
        roots = (str(self.docs / PART),) if way.limited else None
        return [(question, roots, ""), (question, roots, CONTEXT)][: 1 + GROUP.get(question, 0) % 2]

    def partition(self, way: Way) -> Partition:
        roots = (str(self.docs / PART),) if way.limited else tuple(self.index.roots())
        return Partition(self.name, roots, ("engine", "words"), way.prompts, f"{TOP_K} {way.limited}", ("1",))

    def asked_so(self, question: str, way: Way) -> Asked:
        return Asked(question, self.partition(way))

    def ask_so(self, question: str, way: Way) -> Decision:
        return self.cache.ask(self.asked_so(question, way), self.search)

    def search(self, old: Search) -> Search:
        self.searched.append(old.query)
        return search_in(self.index, old)[1]

    def work(self, question: str, way: Way) -> tuple[str, list[Search]]:
        """Answer a question anew."""
        made = [search_in(self.index, Search(*one[:2], (), False, one[2])) for one in self.ways(question, way)]
        return self.said([finding for finding, _ in made], way.prompts), [search for _, search in made]

    def said(self, findings: Sequence[Finding], prompts: str) -> str:
        return json.dumps([self.name, prompts, *(answer_of(finding) for finding in findings)])

    def keep_so(self, question: str, way: Way, decision: Decision, work: tuple[str, list[Search]]) -> str:
        assert decision.generation is not None
        return self.cache.keep(self.asked_so(question, way), *work, COST, generation=decision.generation)

    def says_now(self, searches: Sequence[Search], way: Way, index: Index | None = None) -> str:
        """What an answer that rests on these searches says of the documents as they are."""
        return self.said([search_in(index or self.index, old)[0] for old in searches], way.prompts)

    def fresh(self, asked: Sequence[tuple[Sequence[Search], Way]]) -> list[str]:
        """What such answers say after an ingestion from nothing."""
        with Index.open(load_settings(data_dir=self.home / "fresh"), self.embedder) as index:
            ingest(index, self.embedder, [Path(root) for root in self.index.roots()], settings=IngestSettings())
            said = [self.says_now(searches, way, index) for searches, way in asked]
        shutil.rmtree(self.home / "fresh")
        return said


def search_in(index: Index, old: Search) -> tuple[Finding, Search]:
    """Make a search anew, as the graph does."""
    finding = Retriever(index, WordEmbedder(), RetrievalSettings()).search(
        old.query, k=TOP_K, roots=old.roots, context=old.context
    )
    passages = tuple((p.id, p.digest) for p in finding.passages)
    return finding, Search(finding.query, old.roots, passages, finding.signal.likely, old.context)
