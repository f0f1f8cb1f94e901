"""Many generated questions, and an answer cache filled with answers to them: what ``cache_speed`` measures on.

The questions are a few sentences about cities of WordNet's list and things that have nothing in common, so that each
has many neighbours that differ in one word. Their answers go through the cache's own tables and index, in pieces; they
rest on passages that a search of the documents brought, and hold the question, so that whoever is served can tell whose
answer it is.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from random import Random
from uuid import uuid4

from graph.bench.rephrase.make import REPHRASINGS
from graph.bench.rephrase.rules import Source
from graph.bench.rephrase.text import read
from graph.bench.rephrase.words import load_words
from infra.cache.data import AnswerTable
from infra.cache.gates.reading import Reading, packed, reading
from infra.cache.questions import FOLDER, Questions
from infra.cache.records import Asked, Cost, Kept, Partition, Search
from infra.errors import ConfigurationError, StoreError
from infra.resources import bounds_of
from infra.settings import Settings
from infra.store.embeddings import Embedder, MiniLM, TokenEmbedder, word_pieces
from infra.store.index import Index
from infra.store.records import digest_of
from tools.evidence import Finding

KINDS = ("same_text", "rephrased", "near", "miss")
FILLED = 2
"""One in so many of the questions that could be stored is."""
STORED_AT_ONCE = 500
CITED, QUOTE_CHARS = 3, 300
DOCUMENTS = 20
OPEN_SECONDS = 60.0
COST = Cost(tokens=2_000, seconds=3.0)
PARTITION = Partition("bench", ("/bench",), ("bench",), "bench", "{}", ("bench",))
SEED = 5

Pieces = Callable[[str], Sequence[int]]

TEMPLATES = (
    "Where can a visitor to {place} buy a {thing} early on a Sunday morning?",
    "How much does the town hall of {place} pay each year for the {thing}?",
    "When did the museum in {place} first show its {thing} to children?",
    "Who looks after the old {thing} beside the railway station of {place}?",
    "Which company repaired the {thing} at the market of {place} last winter?",
    "Why was the {thing} moved from the harbour of {place} to the school?",
    "How far is the {thing} from the church in the old part of {place}?",
    "What do the records of {place} say about the {thing} after the great fire?",
)
_WORDS = """
    anchor bakery balloon banner barrel basket bell bench bicycle blanket boiler bottle bridge camera candle canoe
    carpet chimney clock coat compass curtain desk drum engine fence flag flute fountain garden hammer helmet kettle
    ladder lantern lawn lift map mirror mural oven paddle piano pillow pump quilt ribbon rope saddle scale shovel
    spoon statue stove sundial telescope tent tower umbrella wagon wheel
