"""The narrow door to what is stored: library (SQLite), vectors and embedder as one thing for readers and for ingestion.

SQLite is the truth; the vector store follows it and is repaired from it. All methods are synchronous, thread-safe, and
may block for milliseconds: callers on an event loop use ``asyncio.to_thread``. ``roots`` limits a call to documents
that lie under these absolute paths (roots, folders in them, or single files); None means everything. Names of
documents (``doc``) are made for the roots in play: the given ones, or all (see ``infra.store.roots``).
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from infra.settings import Settings
from infra.store.embeddings import Embedder
from infra.store.records import Counts, DocumentInfo, Entry, Hit, StoredPassage, StoredWindow


class Index:
    """One tenant's documents, owned by this process while it is open."""

    @classmethod
    def open(cls, settings: Settings, embedder: Embedder) -> Self:
        """Open (or create) the tenant's index and repair what a killed process left half done.

        Raises:
            StoreLocked: another process owns it; the message says which.
            StoreError: the data directory cannot be read or written.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Flush and hand the index back; safe to call twice."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def generation(self) -> int:
        """A number that grows with every change of what is stored."""
        raise NotImplementedError

    def roots(self) -> list[str]:
        """Absolute paths of the roots ingested, sorted."""
        raise NotImplementedError

    def counts(self, roots: Sequence[str] | None = None) -> Counts:
        """How many documents, chunks and windows lie under ``roots``."""
        raise NotImplementedError

    def documents(self, roots: Sequence[str] | None = None) -> list[DocumentInfo]:
        """The documents under ``roots``, sorted by root and path."""
        raise NotImplementedError

    def text_of(self, document_id: str) -> str:
        """The extracted text of a document. Raises KeyError for an id that is not (or no longer) stored."""
        raise NotImplementedError

    def text_named(self, doc: str, roots: Sequence[str] | None = None) -> str | None:
        """The extracted text of the document that carries this name for these roots, or None."""
        raise NotImplementedError

    def passages(self, chunk_ids: Sequence[str], roots: Sequence[str] | None = None) -> list[StoredPassage]:
        """The chunks with these ids in this order; ids that are no longer stored are left out."""
        raise NotImplementedError

    def neighbours(self, chunk_id: str, roots: Sequence[str] | None = None) -> list[StoredPassage]:
        """The chunk before and the chunk after, in document order, where there are such."""
        raise NotImplementedError

    def windows(self, window_ids: Sequence[str]) -> list[StoredWindow]:
        """The windows with these ids in this order; ids that are no longer stored are left out."""
        raise NotImplementedError

    def idf(self, terms: Sequence[str]) -> dict[str, float]:
        """ln(1 + (N - df + .5) / (df + .5)) of each term over all N windows; a term nobody uses has df 0."""
        raise NotImplementedError

    def dense(self, vector: NDArray[np.float32], limit: int, roots: Sequence[str] | None = None) -> list[Hit]:
        """The windows nearest to an L2-normalised vector, best first; score is the cosine."""
        raise NotImplementedError

    def sparse(self, query_terms: Sequence[str], limit: int, roots: Sequence[str] | None = None) -> list[Hit]:
        """The windows that fit the terms best by BM25, best first; only windows that share a term."""
        raise NotImplementedError

    def replace(self, entries: Sequence[Entry]) -> None:
        """Store documents, each in the place of what stood under its id; all or nothing for each document."""
        raise NotImplementedError

    def remove(self, document_ids: Sequence[str]) -> None:
        """Remove documents with everything cut from them."""
        raise NotImplementedError
