"""What is kept of work done before, in one SQLite file that all processes of a tenant share; bounded in every way.

Gives `CallStore`: values by key, with claims (who is at work on a key now, until when) and figures. What is kept is
dropped when it is too old, and the longest unused first when there is too much of it. A value that is damaged is as
good as forgotten. Times are seconds since 1970, as processes share them. All methods block for milliseconds and raise
StoreError; who waits for whom is `infra.cache.calls`' part.
"""

import json
import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from infra.errors import StoreError
from infra.llm.kept import Kept
from infra.store.database import Database
from infra.store.owner import make_folder, writing

CALLS_FILE = "calls.sqlite3"
NOTHING_GONE = 1
"""The number of `CallStore.gone` while no words of documents went away."""
MAX_ENTRIES = 50_000
MAX_VALUE_BYTES = 4_000_000
BUSY_MILLISECONDS = 1_000
"""How long a write waits for another process's, which takes a few milliseconds."""

_LEAST_SHARE = 8  # of the entries go when the bytes are too many: not one by one with every call
_PUT = """
INSERT OR REPLACE INTO entries
    (key, kind, mark, value, prompt_tokens, completion_tokens, seconds, made, used)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, mark TEXT NOT NULL, value BLOB NOT NULL, prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL, seconds REAL NOT NULL, made REAL NOT NULL, used REAL NOT NULL);
CREATE INDEX IF NOT EXISTS entries_used ON entries (used);
CREATE INDEX IF NOT EXISTS entries_made ON entries (made);
CREATE INDEX IF NOT EXISTS entries_mark ON entries (kind, mark);
CREATE TABLE IF NOT EXISTS claims (
    key TEXT PRIMARY KEY, holder TEXT NOT NULL, until REAL NOT NULL, deadline REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gone (number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS figures (
    kind TEXT NOT NULL, name TEXT NOT NULL, number REAL NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
"""

