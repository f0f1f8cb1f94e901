"""LlamaIndex's key-value store over SQLite in WAL mode: where its ingestion cache keeps what a transformation gave.

LlamaIndex ships a JSON file only. Values are JSON, compressed. The store is bounded: beyond ``max_entries`` the entries
put first are dropped, beyond ``max_bytes`` the older half of them (a cache may forget). The ``a`` forms run in a
thread.
"""

import asyncio
import json
import zlib
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from llama_index.core.storage.kvstore.types import DEFAULT_COLLECTION, BaseKVStore

from infra.store.database import Database

MAX_ENTRIES = 20_000
MAX_BYTES = 256_000_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY AUTOINCREMENT, collection TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
    UNIQUE (collection, key));
"""

Value = dict[str, Any]


class SqliteKeyValues(BaseKVStore):
    """A bounded key-value store in one file; thread-safe."""

    def __init__(self, path: Path, *, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        """Open or create ``path``. Raises StoreError where it cannot be opened or written."""
        self._database = Database(path, SCHEMA)
        self._max_entries = max_entries
        self._max_bytes = max_bytes

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._database.close()

    def put(self, key: str, val: Value, collection: str = DEFAULT_COLLECTION) -> None:
        """Keep ``val`` under ``key``, in the place of what was there."""
        packed = zlib.compress(json.dumps(val).encode(), level=1)
        with self._database.transaction() as change:
            change.execute(
                "INSERT OR REPLACE INTO entries (collection, key, value) VALUES (?, ?, ?)", (collection, key, packed)
            )
            change.execute(
                "DELETE FROM entries WHERE number <= (SELECT max(number) FROM entries) - ?", (self._max_entries,)
            )
            if _used_bytes(change) > self._max_bytes:
                change.execute(
                    "DELETE FROM entries WHERE number <= (SELECT (min(number) + max(number)) / 2 FROM entries)"
                )

    def get(self, key: str, collection: str = DEFAULT_COLLECTION) -> Value | None:
        """What is kept under ``key``, or None; what is damaged is as good as forgotten."""
        row = self._database.one("SELECT value FROM entries WHERE collection = ? AND key = ?", (collection, key))
        return _unpacked(row[0]) if row else None

    def get_all(self, collection: str = DEFAULT_COLLECTION) -> dict[str, Value]:
        """Everything in ``collection``, by key."""
        rows = self._database.rows("SELECT key, value FROM entries WHERE collection = ?", (collection,))
        return {key: value for key, packed in rows if (value := _unpacked(packed)) is not None}

    def delete(self, key: str, collection: str = DEFAULT_COLLECTION) -> bool:
        """Forget ``key``; return whether it was there."""
        with self._database.transaction() as change:
            gone = change.execute("DELETE FROM entries WHERE collection = ? AND key = ?", (collection, key))
            return gone.rowcount > 0

    async def aput(self, key: str, val: Value, collection: str = DEFAULT_COLLECTION) -> None:
        """``put`` in a thread."""
        await asyncio.to_thread(self.put, key, val, collection)

    async def aget(self, key: str, collection: str = DEFAULT_COLLECTION) -> Value | None:
        """``get`` in a thread."""
        return await asyncio.to_thread(self.get, key, collection)

    async def aget_all(self, collection: str = DEFAULT_COLLECTION) -> dict[str, Value]:
        """``get_all`` in a thread."""
        return await asyncio.to_thread(self.get_all, collection)

    async def adelete(self, key: str, collection: str = DEFAULT_COLLECTION) -> bool:
        """``delete`` in a thread."""
        return await asyncio.to_thread(self.delete, key, collection)


def _unpacked(packed: bytes) -> Value | None:
    try:
        return json.loads(zlib.decompress(packed))
    except (zlib.error, ValueError):
        return None


def _used_bytes(change: Connection) -> int:
    """What the file's pages in use hold; those that were given back are used again."""
    pages, free, size = (
        change.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size
