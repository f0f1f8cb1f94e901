"""qdrant-client's local mode in a server's place: the same calls, answered in process.

It is not safe under threads, so one lock stands around it. Both kinds of client see the same points. It has no shards,
no copies, no payload indexes and no keys: those are tested against a real server, where the environment names one.
"""

import functools
from collections.abc import Callable
from threading import RLock
from typing import Any, cast

from pydantic import SecretStr
from qdrant_client import AsyncQdrantClient, QdrantClient

from infra.settings import QdrantSettings
from infra.store.qdrant import QdrantVectors
from infra.store.qdrant_collection import CollectionName, prepare
from infra.store.qdrant_faults import Patience
from infra.store.vectors import Bm25

NAME = CollectionName("docmind", "default", "0badcafe", "0123456789abcdef")
PATIENCE = Patience("http://local.invalid:6333", SecretStr(""), pause=lambda tried: 0.0)


class Locked:
    """A client of which one method runs at a time; closed only by ``end``, so that it can be opened again."""

    def __init__(self, client: QdrantClient | AsyncQdrantClient, lock: RLock) -> None:
        self._inner, self._lock = client, lock

    def close(self) -> None:
        """Keep what is stored, as a server does."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._inner, name)

        @functools.wraps(method)
        def locked(*args: Any, **options: Any) -> Any:
            with self._lock:
                return method(*args, **options)

        return locked


class LocalQdrant:
    """One server's worth of collections."""

    def __init__(self) -> None:
        lock = RLock()
        blocking, awaiting = QdrantClient(":memory:"), AsyncQdrantClient(":memory:")
        cast("Any", awaiting._client).collections = cast("Any", blocking._client).collections
        self.blocking = cast("QdrantClient", Locked(blocking, lock))
        self.awaiting = cast("AsyncQdrantClient", Locked(awaiting, lock))

    def open(self, dimension: int, bm25: Bm25, name: CollectionName = NAME) -> QdrantVectors:
        """Open a collection as ``open_qdrant`` does."""
        prepare(self.blocking, PATIENCE, name, dimension, QdrantSettings())
        return QdrantVectors(self.blocking, lambda: self.awaiting, name, bm25, PATIENCE)
