"""One SQLite file: whole transactions, questions in pieces, errors that are ours."""

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
