"""What is cleared leaves the disk, with what was decided about it."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from infra.cache.records import Asked, Kept
from tests.infra.cache.house import SameText, Tenant, quick

SECRET = "Where does the zebra sleep?"


class Close(SameText):
    """Says which question it compared with."""

    def judge(self, asked: Asked, kept: Kept) -> tuple[Literal["hit", "miss"], str]:
        return ("hit", "the same question") if asked.text == kept.question else ("miss", "not the same")


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tenant]:
    quick(monkeypatch)
    tenant = Tenant(tmp_path, gates=Close())
    tenant.write("dogs.md", "Dogs chase cats in the garden.\n")
    tenant.learn("dogs chase cats")
    tenant.write("zebra.md", "The zebra sleeps in the stable.\n")
    tenant.learn(SECRET)
    tenant.ask("Where does the zebra sleep now?")
    yield tenant
    tenant.close()


def test_with_a_document_go_the_decisions_about_its_questions_and_no_others(one: Tenant) -> None:
    assert [d.candidate for d in one.cache.why("Where does the zebra sleep now?")] == [SECRET]
    assert one.cache.clear(str(one.docs / "zebra.md")) == 1
    assert [decision.question for decision in one.cache.why()] == ["dogs chase cats"]
    assert [kept.question for kept in one.cache.export()] == ["dogs chase cats"]
    assert one.cache.stats().cleared == 1


def test_with_a_folder_go_the_answers_of_all_documents_in_it(one: Tenant) -> None:
    assert one.cache.clear(str(one.docs)) == 2
    assert one.cache.why() == []


@pytest.mark.parametrize("path", ["zebra.md", None])
def test_no_word_of_it_stays_in_the_file(one: Tenant, path: str | None) -> None:
    file = one.index.folder / "library.sqlite3"
    one.cache.stats()
    assert SECRET.encode() in _bytes(file)
    one.cache.clear(str(one.docs / path) if path else None)
    assert b"Where does the zebra" not in _bytes(file)


def test_documents_are_removed_as_fast_as_before(one: Tenant) -> None:
    one.cache.clear()
    with one.index.library.dependents.database.transaction() as change:
        assert change.execute("PRAGMA secure_delete").fetchone() == (0,)


def test_more_documents_than_a_statement_takes_values(one: Tenant) -> None:
    table = one.cache._table
    limit = sqlite3.connect(":memory:").getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
    assert table.remove([str(number) for number in range(limit + 1)]) == 0


def _bytes(file: Path) -> bytes:
    return b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*") if not path.name.endswith("-shm"))
