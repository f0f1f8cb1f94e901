"""What is kept of calls goes when words of documents go: replies and findings quote them.

``CallsFollow`` notes in the documents' own transaction that some of their words are gone, as a number that grows.
``forget_gone`` drops all that is kept where the file of calls does not know that number yet: at the end of an
ingestion, and whenever an index is opened, which makes up for a kill between the two. Which reply quotes which document
is not known, so all go; while documents only come, all stay. A question that is being answered meanwhile may keep a
reply whose evidence it had read before; that one goes the next time.
"""

from collections.abc import Sequence

from loguru import logger

from infra.cache.calls_store import CALLS_FILE, NOTHING_GONE, CallStore
from infra.cache.data import AnswersFollow
from infra.errors import StoreError
from infra.store.dependents import Changed, Connection
from infra.store.index import Index

NAME = "calls"


class CallsFollow:
    """The calls as ``Dependent``: counts the changes that took words of documents away."""

    name = NAME
    tables: Sequence[str] = (
        "CREATE TABLE IF NOT EXISTS words_gone (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL)",
    )

    def follow(self, change: Connection, changed: Changed) -> None:
        """Count a change, unless documents only came."""
        if changed.removed or changed.gone:
            self.clear(change)

    def clear(self, change: Connection) -> None:
        """Count a change; the first time, when the table is new, begin to count."""
        sql = "INSERT INTO words_gone VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET number = number + 1"
        change.execute(sql, (NOTHING_GONE,))


def follow_documents(index: Index) -> None:
    """Let answers and calls follow the documents of ``index``: for whoever opens it, used by the caches or not.

    Raises:
        StoreError: the index cannot be written.
    """
    for dependent in (AnswersFollow(), CallsFollow()):
        index.library.dependents.attach(dependent)
    forget_gone(index)


def forget_gone(index: Index) -> None:
    """Drop what is kept of calls where words of documents went since; where that fails, it is said and tried again."""
    path = index.folder / CALLS_FILE
    dependents = index.library.dependents
    if not path.exists() or not dependents.current(NAME):
        return
    row = dependents.database.one("SELECT number FROM words_gone")
    try:
        store = CallStore(path, max_bytes=0, max_age_seconds=0)
        try:
            store.forget_gone(row[0] if row else NOTHING_GONE)
        finally:
            store.close()
    except StoreError as error:
        logger.warning("replies that quote documents which are gone are still kept: {}; remove {}", error, path)
