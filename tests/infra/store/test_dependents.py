"""What rests on documents follows them in the same transaction, whatever kills the process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from sqlite3 import Connection

import pytest

from infra.errors import StoreError
from infra.store.database import Database
from infra.store.dependents import Changed
from infra.store.library import SCHEMA, Library
from infra.store.records import Entry
from tests.infra.store.samples import CATS, DOGS, entry

ROOT = Path(__file__).resolve().parents[3]


class Answers:
    """A cache of answers, each resting on one chunk."""

    name = "answers"
    tables: Sequence[str] = ("CREATE TABLE IF NOT EXISTS answers (chunk_id TEXT, words TEXT)",)

    def __init__(self) -> None:
        self.seen: list[Changed] = []

    def follow(self, change: Connection, changed: Changed) -> None:
        self.seen.append(changed)
        change.executemany("DELETE FROM answers WHERE chunk_id = ?", ((one,) for one in changed.gone))

    def clear(self, change: Connection) -> None:
        change.execute("DELETE FROM answers")


class Broken(Answers):
    def follow(self, change: Connection, changed: Changed) -> None:
        super().follow(change, changed)
        change.execute("DELETE FROM nowhere")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "library.sqlite3", SCHEMA)
    yield opened
    opened.close()


@pytest.fixture
def library(database: Database) -> Library:
    return Library(database)


def store(library: Library, *entries: Entry, removed: Sequence[str] = ()) -> None:
    library.change([(one, {}) for one in entries], removed)


def keep(database: Database, chunk_id: str) -> None:
    with database.transaction() as change:
        change.execute("INSERT INTO answers VALUES (?, 'words')", (chunk_id,))


def kept(database: Database) -> list[str]:
    return [row[0] for row in database.rows("SELECT chunk_id FROM answers ORDER BY chunk_id")]


def test_it_is_told_what_came_what_went_and_what_shifted(library: Library) -> None:
    answers = Answers()
    library.dependents.attach(answers)
    store(library, CATS, DOGS)
    first, second, third = (chunk.id for chunk in CATS.chunks)
    # the second line changes: the third one has the same words, but its chunk in these samples is named by its place
    store(
        library, entry(CATS.document.path, "Cats sleep all day.\nCats eat.", header="Cats"), removed=[DOGS.document.id]
    )
    assert answers.seen == [
        Changed(frozenset({CATS.document.id, DOGS.document.id}), frozenset(), frozenset(), frozenset()),
        Changed(
            stored=frozenset({CATS.document.id}),
            removed=frozenset({DOGS.document.id}),
            gone=frozenset({second, third, *(chunk.id for chunk in DOGS.chunks)}),
            shifted=frozenset(),
        ),
    ]
    assert first not in answers.seen[1].gone


def test_a_chunk_that_stands_elsewhere_is_shifted_and_not_gone(library: Library) -> None:
    answers = Answers()
    library.dependents.attach(answers)
    store(library, CATS)
    moved = CATS.chunks[2]
    at = type(moved)(moved.id, moved.document_id, 0, 0, moved.end - moved.start, moved.header, moved.digest)
    store(library, Entry(CATS.document, (at,), ()))
    assert answers.seen[1].shifted == {moved.id}
    assert moved.id not in answers.seen[1].gone


def test_an_answer_is_gone_with_the_chunk_it_rests_on(library: Library, database: Database) -> None:
    library.dependents.attach(Answers())
    store(library, CATS, DOGS)
    keep(database, CATS.chunks[0].id)
    keep(database, DOGS.chunks[0].id)
    store(library, removed=[DOGS.document.id])
    assert kept(database) == [CATS.chunks[0].id]


def test_a_change_that_cannot_be_followed_does_not_happen(library: Library, database: Database) -> None:
    store(library, CATS)
    library.dependents.attach(Broken())
    keep(database, CATS.chunks[0].id)
    with pytest.raises(StoreError, match="no such table: nowhere"):
        store(library, removed=[CATS.document.id])
    assert (kept(database), len(library.stamps())) == ([CATS.chunks[0].id], 1)


def test_who_was_away_while_documents_changed_is_cleared(tmp_path: Path, database: Database) -> None:
    here = Library(database)
    here.dependents.attach(Answers())
    store(here, CATS)
    keep(database, CATS.chunks[0].id)
    here.dependents.attach(Answers())
    assert kept(database) == [CATS.chunks[0].id]
    other = Database(tmp_path / "library.sqlite3", SCHEMA)
    store(Library(other), DOGS)
    other.close()
    assert not here.dependents.current("answers")
    # following the next change does not make up for the one that was missed
    store(here, removed=[DOGS.document.id])
    assert not here.dependents.current("answers")
    here.dependents.attach(Answers())
    assert here.dependents.current("answers")
    assert kept(database) == []


KILLED = """
import os, signal, sys
from infra.store.database import Database
from infra.store.library import SCHEMA, Library
from tests.infra.store.samples import CATS
from tests.infra.store.test_dependents import Answers

class Killed(Answers):
    def follow(self, change, changed):
        if sys.argv[2] == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        super().follow(change, changed)
        if sys.argv[2] == "after":
            os.kill(os.getpid(), signal.SIGKILL)

database = Database(sys.argv[1], SCHEMA)
library = Library(database)
library.dependents.attach(Killed())
library.change([], [CATS.document.id])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("moment", "left"), [("before", 1), ("after", 1), ("end", 0)])
def test_a_kill_leaves_document_and_answer_both_or_neither(
    tmp_path: Path, library: Library, database: Database, moment: str, left: int
) -> None:
    library.dependents.attach(Answers())
    store(library, CATS)
    keep(database, CATS.chunks[0].id)
    database.close()
    command = [sys.executable, "-c", KILLED, str(tmp_path / "library.sqlite3"), moment]
    killed = subprocess.run(command, cwd=ROOT, env=os.environ, check=False, capture_output=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = Database(tmp_path / "library.sqlite3", SCHEMA)
    reopened = Library(again)
    assert (len(reopened.stamps()), len(kept(again))) == (left, left)
    assert reopened.dependents.current("answers")
    again.close()
