"""One SQLite file in WAL mode, shared by the threads of this process and by other processes.

Gives short reads and all-or-nothing writes. One thread at a time writes; reads have connections of their own, so that
they wait for no writer, and see what was committed last (inside a transaction: what it has written so far). A writer of
another process is waited for. SQLite's errors become ``StoreError``. What stands in the file is
``infra.store.library``'s part.
"""

import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, RLock, get_ident
from typing import Any

from infra.errors import StoreError

Row = tuple[Any, ...]

Check = Callable[[sqlite3.Connection], None]

MAX_PARAMETERS = 500
"""Values in one ``IN (...)``; SQLite's own default limit is 999 in old builds."""

BUSY_SECONDS = 30.0
"""How long a write waits for the write of another process; the longest of ours takes a few seconds."""

OPENING_TRIES = 50
OPENING_WAIT_SECONDS = 0.05

_PRAGMAS = ("PRAGMA journal_mode=WAL", "PRAGMA foreign_keys=ON")


@contextmanager
def store_errors(path: Path) -> Generator[None]:
    """Run something that works on the SQLite file ``path``; SQLite's errors come out as StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"the database {path} failed: {error}") from error


class Database:
    """An open SQLite file."""

    def __init__(self, path: Path, schema: str, *, durable: bool = False, check: Check | None = None) -> None:
        """Open or create ``path`` and run ``schema`` (``CREATE ... IF NOT EXISTS``).

        Args:
            path: the file.
            schema: its tables.
            durable: whether what was written outlives a power cut (a few milliseconds a transaction). If not, a power
                cut can take the last transactions; the file is never broken, and a kill takes nothing in either case.
            check: looks at what is in the file before ``schema`` is run, and raises where it must not be.

        Raises:
            StoreError: the file cannot be opened, written, or is not a database.
        """
        self._path = path
        self._lock = RLock()
        self._writing_thread: int | None = None
        self._readers_lock = Lock()
        self._idle: list[sqlite3.Connection] | None = []
        with store_errors(self._path):
            self._connection = _opened(path, schema, check)
            self._connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """The rows of a query."""
        with store_errors(self._path), self._reading() as connection:
            return connection.execute(sql, parameters).fetchall()

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
            self._writing_thread = get_ident()
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # a full disk makes SQLite undo the transaction by itself
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._writing_thread = None

    def close(self) -> None:
        """Close the file; safe to call twice."""
        with self._readers_lock:
            idle, self._idle = self._idle or [], None
        with self._lock, store_errors(self._path):
            for connection in [*idle, self._connection]:
                connection.close()

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        if self._writing_thread == get_ident():
            yield self._connection
            return
        connection = self._reader()
        try:
            yield connection
        finally:
            self._give_back(connection)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._readers_lock:
            if self._idle is not None:
                self._idle.append(connection)
                return
        connection.close()

    def _reader(self) -> sqlite3.Connection:
        with self._readers_lock:
            if self._idle is None:
                raise sqlite3.ProgrammingError("Cannot operate on a closed database.")
            if self._idle:
                return self._idle.pop()
        connection = _connected(self._path)
        connection.execute("PRAGMA query_only=ON")
        return connection


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None)


def _opened(path: Path, schema: str, check: Check | None) -> sqlite3.Connection:
    connection = _connected(path)
    try:
        _prepare(connection, schema, check)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, schema: str, check: Check | None) -> None:
    """Set the file up; SQLite answers "locked" at once, whatever its time-out, while another one turns WAL mode on."""
    tries = OPENING_TRIES
    while True:
        try:
            for pragma in _PRAGMAS:
                connection.execute(pragma)
            if check is not None:
                check(connection)
            connection.executescript(f"BEGIN IMMEDIATE;{schema};COMMIT")
        except sqlite3.OperationalError as error:
            tries -= 1
            if not tries or "locked" not in str(error):
                raise
            time.sleep(OPENING_WAIT_SECONDS)
        else:
            return
