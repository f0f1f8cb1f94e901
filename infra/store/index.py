"""The narrow door to what is stored: library (SQLite), vectors and embedder as one thing for readers and for ingestion.

SQLite is the truth; the vector store follows it and is repaired from it. All methods are synchronous, thread-safe, and
may block for milliseconds: callers on an event loop use ``asyncio.to_thread``. ``roots`` limits a call to documents
that lie under these absolute paths (roots, folders in them, or single files); None means everything. Names of
documents (``doc``) are made for the roots in play: the given ones, or all (see ``infra.store.roots``).
"""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import RLock
from typing import Self

import numpy as np
from numpy.typing import NDArray

from infra.errors import StoreError
from infra.settings import Settings
from infra.store.database import Database
from infra.store.embeddings import Embedder
from infra.store.library import SCHEMA, Library
from infra.store.lookup import Lookup
from infra.store.memory import EmbeddingMemory
from infra.store.owner import Ownership
from infra.store.records import (
    Chunk,
    Counts,
    DocumentInfo,
    Entry,
    Hit,
    Span,
    StoredPassage,
    StoredWindow,
    Window,
    digest_of,
    embedded_text,
)
from infra.store.roots import scopes_of, wanted_scopes
from infra.store.vectors import Bm25, VectorStore, open_edge
from infra.text.terms import VERSION as TERMS_VERSION
from infra.text.terms import terms

BM25 = Bm25()
VECTORS_VERSION = 2
FOLLOW_WINDOWS = 1_024
"""Windows handed to the vector store at once: bounds memory while a large library is repaired."""


def tenant_folder(settings: Settings) -> Path:
    """Where everything of the settings' tenant is kept."""
    return settings.data_dir / "tenants" / settings.tenant


class Index:
    """One tenant's documents, owned by this process while it is open."""

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        """Open the index in ``folder``; see ``open``."""
        self.folder = folder
        self._embedder = embedder
        self._writing = RLock()
        self._ownership = Ownership(folder)
        with ExitStack() as undo:
            undo.callback(self._ownership.release)
            self._database = Database(folder / "library.sqlite3", SCHEMA)
            undo.callback(self._database.close)
            self.library = Library(self._database)
            self._lookup = Lookup(self._database)
            self._memory = EmbeddingMemory(self.library, embedder)
            self._vectors = self._open_vectors(folder)
            undo.pop_all()

    @classmethod
    def open(cls, settings: Settings, embedder: Embedder) -> Self:
        """Open (or create) the tenant's index and repair what a killed process left half done.

        Raises:
            StoreLocked: another process owns it; the message says which.
            StoreError: the data directory cannot be read or written.
        """
        return cls(tenant_folder(settings), embedder)

    def close(self) -> None:
        """Flush and hand the index back; safe to call twice."""
        with self._writing:
            self._vectors.close()
            self._database.close()
            self._ownership.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
            self._follow(self._vectors)

    def remove(self, document_ids: Sequence[str]) -> None:
        """Remove documents with everything cut from them; unknown ids are passed over."""
        if document_ids:
            self.change([], document_ids)

    def _in_play(self, roots: Sequence[str] | None) -> list[str]:
        return self.library.roots() if roots is None else list(roots)

    def _scopes(self, roots: Sequence[str] | None) -> list[str] | None:
        return None if roots is None else wanted_scopes(roots, self.library.roots())

    def _open_vectors(self, folder: Path) -> VectorStore:
        """Open the vectors of this model and make them follow the library; other models' folders are dropped then."""
        made_by = digest_of(self._embedder.model_id, str(BM25), f"{TERMS_VERSION} {VECTORS_VERSION}")
        path = folder / f"vectors-{made_by[:16]}"
        vectors = self._open_or_renew(path)
        self._follow(vectors)
        if vectors.count() != self._lookup.window_total():
            vectors.close()
            shutil.rmtree(path)
            vectors = self._open_or_renew(path)
            self.library.fill_outbox()
            self._follow(vectors)
        for other in folder.glob("vectors-*"):
            if other != path:
                shutil.rmtree(other)
        return vectors

    def _open_or_renew(self, path: Path) -> VectorStore:
        try:
            return open_edge(path, self._embedder.dimension, BM25)
        except StoreError:
            # this process owns the folder, so it is damaged (or was never finished); all of it stands in the library
            shutil.rmtree(path, ignore_errors=True)
            return open_edge(path, self._embedder.dimension, BM25)

    def _follow(self, vectors: VectorStore) -> None:
        """Bring the vectors of every document in the outbox up to the library's state."""
        batch: list[str] = []
        windows: list[Window] = []
        for document_id in self.library.outbox():
            batch.append(document_id)
            windows += self._windows_of(document_id)
            if len(windows) >= FOLLOW_WINDOWS:
                self._hand_over(vectors, batch, windows)
                batch, windows = [], []
        self._hand_over(vectors, batch, windows)

    def _hand_over(self, vectors: VectorStore, document_ids: Sequence[str], windows: Sequence[Window]) -> None:
        if document_ids:
            vectors.delete_documents(document_ids)
            vectors.upsert(windows)
            vectors.flush()
            self.library.clear_outbox(document_ids)

    def _windows_of(self, document_id: str) -> list[Window]:
        place = self._lookup.place_of(document_id)
        if place is None:
            return []
        found = self._lookup.windows_of(document_id)
        vectors = self._memory.recall({key: embedded_text(window.header, window.text) for window, key in found})
        scopes = scopes_of(*place)
        return [
            Window(w.id, w.chunk_id, document_id, scopes, vectors[key], _counted(w.header, w.text)) for w, key in found
        ]


def _spans(entry: Entry) -> Iterator[tuple[Chunk, Span]]:
    chunks = {chunk.id: chunk for chunk in entry.chunks}
    return ((chunks[span.chunk_id], span) for span in entry.spans)


def _window_counts(entry: Entry) -> Counter[str]:
    counts: Counter[str] = Counter()
    for chunk, span in _spans(entry):
        counts.update(set(_counted(chunk.header, entry.document.text[span.start : span.end])))
    return counts


def _counted(header: str, text: str) -> Counter[str]:
    return Counter(terms(embedded_text(header, text)))
