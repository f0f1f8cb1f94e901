"""Looking after a tenant's answer cache: decisions, figures, export and clearing, without a model and without vectors.

Gives ``Upkeep`` and ``upkeep``, which opens it over the files of a tenant; other processes may have them open and be at
work. What those did in the last second may not be written yet. ``infra.cache.answers`` is what questions are asked of.
Methods block and raise StoreError.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from infra.cache.calls import CALLS_FILE, CallCache, clear_calls
from infra.cache.calls_file import CallFigures
from infra.cache.data import ANY_AGE, AnswerTable
from infra.cache.records import FOLDER, Bounds, Decision, Kept, Stats, noted
from infra.errors import ConfigurationError
from infra.settings import CacheSettings, Settings
from infra.store.database import Database
from infra.store.library import SCHEMA, Library, refuse_other_version
from infra.store.lookup import Lookup
from infra.store.roots import root_of, scope_id
from infra.text.plain import one_line

LIBRARY_FILE = "library.sqlite3"


@dataclass(frozen=True, slots=True)
class Exported:
    """An answer with the absolute paths of the documents it rests on, sorted."""

    kept: Kept
    documents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was removed.

    Attributes:
        answers: answers, with the decisions about their questions.
        calls: kept model replies and searches.
        documents: documents at or under the paths given; None: everything was cleared.
    """

    answers: int
    calls: int
    documents: int | None


class Upkeep:
    """See the module's text; made by ``upkeep``."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Look after the cache of the settings' tenant, whose documents' database is open."""
        self._settings = settings
        self._database = database
        self._table = AnswerTable(Library(database).dependents, bounds_of(settings.cache))

    def why(self, question: str | None, limit: int) -> list[Decision]:
        """The newest decisions about a question (its normal text), or about all, newest first."""
        return self._table.decisions(None if question is None else noted(question), limit)

    def stats(self) -> Stats:
        """What is kept and was done."""
        return self._table.stats()

    def calls(self) -> dict[str, CallFigures]:
        """What came of calls and searches, by kind; nothing where none are kept."""
        path = self._settings.tenant_dir / CALLS_FILE
        if not path.exists():
            return {}
        with closing(CallCache(path)) as calls:
            return calls.figures()

    def latest(self, limit: int) -> list[Kept]:
        """The answers that were served or stored last, latest first."""
        rows = self._database.rows("SELECT id FROM answers ORDER BY used DESC, id LIMIT ?", (limit,))
        found = self._table.live([row[0] for row in rows], ANY_AGE)
        return [found[row[0]] for row in rows if row[0] in found]

    def served(self, limit: int) -> list[tuple[str, Kept]]:
        """What was asked last and which kept answer it was given, latest first; then answers that were given to nobody.

        A question that was asked in several ways stands there in each of them.
        """
        sql = """SELECT decided.question, answers.id FROM answer_decisions AS decided JOIN answers
            ON answers.partition = decided.partition AND answers.question = decided.candidate
            WHERE decided.outcome = 'hit' GROUP BY decided.question, answers.id
            ORDER BY max(decided.number) DESC LIMIT ?"""
        rows = self._database.rows(sql, (limit,))
        given = self._table.live([row[1] for row in rows], ANY_AGE)
        pairs = [(row[0], given[row[1]]) for row in rows if row[1] in given]
        others = [(kept.question, kept) for kept in self.latest(limit) if kept.key not in given]
        return [*pairs, *others][:limit]

    def export(self, paths: Sequence[str] | None = None) -> Iterator[Exported]:
        """The answers kept, by key: all, or those that rest on documents at or under ``paths``; read in pieces."""
        wanted = None if paths is None else frozenset(paths)
        sql = """SELECT DISTINCT path FROM answer_rests JOIN documents ON documents.id = document_id
            WHERE answer_id = ? ORDER BY path"""
        for kept in self._table.all():
            documents = tuple(row[0] for row in self._database.rows(sql, (kept.key,)))
            if wanted is None or any(root_of(path, wanted) for path in documents):
                yield Exported(kept, documents)

    def clear(self, paths: Sequence[str] | None = None) -> Cleared:
        """Remove answers and the decisions about their questions, and all kept calls.

        Args:
            paths: answers that rest on documents at or under these absolute paths; None: all. Which calls quote a
                document is not known, so that all of them go in either case.
        """
        ids = None if paths is None else [document.id for document in Lookup(self._database).documents(paths)]
        answers = self._table.remove(ids)
        calls = clear_calls(self._settings)
        self._forget_questions()
        return Cleared(answers, calls, None if ids is None else len(ids))

    def _forget_questions(self) -> None:
        """Remove the texts of questions without an answer; their vectors follow when the cache is used next."""
        path = self._settings.tenant_dir / FOLDER / LIBRARY_FILE
        if not path.exists():
            return
        with closing(_opened(path)) as database:
            library = Library(database)
            keys = {place: PurePosixPath(place).name for place in library.stamps()}
            live = self._table.live(list(keys.values()), ANY_AGE)
            with database.transaction() as change:
                change.execute("PRAGMA secure_delete=ON")  # of this connection
            library.change([], [scope_id(place) for place, key in keys.items() if key not in live])
            library.drop_unused_embeddings()
            database.rows("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def upkeep(settings: Settings) -> Generator[Upkeep]:
    """Look after the cache of the settings' tenant; makes no folder and no file.

    Raises:
        ConfigurationError: the tenant has no documents, and so no cache.
        StoreError: its files cannot be read.
    """
    path = settings.tenant_dir / LIBRARY_FILE
    if not path.is_file():
        raise ConfigurationError(
            one_line(f"No documents of tenant {settings.tenant} in {settings.data_dir}, so nothing is kept: ")
            + " run `docmind ingest PATH` first, or see DOCMIND_DATA_DIR and --tenant."
        )
    with closing(_opened(path)) as database:
        yield Upkeep(settings, database)


def bounds_of(settings: CacheSettings) -> Bounds:
    """What the answers of a tenant may take."""
    return Bounds(answers=settings.answers_max, megabytes=settings.answers_max_mb, days=settings.answers_max_age_days)


def _opened(path: Path) -> Database:
    return Database(path, SCHEMA, durable=True, check=refuse_other_version)
