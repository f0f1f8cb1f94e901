"""The library: what was read from which file, and what was cut from it. SQLite, and the truth of the store.

Gives all-or-nothing changes of whole documents, the manifest that tells changed files from unchanged ones, the counts
of windows in which each term stands, the embeddings already computed (by model and text), and an outbox: the documents
whose vectors do not follow the library yet. A document enters the outbox in the transaction that changes it and leaves
when the vector store has it on the disk, so a kill in between is repaired from here. Several processes may change the
library while one of them follows: each change gives its documents a new ticket, and only the ticket that was followed
is cleared. Questions are answered by ``infra.store.lookup``.
"""

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection

import numpy as np
from numpy.typing import NDArray

from infra.errors import StoreError
from infra.store import dependents
from infra.store.database import Database
from infra.store.dependents import Dependents
from infra.store.records import Entry

SCHEMA_VERSION = 3
FLOAT_BYTES = 4
LENGTH_TOLERANCE = 1e-3
"""Of an embedding's squared length: float32 of 4,096 numbers stays within 1e-5."""

SCHEMA = f"""{dependents.SCHEMA}
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO meta VALUES ('schema', {SCHEMA_VERSION});
CREATE TABLE IF NOT EXISTS roots (path TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (
    id TEXT PRIMARY KEY, root TEXT NOT NULL, path TEXT NOT NULL UNIQUE, digest TEXT NOT NULL, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, version TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL, terms BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS chunks (
    id TEXT PRIMARY KEY, document_id TEXT NOT NULL REFERENCES documents ON DELETE CASCADE, ordinal INTEGER NOT NULL,
    start INTEGER NOT NULL, end INTEGER NOT NULL, header TEXT NOT NULL, digest TEXT NOT NULL, text TEXT NOT NULL,
    section TEXT NOT NULL, UNIQUE (document_id, ordinal));
CREATE TABLE IF NOT EXISTS windows (
    id TEXT PRIMARY KEY, chunk_id TEXT NOT NULL REFERENCES chunks ON DELETE CASCADE, document_id TEXT NOT NULL,
    start INTEGER NOT NULL, end INTEGER NOT NULL, key TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS windows_chunk ON windows (chunk_id);
CREATE INDEX IF NOT EXISTS windows_document ON windows (document_id);
CREATE INDEX IF NOT EXISTS windows_key ON windows (key);
CREATE TABLE IF NOT EXISTS terms (term TEXT PRIMARY KEY, windows INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS embeddings (
    model TEXT NOT NULL, key TEXT NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (model, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (document_id TEXT PRIMARY KEY, ticket INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unreadable (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, version TEXT NOT NULL, error TEXT NOT NULL
    ) WITHOUT ROWID;
"""
_UNSWEPT = "INSERT OR IGNORE INTO meta VALUES ('unswept', 1)"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells whether a file must be read again; fields as in ``Document``."""

    path: str
    root: str
    digest: str
    size: int
    mtime_ns: int
    version: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that could not be read, so that it is not tried again while it stays the same."""

    path: str
    size: int
    mtime_ns: int
    version: str
    error: str


