"""The narrow door to what is stored: library (SQLite), vectors and embedder as one thing for readers and for ingestion.

SQLite is the truth; the vector store follows it and is repaired from it. All methods are synchronous, thread-safe, and
may block for milliseconds: callers on an event loop use ``asyncio.to_thread``. ``roots`` limits a call to documents
that lie under these absolute paths (roots, folders in them, or single files); None means everything. Names of
documents (``doc``) are made for the roots in play: the given ones, or all (see ``infra.store.roots``).
"""

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import RLock
from typing import Self

import numpy as np
from numpy.typing import NDArray

from infra.settings import QdrantSettings, Settings
from infra.store.collection import Collection, VectorHome
from infra.store.database import Database
from infra.store.embeddings import Embedder
from infra.store.follow import Progress, Truth, counted_terms, no_progress
from infra.store.library import SCHEMA, Library, refuse_other_version
from infra.store.lookup import Lookup
from infra.store.memory import EmbeddingMemory
from infra.store.owner import INGESTION, Ownership, make_folder
from infra.store.records import (
    Chunk,
    Counts,
    DocumentInfo,
    Entry,
    Hit,
    Span,
    StoredPassage,
    StoredWindow,
    embedded_text,
)
from infra.store.roots import wanted_scopes
from infra.store.shared import SharedVectors
from infra.store.vectors import Bm25, open_edge
from infra.text.terms import VERSION as TERMS_VERSION

BM25 = Bm25()
VECTORS_VERSION = 3
INGESTION_WAIT_SECONDS = 10.0
"""How long one ingestion waits for another one's end."""


def tenant_folder(settings: Settings) -> Path:
    """Where everything of the settings' tenant is kept."""
    return settings.data_dir / "tenants" / settings.tenant


