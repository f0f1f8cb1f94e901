"""One SQLite file: whole transactions, questions in pieces, errors that are ours."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.errors import StoreError
from infra.store.database import MAX_PARAMETERS, Database

SCHEMA = "CREATE TABLE IF NOT EXISTS numbers (n INTEGER PRIMARY KEY)"


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.sqlite3", SCHEMA)
    with pytest.raises(ZeroDivisionError), database.transaction() as change:
        change.executemany("INSERT INTO numbers VALUES (?)", ((1 // n,) for n in (1, 0)))
    with pytest.raises(StoreError, match=r"x.sqlite3 failed: UNIQUE"), database.transaction() as change:
        change.executemany("INSERT INTO numbers VALUES (?)", [(2,), (2,)])
    with database.transaction() as change:
        change.execute("INSERT INTO numbers VALUES (3)")
    assert database.rows("SELECT n FROM numbers") == [(3,)]
    database.close()


def test_questions_about_many_values_are_asked_in_pieces(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.sqlite3", SCHEMA)
    count = 3 * MAX_PARAMETERS + 1
    with database.transaction() as change:
        change.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in range(count)])
    asked = "SELECT n FROM numbers WHERE n >= ? AND n IN {}"
    assert [n for (n,) in database.rows_in(asked, range(-5, count), 2)] == list(range(2, count))
    assert database.one("SELECT n FROM numbers WHERE n > 99999") is None
    database.close()


def test_the_file_is_in_wal_mode_and_a_closed_one_says_so(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.sqlite3", SCHEMA)
    assert database.rows("PRAGMA journal_mode") == [("wal",)]
    database.close()
    database.close()
    with pytest.raises(StoreError, match="closed database"):
        database.rows("SELECT 1")


def test_readers_wait_for_no_writer_and_a_writer_sees_its_own_rows(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.sqlite3", SCHEMA)
    with ThreadPoolExecutor(1) as other, database.transaction() as change:
        change.execute("INSERT INTO numbers VALUES (1)")
        assert database.rows("SELECT n FROM numbers") == [(1,)]
        assert other.submit(database.rows, "SELECT n FROM numbers").result(timeout=60) == []
    assert database.rows("SELECT n FROM numbers") == [(1,)]
    database.close()


def test_a_read_cannot_write(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.sqlite3", SCHEMA)
    with pytest.raises(StoreError, match="readonly"):
        database.rows("INSERT INTO numbers VALUES (1)")
    database.close()


def test_several_may_open_one_file_at_once_and_each_write_is_waited_for(tmp_path: Path) -> None:
    def add(number: int) -> None:
        database = Database(tmp_path / "x.sqlite3", SCHEMA)
        for n in range(20):
            with database.transaction() as change:
                change.execute("INSERT INTO numbers VALUES (?)", (100 * number + n,))
        database.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add, range(6)))
    database = Database(tmp_path / "x.sqlite3", SCHEMA)
    assert database.rows("SELECT count(*) FROM numbers") == [(120,)]
    database.close()
