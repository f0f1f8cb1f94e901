"""The cached answers: tables in the documents' own database, so that a change of documents takes what rests on it.

``AnswersFollow`` is what a library's ``dependents`` must have attached in every process that changes documents; where
one had not, all answers are forgotten when it is attached next. ``AnswerTable`` reads and writes the answers. Whatever
way an answer goes, a trigger notes its question in an outbox, for ``infra.cache.questions`` to follow.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from loguru import logger

from infra.cache.records import Bounds, Decision, Kept, Stats
from infra.cache.rows import COLUMNS, Row, kept_of, row_of, seal_at, size_of
from infra.store.database import MAX_PARAMETERS, Database
from infra.store.dependents import Changed, Connection, Dependents

NAME = "answers"
DAY_SECONDS = 86_400.0
MEGABYTE = 1e6

ANY_AGE = 0.0
"""As the time that it is: no answer is too old."""

ROOM_SHARE = 20
"""A full cache makes room for one in so many at once."""

TABLES = (
    """CREATE TABLE IF NOT EXISTS answers (
    id TEXT NOT NULL PRIMARY KEY, stamp TEXT NOT NULL, partition TEXT NOT NULL, question TEXT NOT NULL,
    answer TEXT NOT NULL, searches TEXT NOT NULL, generation INTEGER NOT NULL, tokens INTEGER NOT NULL,
    seconds REAL NOT NULL, created REAL NOT NULL, reading BLOB NOT NULL, seal TEXT NOT NULL,
    words TEXT NOT NULL, used REAL NOT NULL, size INTEGER NOT NULL)""",  # rows of kilobytes slow a key's tree
    "CREATE INDEX IF NOT EXISTS answers_used ON answers (used, size)",
    "CREATE INDEX IF NOT EXISTS answers_created ON answers (created)",
    "CREATE INDEX IF NOT EXISTS answers_words ON answers (partition, words)",
    """CREATE TABLE IF NOT EXISTS answer_rests (
    chunk_id TEXT NOT NULL, answer_id TEXT NOT NULL, document_id TEXT NOT NULL, PRIMARY KEY (chunk_id, answer_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS answer_rests_answer ON answer_rests (answer_id)",
    "CREATE INDEX IF NOT EXISTS answer_rests_document ON answer_rests (document_id)",
    "CREATE TABLE IF NOT EXISTS answer_outbox (ticket INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS answer_decisions (
    number INTEGER PRIMARY KEY AUTOINCREMENT, outcome TEXT NOT NULL, reason TEXT NOT NULL, question TEXT NOT NULL,
    candidate TEXT NOT NULL, at REAL NOT NULL, partition TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS answer_decisions_question ON answer_decisions (question)",
    "CREATE TABLE IF NOT EXISTS answer_counts (name TEXT PRIMARY KEY, number REAL NOT NULL) WITHOUT ROWID",
    """CREATE TRIGGER IF NOT EXISTS answer_comes AFTER INSERT ON answers BEGIN
    INSERT INTO answer_outbox (id) VALUES (new.id); END""",
    """CREATE TRIGGER IF NOT EXISTS answer_goes AFTER DELETE ON answers BEGIN
    DELETE FROM answer_rests WHERE answer_id = old.id; INSERT INTO answer_outbox (id) VALUES (old.id); END""",
)
_KEPT = f"SELECT {COLUMNS} FROM answers "
_RESTING = "SELECT answer_id FROM answer_rests WHERE document_id IN (SELECT value FROM json_each(?1))"
_QUESTIONS = f"SELECT question FROM answers WHERE id IN ({_RESTING})"
_GENERATION = "SELECT coalesce((SELECT number FROM meta WHERE name = 'generation'), 0)"


def count(change: Connection, numbers: Mapping[str, float]) -> None:
    """Add to the counts that ``Stats`` shows."""
    sql = "INSERT INTO answer_counts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET number = number + excluded.number"
    change.executemany(sql, [item for item in numbers.items() if item[1]])


class AnswersFollow:
    """The answers as ``Dependent``: those that rest on what a change touches go in its transaction."""

    name = NAME
    tables: Sequence[str] = TABLES

    def follow(self, change: Connection, changed: Changed) -> None:
        """Remove the answers whose passages are gone, stand elsewhere, or were in a document that is removed."""
        sql = "DELETE FROM answers WHERE id IN (SELECT answer_id FROM answer_rests WHERE {} = ?)"
        chunks = ((one,) for one in changed.gone | changed.shifted)
        gone = change.executemany(sql.format("chunk_id"), chunks).rowcount
        removed = ((one,) for one in changed.removed)
        gone = max(gone, 0) + max(change.executemany(sql.format("document_id"), removed).rowcount, 0)
        count(change, {"gone": gone})

    def clear(self, change: Connection) -> None:
        """Remove all answers: it is not known what changed."""
        count(change, {"gone": change.execute("DELETE FROM answers").rowcount})


class AnswerTable:
    """Reads and writes the answers of one tenant; thread-safe, blocking; raises StoreError.

    Args:
        dependents: those of the documents' library; the answers are attached to it.
        bounds: what is kept, and how long.
    """

    def __init__(self, dependents: Dependents, bounds: Bounds) -> None:
        self._dependents = dependents
        self._bounds = bounds
        self._database: Database = dependents.database
        self._damaged: set[bytes] = set()
        self.attach()

    def attach(self) -> None:
        """Let the answers follow the documents from now on; what missed a change is forgotten."""
        self._dependents.attach(AnswersFollow())

    def current(self) -> bool:
        """Whether the answers have followed every change of the documents."""
        return self._dependents.current(NAME)

    def live(self, keys: Sequence[str], now: float) -> dict[str, Kept]:
        """The answers under these keys that are neither gone nor too old."""
        rows = self._database.rows_in(_KEPT + "WHERE created > ? AND id IN {}", keys, now - self._seconds)
        return {kept.key: kept for kept in self._whole(rows)}

    def of_words(self, partition: str, words: str, now: float, limit: int) -> dict[str, Kept]:
        """The live answers of a partition to questions of these words (``Gates.words``), the newest first."""
        sql = _KEPT + "WHERE partition = ? AND words = ? AND created > ? ORDER BY created DESC LIMIT ?"
        rows = self._database.rows(sql, (partition, words, now - self._seconds, limit))
        return {kept.key: kept for kept in self._whole(rows)}

    def any(self, partition: str) -> bool:
        """Whether anything is kept in a partition."""
        return self._database.one("SELECT 1 FROM answers WHERE partition = ? LIMIT 1", (partition,)) is not None

    def all(self) -> Iterator[Kept]:
        """Every answer, by its key, read in pieces."""
        last = ""
        while rows := self._database.rows(_KEPT + f"WHERE id > ? ORDER BY id LIMIT {MAX_PARAMETERS}", (last,)):
            last = rows[-1][0].decode(errors="replace")
            yield from self._whole(rows)

    def put(self, kept: Kept) -> str:
        """Store an answer in the place of the one under its key; returns why it was not let in, or "".

        An answer enters only while the documents are in the state its searches were made in, and makes room for itself.
        """
        return self.put_all([kept])[0]

    def put_all(self, answers: Sequence[Kept]) -> list[str]:
        """Store answers in one transaction; returns of each what `put` returns."""
        with self._database.transaction() as change:
            refused = [self._put(change, kept) for kept in answers]
            stored = [kept for kept, reason in zip(answers, refused, strict=True) if not reason]
            room = self._make_room(change, max(kept.created for kept in stored)) if stored else {}
            count(change, {"stored": len(stored), "refused": len(answers) - len(stored), **room})
        return refused

    def _put(self, change: Connection, kept: Kept) -> str:
        reason = self._refusal(change, kept)
        if reason:
            return reason
        change.execute("DELETE FROM answers WHERE id = ?", (kept.key,))
        row = row_of(kept)
        values = (*row, kept.words, kept.created, size_of(row))
        change.execute(f"INSERT INTO answers VALUES ({', '.join('?' * len(values))})", values)
        sql = "INSERT OR IGNORE INTO answer_rests SELECT id, ?, document_id FROM chunks WHERE id = ?"
        change.executemany(sql, ((kept.key, one) for one in _passages(kept)))
        return ""

    def remove(self, document_ids: Sequence[str] | None) -> int:
        """Remove the answers that rest on these documents (None: all), and what was decided about their questions.

        What is removed is overwritten on the disk. Returns how many answers there were.
        """
        with self._database.transaction() as change:
            change.execute("PRAGMA secure_delete=ON")
            removed = _clear(change, document_ids)
            change.execute("PRAGMA secure_delete=OFF")
            count(change, {"cleared": removed})
        self._database.rows("PRAGMA wal_checkpoint(TRUNCATE)")  # SQLite's log holds them as well
        return removed

    def note(
        self,
        decisions: Sequence[Decision],
        counts: Mapping[str, float],
        used: Mapping[str, float],
        fresh: Iterable[tuple[Kept, int]],
        outdated: Iterable[Kept],
    ) -> None:
        """Write down what was decided since the last time.

        Args:
            decisions: in the order they were made; the newest are remembered.
            counts: what to add to the counts.
            used: when answers were last served, by key.
            fresh: answers with a later state of the documents that their searches are true of.
            outdated: answers to remove, unless stored anew meanwhile.
        """
        with self._database.transaction() as change:
            values = ((d.outcome, d.reason, d.question, d.candidate, d.at, d.partition) for d in decisions)
            sql = "INSERT INTO answer_decisions VALUES (NULL, ?, ?, ?, ?, ?, ?)"
            change.executemany(sql, values)
            sql = "DELETE FROM answer_decisions WHERE number <= (SELECT max(number) FROM answer_decisions) - ?"
            change.execute(sql, (self._bounds.decisions,))
            change.executemany(
                "UPDATE answers SET used = max(used, ?) WHERE id = ?", ((at, k) for k, at in used.items())
            )
            sql = "UPDATE answers SET generation = ?1, seal = ?2 WHERE id = ?3 AND stamp = ?4 AND generation < ?1"
            later = ((generation, seal_at(kept, generation), kept.key, kept.stamp) for kept, generation in fresh)
            change.executemany(sql, later)
            gone = ((kept.key, kept.stamp) for kept in outdated)
            removed = change.executemany("DELETE FROM answers WHERE id = ? AND stamp = ?", gone).rowcount
            count(change, {**counts, "outdated": max(removed, 0)})
            self._drop_damaged(change)

    def decisions(self, question: str | None, limit: int) -> list[Decision]:
        """The newest decisions, about one question or all, newest first."""
        sql = "SELECT outcome, reason, question, candidate, at, partition FROM answer_decisions {} ORDER BY number DESC"
        where, values = ("WHERE question = ?", [question]) if question is not None else ("", [])
        rows = self._database.rows(sql.format(where) + " LIMIT ?", [*values, limit])
        return [Decision(*row[:5], partition=row[5]) for row in rows]

    def stats(self) -> Stats:
        """What is kept and was counted."""
        answers, size = self._database.rows("SELECT count(*), total(size) FROM answers")[0]
        counts = dict(self._database.rows("SELECT name, number FROM answer_counts"))
        whole = {name: int(number) for name, number in counts.items() if name != "saved_seconds"}
        seconds = float(counts.get("saved_seconds", 0.0))
        return Stats(answers=answers, megabytes=size / MEGABYTE, **whole, saved_seconds=seconds)

    def outbox(self, limit: int) -> dict[int, str]:
        """Keys whose questions do not follow the answers yet, by ticket, oldest first."""
        return dict(self._database.rows("SELECT ticket, id FROM answer_outbox ORDER BY ticket LIMIT ?", (limit,)))

    def hand_in(self, keys: Iterable[str]) -> None:
        """Put keys into the outbox, to be looked at again."""
        with self._database.transaction() as change:
            change.executemany("INSERT INTO answer_outbox (id) VALUES (?)", ((key,) for key in keys))

    def fill_outbox(self) -> None:
        """Put every answer's key into the outbox: their questions are lost."""
        with self._database.transaction() as change:
            change.execute("INSERT INTO answer_outbox (id) SELECT id FROM answers")

    def followed(self, tickets: Mapping[int, str], live: Iterable[str]) -> None:
        """Take tickets out of the outbox, but look again at keys of which not the same are ``live`` by now."""
        was = frozenset(live)
        with self._database.transaction() as change:
            for key in set(tickets.values()):
                now = change.execute("SELECT 1 FROM answers WHERE id = ?", (key,)).fetchone() is not None
                if now != (key in was):
                    change.execute("INSERT INTO answer_outbox (id) VALUES (?)", (key,))
            change.executemany("DELETE FROM answer_outbox WHERE ticket = ?", ((ticket,) for ticket in tickets))

    def _whole(self, rows: Iterable[Row]) -> Iterator[Kept]:
        """The answers in rows; those that are damaged are passed over, and go with the next note."""
        for row in rows:
            kept = kept_of(row)
            if kept is None:
                self._damaged.add(row[0])
            else:
                yield kept

    def _drop_damaged(self, change: Connection) -> None:
        damaged = [self._damaged.pop() for _ in range(len(self._damaged))]
        if damaged:
            change.executemany("DELETE FROM answers WHERE id = CAST(? AS TEXT)", ((key,) for key in damaged))
            logger.warning("{} damaged answers are removed from the cache", len(damaged))

    @property
    def _seconds(self) -> float:
        return self._bounds.days * DAY_SECONDS

    def _refusal(self, change: Connection, kept: Kept) -> str:
        generation = change.execute(_GENERATION).fetchone()[0]
        if generation != kept.generation:
            return "the documents changed while the answer was made"
        if not self.current():
            return "another process changed documents without the cache"
        sql = "SELECT 1 FROM chunks WHERE id = ? AND digest = ?"
        passages = {one for search in kept.searches for one in search.passages}
        if not passages or not all(change.execute(sql, one).fetchone() for one in passages):
            return "the passages it rests on are not stored as it knows them"
        return ""

    def _make_room(self, change: Connection, now: float) -> dict[str, int]:
        expired = change.execute("DELETE FROM answers WHERE created <= ?", (now - self._seconds,)).rowcount
        most, room = self._bounds.answers, int(self._bounds.megabytes * MEGABYTE)
        answers, size = change.execute("SELECT count(*), total(size) FROM answers").fetchone()
        evicted = 0
        if answers > most or size > room:
            sql = """DELETE FROM answers WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER latest AS place,
                sum(size) OVER latest AS taken FROM answers WINDOW latest AS (ORDER BY used DESC, id))
                WHERE place > ? OR taken > ?)"""
            evicted = change.execute(sql, (most - most // ROOM_SHARE, room - room // ROOM_SHARE)).rowcount
        return {"expired": expired, "evicted": evicted}


def _clear(change: Connection, document_ids: Sequence[str] | None) -> int:
    if document_ids is None:
        change.execute("DELETE FROM answer_decisions")
        return change.execute("DELETE FROM answers").rowcount
    ids = (json.dumps(list(document_ids)),)
    change.execute(f"DELETE FROM answer_decisions WHERE question IN ({_QUESTIONS}) OR candidate IN ({_QUESTIONS})", ids)
    return change.execute(f"DELETE FROM answers WHERE id IN ({_RESTING})", ids).rowcount


def _passages(kept: Kept) -> set[str]:
    return {chunk_id for search in kept.searches for chunk_id, _ in search.passages}
