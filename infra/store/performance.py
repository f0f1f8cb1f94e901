"""The table ``performance_logs``: one row an operation, written behind the caller's back.

Gives `PerformanceLog`. `add` puts a row into a bounded queue and returns at once; one thread writes what has gathered,
in one transaction. Nothing here fails or slows what is measured: a file that is locked, broken or on a full disk costs
one warning, the rows wait and are tried again, and rows that no longer fit the queue are counted as lost, the oldest
first. A row that no database takes is lost alone. Whatever goes wrong, the thread lives on until `close`. Several
processes may write one file. It is bounded to its newest rows. What a row says is made elsewhere
(``infra.performance``); the table is the one that the specification fixes.
"""

import json
import math
import sqlite3
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Thread
from typing import Any

from loguru import logger

from infra.errors import StoreError
from infra.store.database import Database

MAX_ROWS = 100_000
MAX_WAITING = 1_000
RETRY_SECONDS = 1.0
LAST_TRIES = 3
SCHEMA = """
CREATE TABLE IF NOT EXISTS performance_logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, operation TEXT NOT NULL, latency_ms REAL, tokens_processed INTEGER,
    timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP, metrics JSON);
"""
_INSERT = (
    "INSERT INTO performance_logs (operation, latency_ms, tokens_processed, timestamp, metrics) VALUES (?,?,?,?,?)"
)
# ids only grow, so this touches the rows that go and no others
_PRUNE = "DELETE FROM performance_logs WHERE id <= (SELECT max(id) FROM performance_logs) - ?"
_NEWEST = """SELECT operation, latency_ms, tokens_processed, timestamp, metrics FROM performance_logs
ORDER BY id DESC LIMIT ?"""
_BY_BACKEND = """
SELECT coalesce(json_extract(metrics, '$.call.backend'), ''), latency_ms, coalesce(tokens_processed, 0),
    coalesce(json_extract(metrics, '$.call.tries'), 0), coalesce(json_extract(metrics, '$.call.outcome'), '') != 'ok'
FROM performance_logs WHERE operation = ? ORDER BY 1, 2"""
# what is wrong with a row and not with the file: values that JSON or SQLite does not know
_NO_ROW = (ValueError, TypeError, OverflowError, RecursionError, sqlite3.InterfaceError, sqlite3.ProgrammingError)


@dataclass(frozen=True, slots=True)
class Measured:
    """One row.

    Attributes:
        operation: what was measured.
        latency_ms: how long it took.
        tokens_processed: prompt and reply; None where they are not known.
        timestamp: when it ended, ISO 8601 in UTC.
        metrics: the whole record, JSON.
    """

    operation: str
    latency_ms: float
    tokens_processed: int | None
    timestamp: str
    metrics: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Summary:
    """The rows of one back end together; percentiles by nearest rank, in milliseconds."""

    backend: str
    calls: int
    not_ok: int
    p50_ms: float
    p95_ms: float
    tokens: int
    tries: int


