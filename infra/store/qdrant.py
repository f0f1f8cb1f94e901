"""``VectorStore`` on a Qdrant server or cluster: windows of one library, in one collection for each model and layout.

Blocking and awaiting searches; thread-safe, and any number of processes may read and write at once. Stored and scored
as in ``infra.store.vectors``: BM25's term frequency part with the window, its inverse document frequency with the query
(Qdrant would count deleted windows). Every write waits until the server has applied it, and goes through a shard's
leader, so that a deletion and what follows it arrive in this order on every copy. A batch is not atomic: documents stay
in the library's outbox until all of theirs is written. It does not know documents or SQLite.

Names: ``<prefix>-<tenant>-<library>-<layout>`` is a collection, ``<prefix>-<tenant>-<library>`` the alias of the one in
use. A library's id keeps two machines with one tenant apart. ``take_over`` moves the alias in one step and drops the
library's other collections.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from infra.settings import QdrantSettings
from infra.store import qdrant_bounds
from infra.store.qdrant_collection import CollectionName, prepare
from infra.store.qdrant_faults import Patience
from infra.store.records import Hit, Window
from infra.store.vectors import CHUNK, DENSE, DOCUMENT, SCOPES, SPARSE, Bm25, term_index

Answer = TypeVar("Answer")

POINTS_A_REQUEST = 256
"""With 1,024 dimensions about 4 MB of JSON; servers take 32 MB by default."""
CONDITION_VALUES = 1_000

_ORDERING = models.WriteOrdering.MEDIUM
"""Through the shard's leader: with the default, two writes may change places on a copy."""
_Query = list[float] | models.SparseVector