class Index:
    """One tenant's documents.

    Any number of processes may have it open, read and change it. The vectors are owned by one of them, which the others
    ask; callers need not know which (see ``infra.store.shared``).
    """

    def __init__(
        self,
        folder: Path,
        embedder: Embedder,
        *,
        progress: Progress = no_progress,
        qdrant: QdrantSettings | None = None,
    ) -> None:
        """Open the index in ``folder``; see ``open``."""
        self.folder = folder
        self._writing = RLock()
        make_folder(folder)
        with ExitStack() as undo:
            self._database = Database(folder / "library.sqlite3", SCHEMA, durable=True, check=refuse_other_version)
            undo.callback(self._database.close)
            self.library = Library(self._database)
            self._lookup = Lookup(self._database)
            self._memory = EmbeddingMemory(self.library, embedder)
            truth = Truth(self.library, self._lookup, self._memory)
            self._vectors = SharedVectors(_home(folder, embedder, qdrant), truth, progress)
            undo.pop_all()

    @classmethod
    def open(cls, settings: Settings, embedder: Embedder, *, progress: Progress = no_progress) -> Self:
        """Open (or create) the tenant's index and repair what a killed process left half done.

        Args:
            settings: whose, and where.
            embedder: the model that its vectors are made with; vectors of another one are made anew, beside the old.
            progress: told how many documents of how many are repaired or made anew.

        Raises:
            StoreLocked: another process owns the vectors and cannot be asked: it uses another embedding model.
            StoreError: the data directory cannot be read or written.
        """
        return cls(tenant_folder(settings), embedder, progress=progress, qdrant=settings.qdrant)

    def close(self) -> None:
        """Put everything on the disk and hand the index back; safe to call twice."""
        with self._writing:
            try:
                self._vectors.close()
            finally:
                self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def owns(self) -> bool:
        """Whether this process owns the vectors now; for people and tests."""
        return self._vectors.owns

    @contextmanager
    def ingesting(self, *, wait_seconds: float | None = None) -> Generator[None]:
        """Be the only ingestion into this index meanwhile; everything is on the disk afterwards.

        Args:
            wait_seconds: how long to wait for another one's end; None: ten seconds.

        Raises:
            StoreLocked: another one is still at work after ``wait_seconds``; the message says which process.
        """
        wait = INGESTION_WAIT_SECONDS if wait_seconds is None else wait_seconds
        held = Ownership(self.folder, name=INGESTION, wait_seconds=wait)
        try:
            yield
            self.settle()
        finally:
            held.release()

    @property
    def generation(self) -> int:
        """A number that grows with every change of what is stored."""
        return self.library.generation()

    def roots(self) -> list[str]:
        """Absolute paths of the roots ingested, sorted."""
        return self.library.roots()

    def counts(self, roots: Sequence[str] | None = None) -> Counts:
        """How many documents, chunks and windows lie under ``roots``."""
        return self._lookup.counts(self._in_play(roots))

    def documents(self, roots: Sequence[str] | None = None) -> list[DocumentInfo]:
        """The documents under ``roots``, sorted by path."""
        return self._lookup.documents(self._in_play(roots))

    def text_of(self, document_id: str) -> str:
        """The extracted text of a document. Raises KeyError for an id that is not (or no longer) stored."""
        return self._lookup.text_of(document_id)

    def text_named(self, doc: str, roots: Sequence[str] | None = None) -> str | None:
        """The extracted text of the document that carries this name for these roots, or None."""
        named = (document.id for document in self.documents(roots) if document.doc == doc)
        return next((self.text_of(document_id) for document_id in named), None)

    def passages(self, chunk_ids: Sequence[str], roots: Sequence[str] | None = None) -> list[StoredPassage]:
        """The chunks with these ids in this order; ids that are no longer stored are left out."""
        return self._lookup.passages(chunk_ids, self._in_play(roots))

    def neighbours(self, chunk_id: str, roots: Sequence[str] | None = None) -> list[StoredPassage]:
        """The chunk before and the chunk after, in document order, where there are such."""
        return self._lookup.neighbours(chunk_id, self._in_play(roots))

    def windows(self, window_ids: Sequence[str]) -> list[StoredWindow]:
        """The windows with these ids in this order; ids that are no longer stored are left out."""
        return self._lookup.windows(window_ids)

    def idf(self, query_terms: Sequence[str]) -> dict[str, float]:
        """ln(1 + (N - df + .5) / (df + .5)) of each term over all N windows; a term nobody uses has df 0."""
        return self._lookup.idf(query_terms)

    def dense(self, vector: NDArray[np.float32], limit: int, roots: Sequence[str] | None = None) -> list[Hit]:
        """The windows nearest to an L2-normalised vector, best first; score is the cosine."""
        return self._vectors.dense(vector, limit, self._scopes(roots))

    def sparse(self, query_terms: Sequence[str], limit: int, roots: Sequence[str] | None = None) -> list[Hit]:
        """The windows that fit the terms best by BM25, best first; only windows that share a term.

        A term given twice counts twice.
        """
        idf = self._lookup.idf(query_terms)
        weights = {term: idf[term] * count for term, count in Counter(query_terms).items()}
        return self._vectors.sparse(weights, limit, self._scopes(roots))

    def change(self, entries: Sequence[Entry], removed: Sequence[str] = ()) -> None:
        """Store documents, each in the place of what has its id, and remove others; in the library all or nothing.

        Embeddings that are not known yet are computed first.
        """
        texts = {
            span.key: embedded_text(chunk.header, entry.document.text[span.start : span.end])
            for entry in entries
            for chunk, span in _spans(entry)
        }
        with self._writing:
            self._memory.remember(texts)
            self.library.change([(entry, _window_counts(entry)) for entry in entries], removed)
            self._vectors.follow()

    def follow(self) -> None:
        """Bring the vectors up to the library: what any process changed before this call is found after it."""
        self._vectors.follow()

    def settle(self) -> None:
        """Put the vectors of all changes on the disk; a kill before this costs the next opening some work, no more."""
        self._vectors.settle()

    def remove(self, document_ids: Sequence[str]) -> None:
        """Remove documents with everything cut from them; unknown ids are passed over."""
        if document_ids:
            self.change([], document_ids)

    def _in_play(self, roots: Sequence[str] | None) -> list[str]:
        return self.library.roots() if roots is None else list(roots)

    def _scopes(self, roots: Sequence[str] | None) -> list[str] | None:
        return None if roots is None else wanted_scopes(roots, self.library.roots())


def _home(folder: Path, embedder: Embedder, qdrant: QdrantSettings | None) -> VectorHome:
    """Where vectors of this model and layout are kept: on the server of the settings, or in the folder."""
    layout = f"{embedder.model_id} {embedder.dimension} {BM25} {TERMS_VERSION} {VECTORS_VERSION}"
    if qdrant is not None and qdrant.url:
        from infra.store.qdrant_home import ServerHome  # noqa: PLC0415 - the client takes a second to import

        return ServerHome(folder, layout, qdrant, embedder.dimension, BM25)
    return Collection(folder, layout, lambda path: open_edge(path, embedder.dimension, BM25))


def _spans(entry: Entry) -> Iterator[tuple[Chunk, Span]]:
    chunks = {chunk.id: chunk for chunk in entry.chunks}
    return ((chunks[span.chunk_id], span) for span in entry.spans)


def _window_counts(entry: Entry) -> Counter[str]:
    counts: Counter[str] = Counter()
    for chunk, span in _spans(entry):
        counts.update(set(counted_terms(chunk.header, entry.document.text[span.start : span.end])))
    return counts
