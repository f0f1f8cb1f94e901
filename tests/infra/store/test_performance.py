"""performance_logs: rows written behind the caller's back, bounded, shared, and never in the way."""

import sqlite3
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Event, Thread, current_thread
from typing import Any, cast

import pytest
from loguru import logger

from infra.store.database import Database
from infra.store.performance import SCHEMA, Measured, PerformanceLog, Summary

ANOTHER_PROCESS = """
import sys
from pathlib import Path
from infra.store.performance import SCHEMA, Measured, PerformanceLog
log = PerformanceLog(Path(sys.argv[1]))
for n in range(200):
    log.add(Measured("other", float(n), n, "2026-01-01T00:00:00.000Z", {}))
log.close(seconds=30)
sys.exit(log.lost)
"""
CIRCLE: dict[str, Any] = {}
CIRCLE["call"] = CIRCLE


def row(number: int = 0, *, backend: str = "vllm", latency_ms: float = 1.0, outcome: str = "ok") -> Measured:
    call = {"call": {"backend": backend, "tries": 2, "outcome": outcome}}
    return Measured("model_call", latency_ms, number, "2026-01-01T00:00:00.000Z", call)


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    told: list[str] = []
    sink = logger.add(lambda message: told.append(message.record["message"]), level="WARNING")
    yield told
    logger.remove(sink)


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold the write lock of a file, as another process would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_the_table_is_the_one_the_specification_fixes_and_the_file_is_in_wal_mode(tmp_path: Path):
    path = tmp_path / "deep" / "p.sqlite3"
    log = PerformanceLog(path)
    assert not path.exists()
    assert log.recent() == []
    log.add(row(7))
    log.close(seconds=30)
    assert log.lost == 0
    with closing(sqlite3.connect(path)) as database:
        columns = [(name, kind) for _, name, kind, *_ in database.execute("PRAGMA table_info(performance_logs)")]
        assert database.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    assert columns == [
        ("id", "INTEGER"),
        ("operation", "TEXT"),
        ("latency_ms", "REAL"),
        ("tokens_processed", "INTEGER"),
        ("timestamp", "TIMESTAMP"),
        ("metrics", "JSON"),
    ]
    assert log.recent() == [row(7)]


def test_only_the_newest_rows_are_kept(tmp_path: Path):
    log = PerformanceLog(tmp_path / "p.sqlite3", max_rows=10)
    for number in range(25):
        log.add(row(number))
    log.close(seconds=30)
    assert [kept.tokens_processed for kept in log.recent()] == list(range(24, 14, -1))
    assert [kept.tokens_processed for kept in log.recent(2)] == [24, 23]


def test_a_summary_says_what_each_back_end_took(tmp_path: Path):
    log = PerformanceLog(tmp_path / "p.sqlite3")
    for number in range(1, 101):
        log.add(row(1, latency_ms=float(number)))
    log.add(row(5, backend="engine", outcome="failed"))
    log.add(Measured("another operation", 1.0, 1, "2026-01-01T00:00:00.000Z", {}))
    log.close(seconds=30)
    assert log.summary("model_call") == [
        Summary("engine", calls=1, not_ok=1, p50_ms=1.0, p95_ms=1.0, tokens=5, tries=2),
        Summary("vllm", calls=100, not_ok=0, p50_ms=50.0, p95_ms=95.0, tokens=100, tries=200),
    ]


def test_five_readers_and_two_writers_meet_no_lock_and_lose_no_row(tmp_path: Path):
    path, start, done = tmp_path / "p.sqlite3", Barrier(7), Event()

    def write() -> int:
        log = PerformanceLog(path)
        start.wait()
        for number in range(300):
            log.add(row(number))
        log.close(seconds=30)
        return log.lost

    def read() -> int:
        reader, rounds = PerformanceLog(path), 0
        start.wait()
        while rounds == 0 or not done.is_set():
            rounds += len(reader.recent(20)) + len(reader.summary("model_call")) + 1
        return rounds

    with ThreadPoolExecutor(7) as pool:
        readers = [pool.submit(read) for _ in range(5)]
        writers = [pool.submit(write) for _ in range(2)]
        assert [writer.result() for writer in writers] == [0, 0]
        done.set()
        assert all(reader.result() for reader in readers)
    found = [kept.tokens_processed or 0 for kept in PerformanceLog(path).recent(1000)]
    assert sorted(found) == sorted([*range(300), *range(300)])


def test_several_processes_write_one_file(tmp_path: Path):
    path = tmp_path / "p.sqlite3"
    others = [subprocess.Popen([sys.executable, "-c", ANOTHER_PROCESS, str(path)]) for _ in range(2)]
    log = PerformanceLog(path)
    for number in range(200):
        log.add(row(number))
    log.close(seconds=30)
    assert [other.wait() for other in others] == [0, 0]
    assert log.lost == 0
    assert len(log.recent(1000)) == 600


def test_rows_wait_for_a_locked_file_and_nobody_else_does(tmp_path: Path):
    path = tmp_path / "p.sqlite3"
    first = PerformanceLog(path)
    first.add(row(0))
    first.close(seconds=30)
    log = PerformanceLog(path, max_waiting=3)
    with locked(path):
        for number in range(1, 11):
            log.add(row(number))
    log.close(seconds=30)
    kept = [found.tokens_processed for found in log.recent()]
    assert kept[:3] == [10, 9, 8]
    assert len(kept) - 1 + log.lost == 10


