"""Search by meaning and by words over windows, in qdrant-edge: Qdrant's engine inside this process, one folder.

Gives nearest windows by cosine and by BM25, limited to scopes (documents, folders, roots) where asked. Thread-safe
(the engine's own; measured with 8 threads). It does not know documents or SQLite, and it does not lock:
``infra.store.index`` owns the folder through ``infra.store.owner`` and can fill it anew from SQLite at any time.

Searches look at every window (of the scopes asked for): 100,000 take 8 ms, and the same windows always give the same
hits. The engine's graph (HNSW) would take 3 ms, but finds .93 of the nearest 200, depends on the order of insertions,
and is built in a step that holds the whole process (Python's lock included) for a minute. Flushing holds it, too, for
tens to hundreds of milliseconds. A million windows and more are a Qdrant server's part.

BM25 is split: the term frequency part is stored with each window, the inverse document frequency comes with the query.
The engine could add the latter itself (``Modifier.Idf``), but it counts deleted windows until it is optimised, so that
scores would depend on what was there before.
"""

import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import qdrant_edge as edge
from numpy.typing import NDArray

from infra.errors import StoreError
from infra.store.records import Hit, Window

DENSE, SPARSE = "dense", "bm25"
CHUNK, DOCUMENT, SCOPES = "c", "d", "s"
UPSERT_BATCH = 256

OPENING_BYTES, GROWING_BYTES = 8_000_000, 64_000_000
"""Room that the disk must have for a store to be opened, and to be made or written. The engine writes into files of
33 MB mapped to memory, which take room only as they are written: on a full disk the system ends it (SIGBUS)."""

UNINDEXED_KB = 1_000_000_000
"""Segments stay as they were written whatever their size: there is no graph to build for them."""

WASTE_SHARE, WASTE_LEAST = 2, 10_000
"""An opened store whose places outnumber its windows so many times, and so many at least, is tidied up."""


@dataclass(frozen=True, slots=True)
class Bm25:
    """The constants of BM25's term frequency part (Robertson and Zaragoza 2009, defaults as in Lucene).

    Attributes:
        k1: how soon repeating a term stops to matter.
        b: how much a long window is held back.
        average_terms: terms of an average window, header included. A constant, so that a window's vector depends on the
            window alone. Windows of chat logs hold 50, those of a product manual 42 (own measurement).
    """

    k1: float = 1.2
    b: float = 0.75
    average_terms: float = 48.0

    def weights(self, terms: Mapping[str, int]) -> dict[int, float]:
        """The stored weight of each term, by its index."""
        length = sum(terms.values())
        held_back = self.k1 * (1 - self.b + self.b * length / self.average_terms)
        weights: dict[int, float] = {}
        for term, count in terms.items():
            index = term_index(term)
            weights[index] = weights.get(index, 0.0) + count * (self.k1 + 1) / (count + held_back)
        return weights