Figures = Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants to do the work of a key.

    Attributes:
        key: whose work.
        holder: a name that no other asker has.
        deadline: when nobody waits for it any more.
    """

    key: str
    holder: str
    deadline: float


@dataclass(frozen=True, slots=True)
class Entry:
    """A value with what it is kept as.

    Attributes:
        key, kind, mark, kept: see `infra.llm.kept.Keeping`.
        gone: what `CallStore.gone` was before it was made; None: not known.
    """

    key: str
    kind: str
    mark: str
    kept: Kept
    gone: int | None = None


@dataclass(frozen=True, slots=True)
class Used:
    """What was used since it was last written down: entries, by key and time, and figures to add."""

    entries: dict[str, float] = field(default_factory=dict[str, float])
    figures: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])


class CallStore:
    """The open file; thread-safe.

    Args:
        path: the file; it and its folder are made if missing, for its user alone.
        max_bytes: what the file may hold.
        max_age_seconds: how long a value is used.
        max_entries: values at most.

    Raises:
        StoreError: it cannot be opened, or is no database.
    """

    def __init__(self, path: Path, *, max_bytes: float, max_age_seconds: float, max_entries: int = MAX_ENTRIES) -> None:
        make_folder(path.parent)
        with writing(path.parent):
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._max_bytes = max_bytes
        self._max_age = max_age_seconds
        self._max_entries = max_entries
        self._database = Database(path, SCHEMA, check=lambda connection: _patience(connection.execute))

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._database.close()

    def read(self, key: str, now: float) -> Kept | None:
        """Return what is kept under ``key``; None where that is nothing, too old, or cannot be read."""
        sql = "SELECT value, prompt_tokens, completion_tokens, seconds FROM entries WHERE key = ? AND made > ?"
        row = self._database.one(sql, (key, now - self._max_age))
        value = _unpacked(row[0]) if row else None
        return Kept(value, *row[1:]) if row and value is not None else None

    def claim(self, claim: Claim, now: float, until: float) -> Literal["ours", "others"]:
        """Say that the work of a key is being done here, unless another process does it.

        Args:
            claim: which work, and who.
            now: a claim that has lapsed by now, or whose deadline is over, is nobody's.
            until: when the claim lapses unless it is renewed.
        """
        held = self._holder(claim.key, now)
        if held is None:
            with self._database.transaction() as change:
                held = self._holder(claim.key, now)
                if held is None:
                    sql = "INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?)"
                    change.execute(sql, (claim.key, claim.holder, until, claim.deadline))
        return "ours" if held in (None, claim.holder) else "others"

    def renew(self, claims: Iterable[Claim], until: float) -> None:
        """Have claims lapse later; those that lapsed and were taken over stay with their new holders."""
        with self._database.transaction() as change:
            sql = "UPDATE claims SET until = ? WHERE key = ? AND holder = ?"
            change.executemany(sql, [(until, claim.key, claim.holder) for claim in claims])

    def drop_claim(self, key: str, holder: str) -> None:
        """Take the claim of ``holder`` back; others may do the work."""
        with self._database.transaction() as change:
            change.execute("DELETE FROM claims WHERE key = ? AND holder = ?", (key, holder))

    def put(self, entry: Entry, holder: str, now: float) -> None:
        """Keep a value, in the place of what was there; drop what is over a bound, and the claim of ``holder``.

        One that was begun before words of documents went away may quote them, and is not kept.
        """
        plain, kept = json.dumps(entry.kept.value).encode(), entry.kept
        packed = zlib.compress(plain, level=1)
        with self._database.transaction() as change:
            change.execute("DELETE FROM claims WHERE (key = ? AND holder = ?) OR until <= ?", (entry.key, holder, now))
            if len(plain) > MAX_VALUE_BYTES or entry.gone not in (None, self.gone()):
                return
            if entry.mark:
                change.execute("DELETE FROM entries WHERE kind = ? AND mark != ?", (entry.kind, entry.mark))
            figures = (kept.prompt_tokens, kept.completion_tokens, kept.seconds)
            change.execute(_PUT, (entry.key, entry.kind, entry.mark, packed, *figures, now, now))
            change.execute("DELETE FROM entries WHERE made <= ?", (now - self._max_age,))
            self._bound(change.execute)

    def note(self, used: Used) -> None:
        """Write down what was used since the last time."""
        with self._database.transaction() as change:
            change.executemany(
                "UPDATE entries SET used = ? WHERE key = ?", [(when, key) for key, when in used.entries.items()]
            )
            change.executemany(
                "INSERT INTO figures VALUES (?, ?, ?) "
                "ON CONFLICT (kind, name) DO UPDATE SET number = number + excluded.number",
                [(*name, number) for name, number in used.figures.items()],
            )

    def figures(self) -> dict[tuple[str, str], float]:
        """Return all figures by kind and name, ``entries`` and ``bytes`` (of the values) among them."""
        noted = {(kind, name): number for kind, name, number in self._database.rows("SELECT * FROM figures")}
        for kind, entries, size in self._database.rows(
            "SELECT kind, count(*), sum(length(value)) FROM entries GROUP BY kind"
        ):
            noted |= {(kind, "entries"): entries, (kind, "bytes"): size}
        return noted

    def forget(self, key: str) -> None:
        """Drop what is kept under ``key``."""
        with self._database.transaction() as change:
            change.execute("DELETE FROM entries WHERE key = ?", (key,))

    def gone(self) -> int:
        """What `forget_gone` was told last; ``NOTHING_GONE`` where that was never."""
        row = self._database.one("SELECT number FROM gone")
        return row[0] if row else NOTHING_GONE

    def forget_gone(self, number: int) -> None:
        """Drop all values, unless that was done for this ``number`` before. What was there is overwritten."""
        if number == self.gone():
            return
        with self._database.transaction() as change:
            change.execute("DELETE FROM entries")
            change.execute("DELETE FROM gone")
            change.execute("INSERT INTO gone VALUES (?)", (number,))
        self._database.rows("PRAGMA wal_checkpoint(TRUNCATE)")  # SQLite's log holds them as well

    def clear(self) -> int:
        """Drop all values and figures; return how many values there were. What was there is overwritten."""
        with self._database.transaction() as change:
            count = change.execute("DELETE FROM entries").rowcount
            change.execute("DELETE FROM figures")
        self._database.rows("PRAGMA wal_checkpoint(TRUNCATE)")  # SQLite's log holds them as well
        return count

    def _holder(self, key: str, now: float) -> str | None:
        sql = "SELECT holder FROM claims WHERE key = ? AND until > ? AND deadline > ?"
        row = self._database.one(sql, (key, now, now))
        return row[0] if row else None

    def _bound(self, execute: Callable[..., Any]) -> None:
        """Drop the longest unused until there are not too many, in number and in bytes."""
        count = execute("SELECT count(*) FROM entries").fetchone()[0]
        surplus = count - self._max_entries
        while count and (surplus > 0 or _used_bytes(execute) > self._max_bytes):
            fewer = max(surplus, count // _LEAST_SHARE, 1)
            execute("DELETE FROM entries WHERE key IN (SELECT key FROM entries ORDER BY used LIMIT ?)", (fewer,))
            count, surplus = count - fewer, 0


def _patience(execute: Callable[..., Any]) -> None:
    """Bound the wait for other writers, and have what is dropped overwritten: replies quote documents."""
    execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
    execute("PRAGMA secure_delete=ON")


def _unpacked(packed: object) -> dict[str, Any] | None:
    unpacking = zlib.decompressobj()
    try:
        value = json.loads(unpacking.decompress(packed if isinstance(packed, bytes) else b"", MAX_VALUE_BYTES))
    except (zlib.error, ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if unpacking.eof and isinstance(value, dict) else None


def _used_bytes(execute: Callable[..., Any]) -> int:
    """What the file's pages in use hold; those that were given back are used again."""
    pages, free, size = (
        execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def unlink(path: Path) -> None:
    """Remove the file and its log; for one that cannot be opened. Raises StoreError."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        try:
            path.with_name(name).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"cannot remove {path.with_name(name)}: {error.strerror or error}") from error