class QdrantVectors:
    """``VectorStore`` on a Qdrant server, with awaiting searches beside the blocking ones.

    Args:
        client: for blocking callers; closed with the store.
        awaiting: opens the client of awaiting callers, once for each event loop.
        name: the collection.
        bm25: constants of the term frequency part.
        patience: how calls are made.

    Attributes:
        name: the collection.
        client: the client of blocking callers.
    """

    def __init__(
        self,
        client: QdrantClient,
        awaiting: Callable[[], AsyncQdrantClient],
        name: CollectionName,
        bm25: Bm25,
        patience: Patience,
    ) -> None:
        self.name = name
        self.client = client
        self._open_awaiting = awaiting
        self._async_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncQdrantClient] = WeakKeyDictionary()
        self._bm25 = bm25
        self._patience = patience

    def upsert(self, windows: Sequence[Window]) -> None:
        """Store windows, each in the place of what has its id."""
        last = list({window.id: window for window in windows}.values())
        for first in range(0, len(last), POINTS_A_REQUEST):
            points = [self._point(window) for window in last[first : first + POINTS_A_REQUEST]]
            self._do(
                "write windows",
                lambda points=points: self.client.upsert(str(self.name), points, wait=True, ordering=_ORDERING),
            )

    def delete_documents(self, document_ids: Sequence[str], keep: Sequence[str] = ()) -> None:
        """Remove the windows of these documents, all but those with the ids in ``keep``."""
        for first in range(0, len(document_ids), CONDITION_VALUES):
            these = _only(DOCUMENT, document_ids[first : first + CONDITION_VALUES], keep)
            self._do(
                "delete windows",
                lambda these=these: self.client.delete(
                    str(self.name), models.FilterSelector(filter=these), wait=True, ordering=_ORDERING
                ),
            )

    def dense(self, vector: NDArray[np.float32], limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        """The windows nearest to an L2-normalised vector, best first; score is the cosine."""
        return self._search(vector.tolist(), DENSE, limit, scopes)

    def sparse(self, weights: Mapping[str, float], limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        """The windows that fit best by BM25, best first; each term is given with its inverse document frequency."""
        return self._search(_sparse_of(weights), SPARSE, limit, scopes) if weights else []

    async def adense(self, vector: NDArray[np.float32], limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        """Await ``dense``."""
        return await self._asearch(vector.tolist(), DENSE, limit, scopes)

    async def asparse(self, weights: Mapping[str, float], limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        """Await ``sparse``."""
        return await self._asearch(_sparse_of(weights), SPARSE, limit, scopes) if weights else []

    def count(self) -> int:
        """How many windows are stored."""
        return self._do("count windows", lambda: self.client.count(str(self.name), exact=True)).count

    def take_over(self) -> None:
        """Make this the library's collection in use: move the alias, in one step, and drop the library's others.

        To be called when everything of the library is stored.
        """
        aliases = self._do("list aliases", self.client.get_aliases).aliases
        if {a.collection_name for a in aliases if a.alias_name == self.name.alias} != {str(self.name)}:
            moved = [
                models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=a.alias_name))
                for a in aliases
                if a.alias_name == self.name.alias
            ]
            named = models.CreateAlias(collection_name=str(self.name), alias_name=self.name.alias)
            operations = [*moved, models.CreateAliasOperation(create_alias=named)]
            self._do("move an alias", lambda: self.client.update_collection_aliases(operations))
        for other in self._do("list collections", self.client.get_collections).collections:
            if other.name != str(self.name) and self.name.is_layout(other.name):
                self._do("drop a collection", lambda other=other: self.client.delete_collection(other.name))

    def clear(self) -> None:
        """Remove every window."""
        everything = models.FilterSelector(filter=models.Filter(must=[]))
        self._do(
            "empty a collection",
            lambda: self.client.delete(str(self.name), everything, wait=True, ordering=_ORDERING),
        )

    def flush(self) -> None:
        """Nothing to do: every write has waited for the server."""

    def close(self) -> None:
        """Close the connections of blocking callers; safe to call twice."""
        self.client.close()

    async def aclose(self) -> None:
        """Close all connections; to be awaited on the loop that searched."""
        for client in list(self._async_clients.values()):
            await client.close()
        self._async_clients.clear()
        self.close()

    def awaiting(self) -> AsyncQdrantClient:
        """The client of awaiting callers on the running loop: connections belong to one loop."""
        loop = asyncio.get_running_loop()
        return self._async_clients.get(loop) or self._async_clients.setdefault(loop, self._open_awaiting())

    def _do(self, what: str, call: Callable[[], Answer]) -> Answer:
        return self._patience.do(what, call)

    def _point(self, window: Window) -> models.PointStruct:
        vector = {DENSE: window.dense.tolist(), SPARSE: _sparse(self._bm25.weights(window.terms))}
        payload = {CHUNK: window.chunk_id, DOCUMENT: window.document_id, SCOPES: list(window.scopes)}
        return models.PointStruct(id=window.id, vector=vector, payload=payload)

    def _search(self, query: _Query, using: str, limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        if _finds_nothing(limit, scopes):
            return []
        asked = self._asked(query, using, limit, scopes)
        return _hits(self._do("search", lambda: self.client.query_points(**asked)).points)

    async def _asearch(self, query: _Query, using: str, limit: int, scopes: Sequence[str] | None) -> list[Hit]:
        if _finds_nothing(limit, scopes):
            return []
        client = self.awaiting()
        asked = self._asked(query, using, limit, scopes)
        return _hits((await self._patience.await_("search", lambda: client.query_points(**asked))).points)

    def _asked(self, query: _Query, using: str, limit: int, scopes: Sequence[str] | None) -> dict[str, Any]:
        return {
            "collection_name": str(self.name),
            "query": query,
            "using": using,
            "limit": limit,
            "query_filter": None if scopes is None else _only(SCOPES, scopes),
            "with_payload": [CHUNK, DOCUMENT],
        }


def open_qdrant(settings: QdrantSettings, name: CollectionName, dimension: int, bm25: Bm25) -> QdrantVectors:
    """Reach the server of the settings and open the collection ``name``, made if it is not there.

    Raises:
        StoreError: the server cannot be reached, wants a key, or has another collection of that name.
    """
    url, key = str(settings.url), settings.api_key.get_secret_value()
    # the key goes as a header: given as an argument over plain HTTP, the client would warn with every start
    options: dict[str, Any] = {
        "url": url,
        "headers": qdrant_bounds.HEADERS | ({"api-key": key} if key else {}),
        "timeout": settings.timeout_seconds,
        "check_compatibility": False,
        "trust_env": False,  # no proxy of the environment: the only address contacted is the configured one
    }
    bounds = {"response": [qdrant_bounds.blocking(settings.timeout_seconds)]}
    awaited = {"response": [qdrant_bounds.awaiting(settings.timeout_seconds)]}
    client, patience = QdrantClient(**options, event_hooks=bounds), Patience(url, settings.api_key)
    try:
        prepare(client, patience, name, dimension, settings)
    except BaseException:
        client.close()
        raise
    return QdrantVectors(client, lambda: AsyncQdrantClient(**options, event_hooks=awaited), name, bm25, patience)


def _finds_nothing(limit: int, scopes: Sequence[str] | None) -> bool:
    return limit < 1 or (scopes is not None and not scopes)


def _only(field: str, values: Sequence[str], but: Sequence[str] = ()) -> models.Filter:
    """Windows with one of the values, without those with the ids in ``but``."""
    return models.Filter(
        must=[models.FieldCondition(key=field, match=models.MatchAny(any=list(values)))],
        must_not=[models.HasIdCondition(has_id=list(but))] if but else None,
    )


def _sparse_of(weights: Mapping[str, float]) -> models.SparseVector:
    return _sparse({term_index(term): weight for term, weight in weights.items()})


def _sparse(weights: Mapping[int, float]) -> models.SparseVector:
    return models.SparseVector(indices=list(weights), values=list(weights.values()))


def _hits(points: Sequence[models.ScoredPoint]) -> list[Hit]:
    """The windows found; a point that somebody else put there is none of ours, and is left out."""
    named = ((point, point.payload or {}) for point in points)
    return [
        Hit(str(point.id), payload[CHUNK], payload[DOCUMENT], point.score)
        for point, payload in named
        if isinstance(payload.get(CHUNK), str) and isinstance(payload.get(DOCUMENT), str)
    ]
