"""Search: the passages that fit a query best, and a signal whether the documents hold an answer at all.

``Retriever`` is blocking and thread-safe. A search takes windows by meaning and by words, fuses them to passages
(``tools.fusion``), reads the best and orders them anew (``tools.ranking``). A question of several parts is searched
part by part as well, and names lead on from its best passages (``tools.links``). Two more orders stand behind switches:
late interaction (``tools.late``) and a rerank model on a server (``tools.rerank``). Files, folders and kinds of files
that the question names limit the search (``tools.filters``). The signal (``tools.likelihood``) is about the query as a
whole: whoever splits a compound question has each part judged on its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from loguru import logger

from infra.engine.tasks.splitting import parts
from infra.errors import QuestionError
from infra.settings import RetrievalSettings, Settings
from infra.store.embeddings import Embedder, TokenEmbedder
from infra.store.index import Index
from infra.store.records import Hit, embedded_text
from infra.store.reranker import RerankServer
from infra.text.terms import terms
from tools.copies import without_copies
from tools.evidence import Finding, Passage, Signal
from tools.filters import Limits, chosen, limits_of
from tools.fusion import fuse
from tools.late import LateInteraction
from tools.likelihood import judged, without_measures
from tools.links import Seed, bridges, phrase_terms, strengths
from tools.ranking import Asked, Ranked, heading_terms, lifted, rank, united
from tools.rerank import Reranker, reranked

WINDOWS = 300
"""Windows taken from each list; with 200, recall@1 on chat logs falls by .01, with 50 by .04."""

CANDIDATES = 30
"""Passages read and ordered anew, at least; with 12, recall@10 on a manual falls by .04."""

LINK_WINDOWS = 50
LINK_SEEDS = 5
LINK_BONUS = 0.25
"""What the strongest link adds to a passage's score; .5 is no better for questions of several parts, and worse (by .01)
for others."""

LATE_WINDOWS = 20
LATE_BONUS = 0.25
"""What one deviation of token similarity adds to a passage's score; with .75 a manual loses .01 of recall@3."""

MAX_TERMS = 256
"""Different terms of a query that are searched; the embedding reads about as much."""


@dataclass(frozen=True, slots=True)
class _Task:
    """One search: its question, further words, where it looks, and how many passages are read.

    Attributes:
        roots: what names of documents are made for.
        scopes: what it is limited to; None: everything.
    """

    question: str
    context: str
    roots: Sequence[str] | None
    scopes: Sequence[str] | None
    limits: Limits
    read: int


