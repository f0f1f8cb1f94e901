"""Questions to the library: passages, neighbours, windows, words, counts. Reads only.

Names of documents are made for the roots in play. Whatever is asked by an id that is not (or no longer) stored is left
out of the answer: a hit of the vector store may be older than the library.
"""

import math
from collections.abc import Sequence
from typing import Any

from infra.store.database import Database, Row
from infra.store.records import Counts, DocumentInfo, StoredPassage, StoredWindow
from infra.store.roots import document_name, root_of

_PASSAGE = """
    SELECT c.id, c.document_id, d.path, c.ordinal, c.start, c.end, c.text, c.header, c.digest, c.section
    FROM chunks c JOIN documents d ON d.id = c.document_id """
_WINDOW = """
    SELECT w.id, w.chunk_id, w.document_id, w.start, w.end, c.text, c.header, c.start, w.key
    FROM windows w JOIN chunks c ON c.id = w.chunk_id """


class Lookup:
    """Reads from a library's database; thread-safe through it."""

    def __init__(self, database: Database) -> None:
        """Read from an open database that was made with ``infra.store.library.SCHEMA``."""
        self._database = database
        self._counted: tuple[Row | None, int] = (None, -1)

    def passages(self, chunk_ids: Sequence[str], roots: Sequence[str]) -> list[StoredPassage]:
        """The chunks with these ids, in this order."""
        rows = self._database.rows_in(_PASSAGE + "WHERE c.id IN {}", list(dict.fromkeys(chunk_ids)))
        found = {row[0]: _passage(row, roots) for row in rows}
        return [found[chunk_id] for chunk_id in chunk_ids if chunk_id in found]

    def neighbours(self, chunk_id: str, roots: Sequence[str]) -> list[StoredPassage]:
        """The chunk before and the chunk after, where there are such."""
        condition = "JOIN chunks o ON o.document_id = c.document_id WHERE o.id = ? AND abs(c.ordinal - o.ordinal) = 1"
        rows = self._database.rows(_PASSAGE + condition + " ORDER BY c.ordinal", [chunk_id])
        return [_passage(row, roots) for row in rows]

    def windows(self, window_ids: Sequence[str]) -> list[StoredWindow]:
        """The windows with these ids, in this order."""
        rows = self._database.rows_in(_WINDOW + "WHERE w.id IN {}", list(dict.fromkeys(window_ids)))
        found = {row[0]: _window(row) for row in rows}
        return [found[window_id] for window_id in window_ids if window_id in found]

    def windows_of(self, document_id: str) -> list[tuple[StoredWindow, str]]:
        """The windows of a document, each with the key of its embedding."""
        rows = self._database.rows(_WINDOW + "WHERE w.document_id = ?", [document_id])
        return [(_window(row), row[-1]) for row in rows]

    def place_of(self, document_id: str) -> tuple[str, str] | None:
        """Root and path of a document."""
        row = self._database.one("SELECT root, path FROM documents WHERE id = ?", [document_id])
        return (row[0], row[1]) if row else None

    def text_of(self, document_id: str) -> str:
        """The extracted text of a document. Raises KeyError for an id that is not stored."""
        row = self._database.one("SELECT text FROM documents WHERE id = ?", [document_id])
        if row is None:
            raise KeyError(document_id)
        return row[0]

    def documents(self, roots: Sequence[str]) -> list[DocumentInfo]:
        """The documents under ``roots``, by path."""
        rows = self._database.rows(
            "SELECT id, path, title, digest, (SELECT count(*) FROM chunks c WHERE c.document_id = d.id) "
            "FROM documents d ORDER BY path"
        )
        wanted = frozenset(roots)
        under = [row for row in rows if root_of(row[1], wanted)]
        return [DocumentInfo(i, path, document_name(path, roots), *rest) for i, path, *rest in under]

    def counts(self, roots: Sequence[str]) -> Counts:
        """How many documents, chunks and windows lie under ``roots``."""
        rows: list[Row] = self._database.rows(
            "SELECT path, (SELECT count(*) FROM chunks c WHERE c.document_id = d.id), "
            "(SELECT count(*) FROM windows w WHERE w.document_id = d.id) FROM documents d"
        )
        wanted = frozenset(roots)
        under = [row for row in rows if root_of(row[0], wanted)]
        return Counts(len(roots), len(under), sum(row[1] for row in under), sum(row[2] for row in under))

    def window_total(self) -> int:
        """How many windows there are in all; counted once a generation."""
        generation = self._database.one("SELECT number FROM meta WHERE name = 'generation'")
        counted, total = self._counted
        if total < 0 or counted != generation:
            total = self._database.rows("SELECT count(*) FROM windows")[0][0]
            self._counted = (generation, total)
        return total

    def idf(self, terms: Sequence[str]) -> dict[str, float]:
        """ln(1 + (N - df + .5) / (df + .5)) of each term over all N windows; a term nobody uses has df 0."""
        total = self.window_total()
        known: dict[str, Any] = dict(
            self._database.rows_in("SELECT term, windows FROM terms WHERE term IN {}", list(dict.fromkeys(terms)))
        )
        frequencies = {term: int(known.get(term, 0)) for term in terms}
        return {term: math.log(1 + (total - df + 0.5) / (df + 0.5)) for term, df in frequencies.items()}


def _window(row: Row) -> StoredWindow:
    """A row of ``_WINDOW``; its words are cut here, since SQLite's ``substr`` ends at a NUL."""
    window_id, chunk_id, document_id, start, end, text, header, first, _ = row
    return StoredWindow(window_id, chunk_id, document_id, start, end, text[start - first : end - first], header)


def _passage(row: Row, roots: Sequence[str]) -> StoredPassage:
    chunk_id, document_id, path, *rest = row
    return StoredPassage(chunk_id, document_id, document_name(path, roots), *rest)
