"""Search: the passages that fit a query best, and a signal whether the documents hold an answer at all.

``Retriever`` is blocking and thread-safe. A search takes windows by meaning and by words, fuses them to passages
(``tools.fusion``), reads the best and orders them anew: words of the query that stand close together count, and so does
a good neighbour in the document. The signal is about one search: whoever splits a compound question has it judged part
by part. The constants were chosen on one half of the questions of three public sets (chat logs, a product manual,
essays) and are one for all; none is fitted to a set.
"""

import re
from collections.abc import Mapping, Sequence

from infra.errors import QuestionError
from infra.settings import RetrievalSettings
from infra.store.embeddings import Embedder
from infra.store.index import Index
from infra.store.records import StoredPassage
from infra.text.terms import terms
from tools.coverage import best_cover, grid_of, header_terms
from tools.evidence import Finding, Passage, Signal
from tools.fusion import Scored, fuse

WINDOWS = 200
"""Windows taken from each list; with 50, recall@1 falls by .04."""

CANDIDATES = 12
"""Passages read and ordered anew, at least."""

COVERAGE_BONUS = 2.0
"""What full coverage of the query in one small window adds to a passage's score."""

NEIGHBOUR_BONUS = 0.3
"""Share of a neighbour's lead over the last candidate that a passage gets."""

COVERAGE_SENTENCES = 4
"""Width of the small window, sentences."""

SIGNAL_PASSAGES = 5
"""Best passages the signal looks at."""

LIKELY_COVERAGE = 0.42
"""Under this coverage an answer is unlikely. Own measurement, share of answerable questions that stay above it:
LiHua-World .97 (chat logs, 291 questions, compound ones judged by their best part), anthropic_docs .96 (a manual, 100),
xquad_en .96 (encyclopaedia paragraphs, 298). Of LiHua-World's 30 questions without an answer 14 fall under it."""

_MEASURE = re.compile(
    r"\bhow\s+(?:large|big|small|long|short|old|far|high|tall|deep|wide|heavy|fast|quick|often|soon|expensive)\b",
    re.IGNORECASE,
)
"""Words that ask for a figure ("how large") and so stand in no answer: the signal does not look for them."""

MAX_TERMS = 256
"""Different terms of a query that are searched; the embedding reads about as much."""


class Retriever:
    """Searches one tenant's documents.

    Args:
        index: the documents.
        embedder: the model they were embedded with.
        settings: how many passages a search brings back.
    """

    def __init__(self, index: Index, embedder: Embedder, settings: RetrievalSettings) -> None:
        self._index = index
        self._embedder = embedder
        self._settings = settings

    def search(
        self, query: str, *, k: int | None = None, roots: Sequence[str] | None = None, context: str = ""
    ) -> Finding:
        """Return the passages that fit ``query``, best first; none when nothing is stored.

        Args:
            query: what is asked; the signal is about it alone.
            k: passages wanted, the setting ``retrieval.top_k`` by default.
            roots: absolute paths the search is limited to; None: everything.
            context: further words to search with, for instance what was found before.

        Raises:
            QuestionError: the query is empty.
            StoreError: the index cannot be read.
        """
        if not query.strip():
            raise QuestionError("The query is empty: say what to look for.")
        wanted = k or self._settings.top_k
        weights = self._index.idf(list(dict.fromkeys(terms(_MEASURE.sub("", query))))[:MAX_TERMS])
        fused = self._candidates(f"{query}\n{context}" if context else query, roots)[: max(CANDIDATES, wanted)]
        stored = {p.id: p for p in self._index.passages([s.chunk_id for s in fused], roots)}
        shares = {chunk_id: _share(passage, weights) for chunk_id, passage in stored.items()}
        ranked = _ordered([s for s in fused if s.chunk_id in stored], stored, shares)
        coverage = max((shares[s.chunk_id] for s in ranked[:SIGNAL_PASSAGES]), default=0.0)
        passages = _without_copies([_passage(stored[s.chunk_id], s.score) for s in ranked])
        return Finding(query, passages[:wanted], Signal(coverage, likely=coverage >= LIKELY_COVERAGE))

    def _candidates(self, text: str, roots: Sequence[str] | None) -> list[Scored]:
        vector = self._embedder.embed([text])[0]
        words = list(dict.fromkeys(terms(text)))[:MAX_TERMS]
        dense = self._index.dense(vector, WINDOWS, roots)
        sparse = self._index.sparse(words, WINDOWS, roots) if words else []
        return fuse(dense, sparse, limit=WINDOWS)


def _share(passage: StoredPassage, weights: Mapping[str, float]) -> float:
    given = header_terms(passage.header)
    return best_cover(grid_of(passage.text), weights, sentences=COVERAGE_SENTENCES, given=given).share


def _ordered(fused: Sequence[Scored], stored: Mapping[str, StoredPassage], shares: Mapping[str, float]) -> list[Scored]:
    """Order the candidates by fused score, coverage and neighbours; equal scores stay as they are."""
    places = {(s.document_id, stored[s.chunk_id].ordinal): s.score for s in fused}
    least = min((s.score for s in fused), default=0.0)

    def score(item: Scored) -> float:
        ordinal = stored[item.chunk_id].ordinal
        beside = [places.get((item.document_id, place), least) - least for place in (ordinal - 1, ordinal + 1)]
        return item.score + COVERAGE_BONUS * shares[item.chunk_id] + NEIGHBOUR_BONUS * sum(beside)

    anew = [Scored(item.chunk_id, item.document_id, score(item)) for item in fused]
    return sorted(anew, key=lambda item: -item.score)


def _without_copies(passages: Sequence[Passage]) -> list[Passage]:
    """Keep the best of passages that say the same to the letter."""
    return list({passage.digest: passage for passage in reversed(passages)}.values())[::-1]


def _passage(stored: StoredPassage, score: float) -> Passage:
    return Passage(stored.id, stored.doc, stored.start, stored.end, stored.text, stored.header, score, stored.digest)