class Retriever:
    """Searches one tenant's documents.

    Args:
        index: the documents.
        embedder: the model they were embedded with.
        settings: how many passages a search brings back, and what orders them.
        reranker: orders the best passages at last, its number with it; None: nobody does.
    """

    def __init__(
        self,
        index: Index,
        embedder: Embedder,
        settings: RetrievalSettings,
        reranker: tuple[Reranker, int] | None = None,
    ) -> None:
        self._index = index
        self._embedder = embedder
        self._settings = settings
        self._reranker = reranker
        self._late = _late_interaction(embedder) if settings.late_interaction else None

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
        limits = limits_of(query)
        scopes = self._limited(limits, roots)
        task = _Task(query, context, roots, scopes, limits, max(CANDIDATES, wanted))
        ranked, signal = self._judged(task)
        ranked = without_copies(self._linked(task, ranked), wanted=task.read)
        ranked = self._compared(query, ranked)
        if self._reranker:
            ranked = reranked(query, ranked, self._reranker[0], top_n=self._reranker[1])
        return Finding(query, [_passage(item) for item in ranked[:wanted]], signal)

    def _limited(self, limits: Limits, roots: Sequence[str] | None) -> Sequence[str] | None:
        """Where the question wants to look, inside ``roots``."""
        if not limits.names and not limits.suffixes:
            return roots
        return chosen(limits, self._index.documents(roots)) or roots

    def _judged(self, task: _Task) -> tuple[list[Ranked], Signal]:
        """The ranking of the question and, united with it, those of its parts; the signal is the question's own."""
        ranked, windows = self._ranked(task, task.question)
        signal = judged(ranked, windows)
        found = parts(task.question) if self._settings.link_graph != "off" else []
        if len(found) < 2:  # noqa: PLR2004 - a part that is the whole is none
            return ranked, signal
        return united([ranked, *(self._ranked(task, part)[0] for part in found)]), signal

    def _ranked(self, task: _Task, question: str) -> tuple[list[Ranked], int]:
        """The passages for ``question``, and how many windows were weighed for it alone."""
        dense, sparse = self._windows(f"{question}\n{task.context}" if task.context else question, task.scopes)
        fused = fuse(dense, sparse, limit=WINDOWS, most=task.read)
        stored = {p.id: p for p in self._index.passages([item.chunk_id for item in fused], task.roots)}
        words = list(dict.fromkeys(terms(without_measures(question))))[:MAX_TERMS]
        idf = self._index.idf([*words, *heading_terms(stored.values())])
        asked = Asked({word: idf[word] for word in words}, task.limits.dates, idf)
        weighed = 0 if task.context else len({hit.window_id for hit in [*dense, *sparse]})
        return rank(fused, stored, asked), weighed

    def _windows(self, text: str, scopes: Sequence[str] | None) -> tuple[list[Hit], list[Hit]]:
        vector = self._embedder.embed_queries([text])[0]
        words = list(dict.fromkeys(terms(text)))[:MAX_TERMS]
        dense = self._index.dense(vector, WINDOWS, scopes)
        return dense, self._index.sparse(words, WINDOWS, scopes) if words else []

    def _linked(self, task: _Task, ranked: list[Ranked]) -> list[Ranked]:
        """Lift what the best passages lead to, for questions that look as if one passage does not answer them."""
        mode = self._settings.link_graph
        if not ranked or mode == "off" or (mode == "auto" and len(parts(task.question)) < 2):  # noqa: PLR2004 - parts
            return ranked
        least, most = ranked[-1].score, ranked[0].score
        span = (most - least) or 1.0
        seeds = [Seed(r.passage.text, _title(r), (r.score - least) / span) for r in ranked[:LINK_SEEDS]]
        asked = frozenset(terms(task.question))
        phrases = bridges(seeds, asked, self._index.idf(phrase_terms(seeds)))
        words = list(dict.fromkeys(term for phrase in phrases for term in phrase))
        if not words:
            return ranked
        known = {item.passage.id for item in ranked}
        hits = {hit.chunk_id: hit.window_id for hit in self._index.sparse(words, LINK_WINDOWS, task.scopes)}
        found = self._index.passages([chunk_id for chunk_id in hits if chunk_id not in known], task.roots)
        everything = [*ranked, *(Ranked(passage, hits[passage.id], least, 0.0) for passage in found)]
        gains = strengths([embedded_text(r.passage.header, r.passage.text) for r in everything], phrases)
        return lifted(everything, [LINK_BONUS * gain for gain in gains])

    def _compared(self, question: str, ranked: list[Ranked]) -> list[Ranked]:
        """Order the best anew by late interaction, where it is switched on."""
        if self._late is None or not ranked:
            return ranked
        head, rest = ranked[:LATE_WINDOWS], ranked[LATE_WINDOWS:]
        windows = {w.id: embedded_text(w.header, w.text) for w in self._index.windows([r.window_id for r in head])}
        gains = self._late.gains(question, [windows.get(r.window_id, r.passage.text) for r in head])
        anew = lifted(head, [LATE_BONUS * gain for gain in gains])
        floor = anew[-1].score - rest[0].score if rest else 0.0
        return [*anew, *lifted(rest, [min(0.0, floor)] * len(rest))]


def open_retriever(index: Index, embedder: Embedder, settings: Settings) -> Retriever:
    """Return the search that ``settings`` describe, with the rerank server where one is set."""
    server = settings.reranker
    reranker = (RerankServer(server), server.top_n) if server.base_url else None
    return Retriever(index, embedder, settings.retrieval, reranker)


def _late_interaction(embedder: Embedder) -> LateInteraction | None:
    if isinstance(embedder, TokenEmbedder):
        return LateInteraction(embedder)
    logger.warning("{} gives no token vectors: DOCMIND_RETRIEVAL__LATE_INTERACTION has no effect", embedder.model_id)
    return None


def _title(item: Ranked) -> str:
    return item.passage.header.split(" | ", 1)[0]


def _passage(item: Ranked) -> Passage:
    stored = item.passage
    place = (stored.id, stored.doc, stored.start, stored.end)
    return Passage(*place, stored.text, stored.header, item.score, stored.digest, stored.section)
