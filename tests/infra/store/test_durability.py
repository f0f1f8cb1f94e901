"""What is written stays: on the disk before it is acknowledged, whole when the disk is full, whoever else writes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.errors import StoreError
from infra.store.database import Database
from infra.store.kv import SqliteKeyValues
from infra.store.library import SCHEMA, Library
from tests.infra.store.samples import CATS, DOGS, ROOT, entry

FULL = 2
NORMAL = 1


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "library.sqlite3", SCHEMA, durable=True)
    yield opened
    opened.close()


def pragma(database: Database, name: str) -> object:
    return database._connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_the_library_outlives_a_power_cut_and_the_cache_may_forget(tmp_path: Path, database: Database) -> None:
    cache = SqliteKeyValues(tmp_path / "kv.sqlite3")
    assert (pragma(database, "journal_mode"), pragma(database, "synchronous")) == ("wal", FULL)
    assert (pragma(cache._database, "journal_mode"), pragma(cache._database, "synchronous")) == ("wal", NORMAL)
    cache.close()


def test_a_full_disk_stops_a_change_that_leaves_nothing_behind(database: Database) -> None:
    library = Library(database)
    library.change([(CATS, {"cat": 3})], [])
    pages = pragma(database, "page_count")
    pragma(database, f"max_page_count = {pages}")
    large = entry(f"{ROOT}/large.md", "\n".join(f"Line {n} of a large text." for n in range(2_000)))
    with pytest.raises(StoreError, match=r"library.sqlite3 failed: database or disk is full"):
        library.change([(large, {"line": 2_000}), (DOGS, {"dog": 2})], [CATS.document.id])
    assert list(library.stamps()) == [CATS.document.path]
    assert database.rows("SELECT term, windows FROM terms") == [("cat", 3)]
    pragma(database, "max_page_count = 1000000")
    library.change([(large, {"line": 2_000}), (DOGS, {"dog": 2})], [CATS.document.id])
    assert database.rows("SELECT term, windows FROM terms ORDER BY term") == [("dog", 2), ("line", 2_000)]


def test_two_who_write_at_once_take_turns_and_lose_nothing(tmp_path: Path, database: Database) -> None:
    Library(database)

    def write(who: int) -> None:
        own = Database(tmp_path / "library.sqlite3", SCHEMA, durable=True)
        library = Library(own)
        for number in range(20):
            library.change([(entry(f"{ROOT}/{who}-{number}.md", "Cats."), {"cat": 1})], [])
        own.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(2)))
    assert database.one("SELECT count(*) FROM documents") == (40,)
    assert database.rows("SELECT term, windows FROM terms") == [("cat", 40)]
    assert Library(database).generation() == 40