def test_a_lock_that_stays_does_not_hold_up_the_end(tmp_path: Path, warnings: list[str]):
    path = tmp_path / "p.sqlite3"
    PerformanceLog(path).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
    log = PerformanceLog(path)
    with locked(path):
        log.add(row())
        log.close(seconds=0.05)
        log.add(row())
    assert warnings == [f"1 performance records were not written to {path}"]
    assert log.lost == 2


def test_a_file_that_cannot_be_written_costs_one_warning_and_the_rows(tmp_path: Path, warnings: list[str]):
    path = tmp_path / "p.sqlite3"
    path.write_bytes(b"this is no database " * 100)
    log = PerformanceLog(path, max_waiting=2)
    for number in range(5):
        log.add(row(number))
    log.close(seconds=30)
    assert log.lost == 5
    assert warnings == [
        f"performance records wait: the database {path} failed: file is not a database",
        f"5 performance records were not written to {path}",
    ]


def test_rows_that_found_a_full_disk_are_written_when_there_is_room(tmp_path: Path):
    path, told = tmp_path / "p.sqlite3", Event()
    sink = logger.add(lambda _: told.set(), level="WARNING")
    with closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA)
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON performance_logs BEGIN SELECT raise(FAIL, 'disk is full'); END"
        )
    log = PerformanceLog(path)
    log.add(row(1))
    assert told.wait(30)
    logger.remove(sink)
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TRIGGER full")
    log.close(seconds=30)
    assert log.lost == 0
    assert log.recent() == [row(1)]


UNFIT: dict[str, Measured] = {
    "an object": replace(row(9), metrics={"call": object()}),
    "a circle": replace(row(9), metrics=CIRCLE),
    "a lone surrogate": replace(row(9), operation="\ud800"),
    "a number that is too long": replace(row(9), tokens_processed=2**70),
    "a value of another type": replace(row(9), timestamp=cast("str", object())),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_a_row_that_cannot_be_written_is_lost_alone_and_said_once(tmp_path: Path, warnings: list[str], kind: str):
    log = PerformanceLog(tmp_path / "p.sqlite3")
    for each in (row(1), UNFIT[kind], row(2), UNFIT[kind], row(3)):
        log.add(each)
    log.close(seconds=30)
    assert [kept.tokens_processed for kept in log.recent()] == [3, 2, 1]
    assert log.lost == 2
    assert [text.partition(":")[0] for text in warnings] == [
        "a performance record cannot be written",
        f"2 performance records were not written to {tmp_path / 'p.sqlite3'}",
    ]


def test_the_writer_outlives_what_nobody_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str]):
    answers, written = iter([MemoryError(), AssertionError("never seen before")]), Event()

    def broken(path: Path, schema: str) -> Database:
        for error in answers:
            raise error
        written.set()
        return Database(path, schema)

    monkeypatch.setattr("infra.store.performance.Database", broken)
    monkeypatch.setattr("infra.store.performance.RETRY_SECONDS", 0)
    log = PerformanceLog(tmp_path / "p.sqlite3")
    log.add(row(1))
    assert written.wait(30)
    log.close(seconds=30)
    assert (log.lost, log.recent()) == (0, [row(1)])
    assert warnings == ["performance records wait: MemoryError"]


def test_a_program_that_gets_no_thread_keeps_its_rows_for_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = PerformanceLog(tmp_path / "p.sqlite3")
    with monkeypatch.context() as without:

        def refuse(_: Thread) -> None:
            raise RuntimeError("can't start new thread")

        without.setattr(Thread, "start", refuse)
        log.add(row(1))
    log.add(row(2))
    log.close(seconds=30)
    assert log.recent() == [row(2), row(1)]


def test_a_closed_log_takes_no_more_rows(tmp_path: Path):
    log = PerformanceLog(tmp_path / "p.sqlite3")
    log.close(seconds=30)
    log.close(seconds=30)
    log.add(row())
    assert log.lost == 1
    assert log.recent() == []


def test_rows_are_filled_in_by_the_writer_and_not_by_the_caller(tmp_path: Path):
    threads: list[str] = []

    def fill(rows: Sequence[Measured]) -> Sequence[Measured]:
        threads.append(current_thread().name)
        return [replace(one, tokens_processed=99) for one in rows]

    log = PerformanceLog(tmp_path / "p.sqlite3", fill=fill)
    log.add(row(1))
    log.close(seconds=30)
    assert log.recent() == [row(99)]
    assert set(threads) == {"performance-log"}


def test_figures_that_cannot_be_had_cost_a_warning_and_no_row(tmp_path: Path, warnings: list[str]):
    def fill(rows: Sequence[Measured]) -> Sequence[Measured]:
        raise OSError("no driver")

    log = PerformanceLog(tmp_path / "p.sqlite3", fill=fill)
    log.add(row(1))
    log.close(seconds=30)
    assert log.recent() == [row(1)]
    assert warnings == ["performance records lack figures: no driver"]