class Library:
    """Documents and what was cut from them; thread-safe through its database.

    Attributes:
        dependents: what follows the documents in the same transaction.
    """

    def __init__(self, database: Database) -> None:
        """Work on an open database that was made with ``SCHEMA``."""
        self._database = database
        self.dependents = Dependents(database)

    def generation(self) -> int:
        """A number that grows with every change of the documents and of their names."""
        row = self._database.one("SELECT number FROM meta WHERE name = 'generation'")
        return int(row[0]) if row else 0

    def roots(self) -> list[str]:
        """The roots ingested, sorted."""
        return [row[0] for row in self._database.rows("SELECT path FROM roots ORDER BY path")]

    def set_roots(self, roots: Iterable[str]) -> None:
        """Make ``roots`` the roots; documents are not touched, but may be called otherwise from now on."""
        with self._database.transaction() as change:
            change.execute("DELETE FROM roots")
            change.executemany("INSERT INTO roots VALUES (?)", ((root,) for root in roots))
            self.dependents.follow(change, {}, [], [], _grow(change, "generation"))

    def stamps(self) -> dict[str, Stamp]:
        """The stamp of every document, by its absolute path."""
        rows = self._database.rows("SELECT path, root, digest, size, mtime_ns, version FROM documents")
        return {row[0]: Stamp(*row) for row in rows}

    def touch(self, stamps: Iterable[Stamp]) -> None:
        """Note new sizes and times of files whose content is the same."""
        with self._database.transaction() as change:
            values = ((stamp.size, stamp.mtime_ns, stamp.path) for stamp in stamps)
            change.executemany("UPDATE documents SET size = ?, mtime_ns = ? WHERE path = ?", values)

    def unreadable(self) -> dict[str, Unreadable]:
        """The files that could not be read, by absolute path."""
        rows = self._database.rows("SELECT path, size, mtime_ns, version, error FROM unreadable")
        return {row[0]: Unreadable(*row) for row in rows}

    def set_unreadable(self, files: Iterable[Unreadable], gone: Iterable[str]) -> None:
        """Note files that could not be read, and forget those in ``gone``."""
        with self._database.transaction() as change:
            change.executemany("DELETE FROM unreadable WHERE path = ?", ((path,) for path in gone))
            values = ((f.path, f.size, f.mtime_ns, f.version, f.error) for f in files)
            change.executemany("INSERT OR REPLACE INTO unreadable VALUES (?, ?, ?, ?, ?)", values)

    def change(self, entries: Sequence[tuple[Entry, Mapping[str, int]]], removed: Sequence[str]) -> None:
        """Store documents in the place of what has their id, and remove others; all of it or nothing.

        Args:
            entries: each document with, for each of its terms, the number of its windows in which the term stands.
            removed: ids of documents to remove; unknown ones are passed over.
        """
        touched = [*removed, *(entry.document.id for entry, _ in entries)]
        with self._database.transaction() as change:
            ticket = _grow(change, "ticket")
            change.execute(_UNSWEPT)
            before = self.dependents.places(change, touched)
            delta: Counter[str] = Counter()
            for document_id in touched:
                delta.subtract(_take_out(change, document_id, ticket))
            for entry, terms in entries:
                _put_in(change, entry, terms)
                delta.update(terms)
            _count_terms(change, delta)
            generation = _grow(change, "generation")
            self.dependents.follow(change, before, [entry for entry, _ in entries], removed, generation)

    def outbox(self) -> dict[str, int]:
        """The documents whose vectors do not follow the library yet, each with the ticket of its last change."""
        return dict(self._database.rows("SELECT document_id, ticket FROM outbox ORDER BY document_id"))

    def follower(self) -> int:
        """The number of the collection that the outbox was last filled for; 0: none."""
        row = self._database.one("SELECT number FROM meta WHERE name = 'follower'")
        return int(row[0]) if row else 0

    def fill_outbox(self, follower: int) -> None:
        """Put every document into the outbox, for the collection of this number (positive, 63 bits)."""
        with self._database.transaction() as change:
            ticket = _grow(change, "ticket")
            change.execute("INSERT OR REPLACE INTO outbox SELECT id, ? FROM documents", (ticket,))
            change.execute("INSERT OR REPLACE INTO meta VALUES ('follower', ?)", (follower,))

    def clear_outbox(self, followed: Mapping[str, int]) -> None:
        """Take documents out of the outbox, except those changed since the ticket given: these are on the disk."""
        with self._database.transaction() as change:
            change.executemany("DELETE FROM outbox WHERE document_id = ? AND ticket = ?", followed.items())

    def embedded(self, model: str, keys: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The embeddings already computed with ``model``, by key; a damaged one is as good as none."""
        rows = self._database.rows_in("SELECT key, vector FROM embeddings WHERE model = ? AND key IN {}", keys, model)
        return {key: np.frombuffer(data, dtype="<f4") for key, data in rows if _is_whole(data)}

    def embedded_keys(self, model: str) -> list[str]:
        """The keys of all embeddings already computed with ``model``, sorted."""
        return [
            row[0] for row in self._database.rows("SELECT key FROM embeddings WHERE model = ? ORDER BY key", [model])
        ]

    def keep_embeddings(self, model: str, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Keep embeddings computed with ``model``."""
        with self._database.transaction() as change:
            change.execute(_UNSWEPT)
            values = ((model, key, vector.astype("<f4").tobytes()) for key, vector in vectors.items())
            change.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)", values)

    def unswept(self) -> bool:
        """Whether there may be embeddings that no window needs: something was stored since they were dropped."""
        return self._database.one("SELECT 1 FROM meta WHERE name = 'unswept'") is not None

    def drop_unused_embeddings(self) -> None:
        """Forget embeddings of texts that stand in no window any more."""
        with self._database.transaction() as change:
            change.execute("DELETE FROM embeddings WHERE key NOT IN (SELECT key FROM windows)")
            change.execute("DELETE FROM meta WHERE name = 'unswept'")


