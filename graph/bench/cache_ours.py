"""DocMind's answer cache as it is asked while questions are answered, over one small document.

The real ``AnswerCache`` with the real gates decides; every answer rests on the document's one passage, so that nothing
but the question's meaning differs. A room is a partition. The bounds are the cache's own, but for the number of answers
and for the time of an ask: meaning is measured here, not speed.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from graph.bench.cache_trials import Reply
from infra.cache.answers import AnswerCache
from infra.cache.meaning import Meaning
from infra.cache.records import Asked, Bounds, Cost, Gates, Kept, Partition, Search
from infra.errors import StoreError
from infra.settings import IngestSettings, RetrievalSettings
from infra.store.embeddings import Embedder, TokenEmbedder, Vectors
from infra.store.index import Index
from tools.ingest import ingest
from tools.search import Retriever

DOCUMENT = "The office opens at nine and closes at six.\n"
COST = Cost(tokens=1, seconds=1.0)
NEVER_FULL = 1_000_000
ASK_SECONDS = 60.0

Pieces = Callable[[str], Sequence[int]]


class Noting:
    """The embedding model, which notes each question's vector, so that the peer need not work it out again."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._noted: dict[str, Vectors] = {}
        self.model_id, self.dimension, self.embed_queries = (
            embedder.model_id,
            embedder.dimension,
            embedder.embed_queries,
        )

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Pass on what the model gives, and note it."""
        vectors = self._embedder.embed(texts)
        self._noted.update(zip(texts, vectors, strict=True))
        return vectors

    def embed_tokens(self, texts: Sequence[str]) -> list[Vectors]:
        """Pass on what the model gives."""
        assert isinstance(self._embedder, TokenEmbedder)
        return self._embedder.embed_tokens(texts)

    def embed_both(self, text: str) -> tuple[Vectors, Vectors]:
        """Pass on what the model gives, and note the text's vector."""
        assert isinstance(self._embedder, TokenEmbedder)
        vector, tokens = self._embedder.embed_both(text)
        self._noted[text] = vector
        return vector, tokens

    def vector(self, text: str) -> Vectors:
        """The vector of one text, shape (dimension,)."""
        return self._noted[text] if text in self._noted else self.embed([text])[0]


class _Others:
    """The gates, which never accept a question's own entry."""

    def __init__(self, gates: Gates) -> None:
        self._gates = gates
        self.unfit, self.words, self.reading = gates.unfit, gates.words, gates.reading

    def judge(self, asked: Asked, kept: Kept) -> tuple[Literal["hit", "near", "miss"], str]:
        if asked.key == kept.key:
            return "miss", "its own entry"
        return self._gates.judge(asked, kept)


class Ours:
    """The answer cache, a partition a room.

    Args:
        folder: where its files go.
        embedder: the model that questions are compared with.
        pieces: its word pieces (see ``infra.cache.meaning``).
        others_only: never serve a question its own answer.
        least_cosine: of the candidates; None: the cache's own bound.
    """

    def __init__(
        self,
        folder: Path,
        embedder: Noting,
        pieces: Pieces | None,
        *,
        others_only: bool = False,
        least_cosine: float | None = None,
    ) -> None:
        documents = folder / "documents"
        documents.mkdir(parents=True)
        (documents / "office.txt").write_text(DOCUMENT, encoding="utf-8")
        self._vector = embedder.vector
        self._index = Index(folder / "index", embedder)
        ingest(self._index, embedder, [documents], settings=IngestSettings())
        found = Retriever(self._index, embedder, RetrievalSettings()).search("When does the office open?", k=1)
        passages = tuple((passage.id, passage.digest) for passage in found.passages)
        self._search = Search(found.query, None, passages, found.signal.likely)
        self._roots = tuple(self._index.roots())
        meaning = Meaning(embedder, pieces)
        own = Bounds()
        bounds = replace(
            own,
            answers=NEVER_FULL,
            megabytes=NEVER_FULL,
            ask_seconds=ASK_SECONDS,
            least_cosine=own.least_cosine if least_cosine is None else least_cosine,
        )
        self._cache = AnswerCache(self._index, meaning, _Others(meaning) if others_only else meaning, bounds=bounds)

    def put(self, room: str, question: str) -> bool:
        """Keep an answer; the cache refuses those to questions that point outside themselves or are personal."""
        asked = self._asked(room, question)
        return not self._cache.keep(asked, question, [self._search], COST, generation=self._index.generation)

    def get(self, room: str, question: str) -> Reply:
        """Ask; the score is the cosine of the question and its candidate.

        Raises:
            StoreError: the cache is off.
        """
        decision = self._cache.ask(self._asked(room, question), lambda _: self._search)
        if decision.outcome == "off":
            raise StoreError(f"the answer cache cannot be measured: {decision.reason}")
        return Reply(
            decision.outcome == "hit",
            decision.kept.answer if decision.kept else decision.candidate,
            self._cosine(question, decision.candidate),
            decision.outcome == "near",
            decision.reason,
        )

    def close(self) -> None:
        """Let go of the files."""
        self._cache.close()
        self._index.close()

    def _asked(self, room: str, question: str) -> Asked:
        return Asked(question, Partition("bench", self._roots, (), room, "", ()))

    def _cosine(self, question: str, candidate: str) -> float:
        return float(self._vector(question) @ self._vector(candidate)) if candidate else 0.0