"""
THINGS = tuple(_WORDS.split())


@dataclass(frozen=True, slots=True)
class Plan:
    """What is stored, and what is asked.

    Attributes:
        stored: questions whose answers are kept.
        asked: by kind, each question asked with the stored one that means the same, or "" where nothing may be served.
    """

    stored: tuple[str, ...]
    asked: dict[str, list[tuple[str, str]]]


def planned(entries: int, asked: int) -> Plan:
    """``entries`` questions to store and ``asked`` of each kind to ask; the same in every run.

    Raises:
        ConfigurationError: there are not so many.
    """
    chance = Random(SEED)
    places, things = _places(), THINGS
    wanted = -(-FILLED * max(entries, 2 * asked) // (len(TEMPLATES) * len(things)))
    most = (len(places) - 2) * len(TEMPLATES) * len(things) // FILLED
    if wanted > len(places) - 2:
        raise ConfigurationError(f"--entries {entries:,}: there are questions for {most:,} at most")
    grid = _questions(places[:wanted], things)
    chance.shuffle(grid)
    stored = grid[:entries]
    chosen = chance.sample(stored, min(entries, 2 * asked))
    same, other = chosen[::2], chosen[1::2]
    found = {
        "same_text": [(text, text) for text in same],
        "rephrased": [(rephrased(text, number), text) for number, text in enumerate(other)],
        "near": [(text, "") for text in grid[entries : entries + asked]],
        "miss": [(text, "") for text in chance.sample(_questions(places[wanted:][:2], things), asked)],
    }
    return Plan(tuple(stored), found)


def rephrased(text: str, number: int) -> str:
    """The question with other capitals, or with courtesy, in turn."""
    words = load_words()
    rule = REPHRASINGS["politeness" if number % 2 else "case"]
    changes = rule(read(text, words), Source(words), Random(number))
    return next(change.text for change in changes if change.text != text)


def _questions(places: Sequence[str], things: Sequence[str]) -> list[str]:
    return [template.format(place=p, thing=t) for template, p, t in product(TEMPLATES, places, things)]


def _places() -> list[str]:
    """Cities, each by one of its spellings."""
    cities = {
        one.synset: name
        for name, one in sorted(load_words().names.items(), reverse=True)
        if one.kind == "city" and name.isascii() and name.isalpha()
    }
    return sorted(cities.values())


def corpus(folder: Path) -> Path:
    """A small folder of documents over the words of the questions."""
    folder.mkdir(parents=True)
    places, things = _places(), THINGS
    for number, place in enumerate(places[:DOCUMENTS]):
        chance = Random(number)
        said = (f"The {chance.choice(things)} of {place} is next to the {chance.choice(things)}." for _ in range(40))
        (folder / f"{place}.txt").write_text("\n\n".join(said), encoding="utf-8")
    return folder


@dataclass(frozen=True, slots=True)
class Filler:
    """Stores answers over an index.

    Attributes:
        documents: the index of the documents.
        embedder: the model of the questions.
        settings: those of cache and embeddings.
        findings: what searches of the documents brought; answers rest on them in turn.
    """

    documents: Index
    embedder: Embedder
    settings: Settings
    findings: Sequence[Finding]

    def fill(self, questions: Sequence[str], told: Callable[[int], None]) -> None:
        """Store an answer to each question; ``told`` hears how many more are stored."""
        table = AnswerTable(self.documents.library.dependents, bounds_of(self.settings.cache))
        pieces = word_pieces(self.settings.data_dir) if isinstance(self.embedder, MiniLM) else None
        folder = self.documents.folder / FOLDER
        with Index(folder, self.embedder, qdrant=self.settings.qdrant) as index:
            following = Questions(folder, self.embedder, table, lambda: index, OPEN_SECONDS)
            for first in range(0, len(questions), STORED_AT_ONCE):
                piece = questions[first : first + STORED_AT_ONCE]
                self._put(table, index, piece, first, pieces)
                while table.outbox(1):
                    following.follow()
                told(len(piece))

    def _put(self, table: AnswerTable, index: Index, piece: Sequence[str], first: int, pieces: Pieces | None) -> None:
        vectors = self.embedder.embed(piece)
        known = {digest_of(text): vector for text, vector in zip(piece, vectors, strict=True)}
        index.library.keep_embeddings(self.embedder.model_id, known)
        tokens = self.embedder.embed_tokens(piece) if pieces and isinstance(self.embedder, TokenEmbedder) else None
        readings = [reading(text, tokens[at] if tokens else None, pieces) for at, text in enumerate(piece)]
        kept = [self._kept(text, made, first + at) for at, (text, made) in enumerate(zip(piece, readings, strict=True))]
        refused = [reason for reason in table.put_all(kept) if reason]
        if refused:
            raise StoreError(f"the answers could not be stored: {refused[0]}")

    def _kept(self, question: str, made: Reading, number: int) -> Kept:
        finding = self.findings[number % len(self.findings)]
        passages = tuple((passage.id, passage.digest) for passage in finding.passages)
        return Kept(
            key=Asked(question, PARTITION).key,
            stamp=uuid4().hex,
            partition=PARTITION.digest,
            question=question,
            answer=_answer(question, finding),
            searches=(Search(question, None, passages, likely=True),),
            generation=self.documents.generation,
            cost=COST,
            created=time.time(),
            reading=packed(made),
            words=digest_of(made.key),
        )


def answered(answer: str) -> str:
    """Whose answer it is."""
    return json.loads(answer)["question"]


def _answer(question: str, finding: Finding) -> str:
    """As long as an answer of the graph with three citations."""
    quotes = [passage.text[:QUOTE_CHARS] for passage in finding.passages[:CITED]]
    cited = [
        {"doc": passage.doc, "start": passage.start, "end": passage.start + len(quote), "quote": quote}
        for passage, quote in zip(finding.passages, quotes, strict=False)
    ]
    return json.dumps({"question": question, "answer": " ".join(quotes), "citations": cited})