def refuse_other_version(connection: Connection) -> None:
    """Raise StoreError where the tables of a file are those of another version of DocMind."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
        return
    row = connection.execute("SELECT number FROM meta WHERE name = 'schema'").fetchone()
    if row and row[0] != SCHEMA_VERSION:
        file = next((file for _, name, file in connection.execute("PRAGMA database_list") if name == "main"), "")
        raise StoreError(
            f"{Path(file).parent}: the index was made by another version of DocMind (schema {row[0]}, this one has "
            f"{SCHEMA_VERSION}); delete that folder and ingest again, or set DOCMIND_DATA_DIR to another one"
        )


def _take_out(change: Connection, document_id: str, ticket: int) -> Mapping[str, int]:
    change.execute("INSERT OR REPLACE INTO outbox VALUES (?, ?)", (document_id, ticket))
    row = change.execute("SELECT terms FROM documents WHERE id = ?", (document_id,)).fetchone()
    change.execute("DELETE FROM documents WHERE id = ?", (document_id,))
    return _unpacked(row[0]) if row else {}


def _put_in(change: Connection, entry: Entry, terms: Mapping[str, int]) -> None:
    d = entry.document
    values = (d.id, d.root, d.path, d.digest, d.size, d.mtime_ns, d.version, d.title, d.text, _packed(terms))
    change.execute("INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    chunks = (
        (c.id, d.id, c.ordinal, c.start, c.end, c.header, c.digest, d.text[c.start : c.end], c.section)
        for c in entry.chunks
    )
    change.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", chunks)
    spans = ((s.id, s.chunk_id, d.id, s.start, s.end, s.key) for s in entry.spans)
    change.executemany("INSERT INTO windows VALUES (?, ?, ?, ?, ?, ?)", spans)


def _count_terms(change: Connection, delta: Mapping[str, int]) -> None:
    changed = [(term, number) for term, number in delta.items() if number]
    sql = "INSERT INTO terms VALUES (?, ?) ON CONFLICT (term) DO UPDATE SET windows = windows + excluded.windows"
    change.executemany(sql, changed)
    change.executemany("DELETE FROM terms WHERE term = ? AND windows <= 0", ((term,) for term, _ in changed))


def _grow(change: Connection, name: str) -> int:
    sql = "INSERT INTO meta VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET number = number + 1 RETURNING number"
    return change.execute(sql, (name,)).fetchone()[0]


def _is_whole(data: bytes) -> bool:
    """Whether it is a vector of length 1, as every embedding is: half a vector, zeros and NaN are not."""
    if len(data) % FLOAT_BYTES:
        return False
    vector = np.frombuffer(data, dtype="<f4")
    return abs(float(vector @ vector) - 1) < LENGTH_TOLERANCE


def _packed(terms: Mapping[str, int]) -> bytes:
    return zlib.compress(json.dumps(terms, ensure_ascii=False, sort_keys=True).encode("utf-8"))


def _unpacked(data: bytes) -> dict[str, int]:
    return json.loads(zlib.decompress(data))
