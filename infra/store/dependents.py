"""What rests on documents, such as cached answers, follows them in the very transaction that changes them.

A ``Dependent`` keeps tables of its own in the library's file. ``Library.change`` calls its ``follow`` before the change
takes effect: both are on the disk or neither. For each dependent the library notes the generation up to which it has
followed; one that was away while documents changed (another process did not attach it) is cleared when it is attached,
and ``Dependents.current`` says so to whoever reads its tables meanwhile.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Protocol

from infra.store.database import Database
from infra.store.records import Entry

SCHEMA = """
CREATE TABLE IF NOT EXISTS dependents (name TEXT PRIMARY KEY, generation INTEGER NOT NULL) WITHOUT ROWID;
"""

Places = Mapping[str, tuple[int, int, str]]
"""Start and end of passages in their document, and the section they stand in, by chunk id."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What one change does.

    Attributes:
        stored: ids of documents that are new or read again.
        removed: ids of documents that are gone.
        gone: ids of chunks that are no longer there.
        shifted: ids of chunks that are still there, at other offsets of their document or in another section.
    """

    stored: frozenset[str]
    removed: frozenset[str]
    gone: frozenset[str]
    shifted: frozenset[str]


class Dependent(Protocol):
    """Something that rests on documents; its methods use the connection given and no other."""

    @property
    def name(self) -> str:
        """What it is called; one of each name."""
        ...

    @property
    def tables(self) -> Sequence[str]:
        """Statements that create its tables where they are missing."""
        ...

    def follow(self, change: Connection, changed: Changed) -> None:
        """Drop or mend what rests on documents and chunks that change; an error undoes the whole change."""
        ...

    def clear(self, change: Connection) -> None:
        """Forget everything: it is not known what changed."""
        ...


class Dependents:
    """Those attached to a library in this process; attach them before documents are changed."""

    def __init__(self, database: Database) -> None:
        """Work on the library's database."""
        self._database = database
        self._attached: dict[str, Dependent] = {}

    @property
    def database(self) -> Database:
        """The library's database: dependents read and write their own tables in it, and no others."""
        return self._database

    def attach(self, dependent: Dependent) -> None:
        """Let ``dependent`` follow every change made by this process from now on.

        Raises:
            StoreError: its tables cannot be made or cleared.
        """
        with self._database.transaction() as change:
            for statement in dependent.tables:
                change.execute(statement)
            if not self.current(dependent.name):
                dependent.clear(change)
            change.execute(
                f"INSERT OR REPLACE INTO dependents VALUES (?, {_GENERATION})",
                (dependent.name,),
            )
            self._attached[dependent.name] = dependent

    def current(self, name: str) -> bool:
        """Whether the dependent of this name has followed every change of the documents."""
        sql = f"SELECT 1 FROM dependents WHERE name = ? AND generation = {_GENERATION}"
        return self._database.one(sql, (name,)) is not None

    def places(self, change: Connection, document_ids: Iterable[str]) -> dict[str, tuple[int, int, str]]:
        """Where the passages of some documents stand before the change; nothing when nobody follows."""
        if not self._attached:
            return {}
        sql = "SELECT id, start, end, section FROM chunks WHERE document_id = ?"
        return {row[0]: row[1:] for one in document_ids for row in change.execute(sql, (one,))}

    def follow(
        self, change: Connection, before: Places, entries: Sequence[Entry], removed: Iterable[str], generation: int
    ) -> None:
        """Let all follow a change: ``before`` is what ``places`` gave, ``generation`` the one it leads to."""
        if not self._attached:
            return
        after = {chunk.id: (chunk.start, chunk.end, chunk.section) for entry in entries for chunk in entry.chunks}
        stored = frozenset(entry.document.id for entry in entries)
        changed = Changed(
            stored=stored,
            removed=frozenset(removed) - stored,
            gone=frozenset(before) - frozenset(after),
            shifted=frozenset(one for one, place in before.items() if after.get(one, place) != place),
        )
        for name, dependent in self._attached.items():
            dependent.follow(change, changed)
            # one that missed a change of another process stays behind, so that it is cleared
            sql = "UPDATE dependents SET generation = ? WHERE name = ? AND generation = ?"
            change.execute(sql, (generation, name, generation - 1))


_GENERATION = "coalesce((SELECT number FROM meta WHERE name = 'generation'), 0)"