def term_index(term: str) -> int:
    """A term's place in the sparse vectors: 32 bits of its blake2b digest, the same in every run."""
    return int.from_bytes(blake2b(term.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "big")


class VectorStore(Protocol):
    """Windows, found by vector or by words; thread-safe, blocking."""

    def upsert(self, windows: Sequence[Window]) -> None:
        """Store windows, each in the place of what has its id."""
        ...

    def delete_documents(self, document_ids: Sequence[str], keep: Sequence[str] = ()) -> None:
        """Remove the windows of these documents, all but those with the ids in ``keep``."""
        ...

    def dense(self, vector: NDArray[np.float32], limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        """The windows nearest to an L2-normalised vector, best first; score is the cosine."""
        ...

    def sparse(self, weights: Mapping[str, float], limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        """The windows that fit best by BM25, best first; each term is given with its inverse document frequency."""
        ...

    def count(self) -> int:
        """How many windows are stored."""
        ...

    def flush(self) -> None:
        """Put everything on the disk."""
        ...

    def close(self) -> None:
        """Flush and give the folder back; safe to call twice."""
        ...


class EdgeVectors:
    """``VectorStore`` on qdrant-edge; one opener at a time (the engine locks its write-ahead log)."""

    def __init__(self, folder: Path, dimension: int, bm25: Bm25) -> None:
        """Open ``folder``, or create it when it is not there.

        Raises:
            StoreError: it cannot be opened: damaged, not writable, open elsewhere, or the disk is full.
        """
        self._folder = folder
        _see_room(folder, OPENING_BYTES if folder.exists() else GROWING_BYTES)
        self._bm25 = bm25
        self._closed = False
        with _vendor(f"open {folder}"):
            self._shard = edge.EdgeShard.load(str(folder)) if folder.exists() else _create(folder, dimension)
            self._tidy()

    def upsert(self, windows: Sequence[Window]) -> None:
        """Store windows, each in the place of what has its id."""
        _see_room(self._folder, GROWING_BYTES)
        with _vendor("write windows"):
            for first in range(0, len(windows), UPSERT_BATCH):
                points = [self._point(window) for window in windows[first : first + UPSERT_BATCH]]
                self._shard.update(edge.UpdateOperation.upsert_points(points))

    def delete_documents(self, document_ids: Sequence[str], keep: Sequence[str] = ()) -> None:
        """Remove the windows of these documents, all but those with the ids in ``keep``."""
        if document_ids:
            _see_room(self._folder, GROWING_BYTES)
            theirs = edge.FieldCondition(DOCUMENT, match=edge.MatchAny(list(document_ids)))
            with _vendor("delete windows"):
                which = edge.Filter(must=[theirs], must_not=[edge.HasIdCondition(set(keep))] if keep else None)
                self._shard.update(edge.UpdateOperation.delete_points_by_filter(which))

    def dense(self, vector: NDArray[np.float32], limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        """The windows nearest to an L2-normalised vector, best first; score is the cosine."""
        return self._query(edge.Query.Nearest(cast("list[float]", vector.tolist()), using=DENSE), limit, scopes)

    def sparse(self, weights: Mapping[str, float], limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        """The windows that fit best by BM25, best first; each term is given with its inverse document frequency."""
        wanted = {term_index(term): weight for term, weight in weights.items()}
        query = edge.Query.Nearest(edge.SparseVector(list(wanted), list(wanted.values())), using=SPARSE)
        return self._query(query, limit, scopes) if wanted else []

    def count(self) -> int:
        """How many windows are stored."""
        with _vendor("count windows"):
            return self._shard.count(edge.CountRequest())

    def flush(self) -> None:
        """Put everything on the disk."""
        with _vendor("flush"):
            self._shard.flush()

    def close(self) -> None:
        """Flush and give the folder back; safe to call twice."""
        if not self._closed:
            self._closed = True
            try:
                self.flush()
            finally:
                with _vendor("close"):
                    self._shard.close()

    def _tidy(self) -> None:
        """Drop the places of windows deleted long ago. It holds the whole process, so only opening has time for it."""
        info = self._shard.info()
        if info.indexed_vectors_count > max(WASTE_SHARE * info.points_count, WASTE_LEAST):
            self._shard.optimize()

    def _point(self, window: Window) -> edge.Point:
        weights = self._bm25.weights(window.terms)
        dense = cast("list[float]", window.dense.tolist())
        vector: dict[str, Any] = {DENSE: dense, SPARSE: edge.SparseVector(list(weights), list(weights.values()))}
        payload = {CHUNK: window.chunk_id, DOCUMENT: window.document_id, SCOPES: list(window.scopes)}
        return edge.Point(window.id, vector, payload)

    def _query(self, query: edge.Query, limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        if scopes is not None and not scopes:
            return []
        only = None
        if scopes is not None:
            only = edge.Filter(must=[edge.FieldCondition(SCOPES, match=_one_of(scopes))])
        request = edge.QueryRequest(limit, query=query, filter=only, with_payload=[CHUNK, DOCUMENT])
        with _vendor("search"):
            return [_hit(point) for point in self._shard.query(request)]


def open_edge(folder: Path, dimension: int, bm25: Bm25) -> VectorStore:
    """Open or create the vectors in ``folder`` (its parent must be there and belong to this process).

    Raises:
        StoreError: it cannot be opened: damaged, not writable, or open elsewhere.
    """
    return EdgeVectors(folder, dimension, bm25)


def _create(folder: Path, dimension: int) -> edge.EdgeShard:
    folder.mkdir()
    shard = edge.EdgeShard.create(str(folder), _config(dimension))
    for field in (DOCUMENT, SCOPES):
        shard.update(edge.UpdateOperation.create_field_index(field, edge.PayloadSchemaType.Keyword))
    return shard


def _config(dimension: int) -> edge.EdgeConfig:
    """The layout: no graph, every search is exact (see the module's text)."""
    return edge.EdgeConfig(
        vectors={DENSE: edge.EdgeVectorParams(dimension, edge.Distance.Cosine)},
        sparse_vectors={SPARSE: edge.EdgeSparseVectorParams()},
        hnsw_config=edge.HnswIndexConfig(m=0, ef_construct=4, full_scan_threshold=10_000),
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=UNINDEXED_KB),
    )


def _one_of(scopes: Sequence[str]) -> edge.MatchValue | edge.MatchAny:
    """One scope as a value: of 100,000 windows that lie in it, that takes 1 ms beside the search, and a list 4 ms."""
    return edge.MatchValue(scopes[0]) if len(scopes) == 1 else edge.MatchAny(list(scopes))


def _hit(point: edge.ScoredPoint) -> Hit:
    payload = point.payload or {}
    return Hit(str(point.id), payload[CHUNK], payload[DOCUMENT], point.score)


def _see_room(folder: Path, needed: int) -> None:
    """Raise StoreError where the disk has less room than ``needed`` bytes."""
    try:
        free = shutil.disk_usage(folder if folder.exists() else folder.parent).free
    except OSError:
        return  # what is wrong with the folder is said by whoever opens it
    if free < needed:
        raise StoreError(
            f"the disk of {folder} is full: {free // 1_000_000} MB are left and {needed // 1_000_000} MB are needed; "
            f"make room, or set DOCMIND_DATA_DIR to another disk"
        )


@contextmanager
def _vendor(what: str) -> Generator[None]:
    """Map the engine's errors: it raises bare ``Exception``, so everything that is not ours is its."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"the vector store could not {what}: {error}") from error
