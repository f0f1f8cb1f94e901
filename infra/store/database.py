"""One SQLite file in WAL mode, shared by the threads of one process.

Gives short reads and all-or-nothing writes; one thread at a time is inside (a read takes microseconds, and a reader
never sees half a transaction). SQLite's errors become ``StoreError``. What stands in the file is
``infra.store.library``'s part.
"""

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from infra.errors import StoreError

Row = tuple[Any, ...]

MAX_PARAMETERS = 500
"""Values in one ``IN (...)``; SQLite's own default limit is 999 in old builds."""

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    # with WAL, NORMAL can lose the last transactions on a power cut but never leaves a broken file
    "PRAGMA synchronous=NORMAL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
)


@contextmanager
def store_errors(path: Path) -> Generator[None]:
    """Run something that works on the SQLite file ``path``; SQLite's errors come out as StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"the database {path} failed: {error}") from error


class Database:
    """An open SQLite file."""

    def __init__(self, path: Path, schema: str) -> None:
        """Open or create ``path`` and run ``schema`` (``CREATE ... IF NOT EXISTS``).

        Raises:
            StoreError: the file cannot be opened, written, or is not a database.
        """
        self._path = path
        self._lock = RLock()
        with store_errors(self._path):
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            try:
                for pragma in _PRAGMAS:
                    self._connection.execute(pragma)
                self._connection.executescript(schema)
            except BaseException:
                self._connection.close()
                raise

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """The rows of a query."""
        with self._lock, store_errors(self._path):
            return self._connection.execute(sql, parameters).fetchall()

    def rows_in(self, sql: str, values: Sequence[Any], *before: object) -> list[Row]:
        """The rows of a query that ends in ``IN {}``, asked for ``values`` in pieces, after ``before``."""
        found: list[Row] = []
        for first in range(0, len(values), MAX_PARAMETERS):
            piece = values[first : first + MAX_PARAMETERS]
            found += self.rows(sql.format(f"({','.join('?' * len(piece))})"), [*before, *piece])
        return found

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        """The first row of a query, or None."""
        return next(iter(self.rows(sql, parameters)), None)

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """All statements inside take effect together, or none when an exception leaves the block."""
        with self._lock, store_errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file; safe to call twice."""
        with self._lock, store_errors(self._path):
            self._connection.close()