class PerformanceLog:
    """The rows of one file; thread-safe. The file is made when the first row is written.

    Args:
        path: the SQLite file; its folder is made if missing.
        max_rows: the newest rows are kept, this many.
        max_waiting: rows that may wait to be written.
        fill: adds to rows what takes time to find out, such as what the GPUs hold; called by the writer, with all rows
            that it takes at once.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_rows: int = MAX_ROWS,
        max_waiting: int = MAX_WAITING,
        fill: Callable[[Sequence[Measured]], Sequence[Measured]] | None = None,
    ) -> None:
        self._path = path
        self._fill = fill
        self._max_rows = max_rows
        self._max_waiting = max_waiting
        self._changed = Condition()
        self._waiting: deque[Measured] = deque()
        self._in_hand = 0  # rows the writer has taken and not yet written
        self._lost = 0
        self._closing = False
        self._said: set[str] = set()
        self._writer: Thread | None = None
        self._database: Database | None = None  # the writer thread's own

    @property
    def lost(self) -> int:
        """Rows that were never written."""
        with self._changed:
            return self._lost

    def add(self, row: Measured) -> None:
        """Have a row written soon; never waits and never fails. After `close` it is counted as lost."""
        with self._changed:
            if self._closing:
                self._lost += 1
                return
            self._waiting.append(row)
            self._bound()
            if self._writer is None:
                # a daemon, so that a program never waits at its end for a disk that does not answer
                writer = Thread(target=self._work, name="performance-log", daemon=True)
                with suppress(RuntimeError):  # no thread is to be had now: the row waits for the next one's
                    writer.start()
                    self._writer = writer
            self._changed.notify_all()

    def close(self, *, seconds: float = 2.0) -> None:
        """Write what is waiting and close the file, in ``seconds`` at most; safe to call twice."""
        with self._changed:
            first, self._closing = not self._closing, True
            writer = self._writer
            self._changed.notify_all()
        if writer is not None:
            writer.join(seconds)
        with self._changed:
            self._lost += len(self._waiting) + self._in_hand
            self._waiting.clear()
            self._in_hand = 0
        if first and self._lost:
            logger.warning(f"{self._lost} performance records were not written to {self._path}")

    def recent(self, limit: int = 100) -> list[Measured]:
        """Return the newest rows, newest first.

        Raises:
            StoreError: the file cannot be read.
        """
        with self._reading() as database:
            rows = database.rows(_NEWEST, (limit,)) if database else []
        return [Measured(row[0], row[1], row[2], row[3], json.loads(row[4])) for row in rows]

    def summary(self, operation: str) -> list[Summary]:
        """Return what the rows of an operation come to, a back end each, in the order of their names.

        Raises:
            StoreError: the file cannot be read.
        """
        with self._reading() as database:
            rows = database.rows(_BY_BACKEND, (operation,)) if database else []
        names = dict.fromkeys(row[0] for row in rows)
        return [_summed(name, [row for row in rows if row[0] == name]) for name in names]

    @contextmanager
    def _reading(self) -> Generator[Database | None]:
        """Open the file for one reader of its own; None where nothing was written yet."""
        if not self._path.exists():
            yield None
            return
        database = Database(self._path, SCHEMA)
        try:
            yield database
        finally:
            database.close()

    def _work(self) -> None:
        tries_left = LAST_TRIES
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                batch, closing = list(self._waiting), self._closing
                self._waiting.clear()
                self._in_hand = len(batch)
            written = self._write(self._filled(batch))
            tries_left -= closing
            if closing and (written or not tries_left):
                break
            if not written:
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, RETRY_SECONDS)
        self._shut()

    def _filled(self, batch: Sequence[Measured]) -> Sequence[Measured]:
        try:
            return self._fill(batch) if self._fill and batch else batch
        except Exception as error:  # noqa: BLE001 - a figure more is not worth a row
            self._say_once(f"performance records lack figures: {str(error) or type(error).__name__}")
            return batch

    def _write(self, batch: Sequence[Measured]) -> bool:
        """Write rows, or put them back; returns whether they are written."""
        try:
            unfit = self._insert(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next try is made
            self._shut()
            with self._changed:
                self._in_hand = 0
                self._waiting.extendleft(reversed(batch))
                self._bound()
            self._say_once(f"performance records wait: {str(error) or type(error).__name__}")
            return False
        with self._changed:
            self._in_hand = 0
            self._lost += len(unfit)
        for kind in unfit:
            self._say_once(f"a performance record cannot be written: {kind}")
        return True

    def _insert(self, batch: Sequence[Measured]) -> list[str]:
        """Write rows, all or none; returns what was wrong with each that cannot be written and is left out."""
        unfit: list[str] = []
        if not batch:
            return unfit
        if self._database is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._database = Database(self._path, SCHEMA)
        with self._database.transaction() as change:
            for row in batch:
                try:
                    change.execute(_INSERT, _cells(row))
                except _NO_ROW as error:
                    unfit.append(type(error).__name__)
            change.execute(_PRUNE, (self._max_rows,))
        return unfit

    def _shut(self) -> None:
        """Close the file; the next try opens it anew, whatever became of it."""
        database, self._database = self._database, None
        if database is not None:
            with suppress(StoreError):  # it failed before, and that was said; or all is written
                database.close()

    def _say_once(self, text: str) -> None:
        """Warn of one kind of trouble, known by its first words."""
        kind = text.partition(":")[0]
        if kind not in self._said:
            self._said.add(kind)
            logger.warning(text)

    def _bound(self) -> None:
        while len(self._waiting) > self._max_waiting:
            self._waiting.popleft()
            self._lost += 1


def _cells(row: Measured) -> tuple[object, ...]:
    return row.operation, row.latency_ms, row.tokens_processed, row.timestamp, json.dumps(row.metrics)


def _summed(backend: str, rows: Sequence[tuple[Any, ...]]) -> Summary:
    _, latencies, tokens, tries, not_ok = zip(*rows, strict=True)

    def rank(share: float) -> float:
        return latencies[math.ceil(share * len(latencies)) - 1]

    return Summary(backend, len(rows), sum(not_ok), rank(0.5), rank(0.95), sum(tokens), sum(tries))
