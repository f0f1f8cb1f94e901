"""An answer as a row of its table, sealed: a row that is not as it was written is as good as none.

A disk that fails, or a hand that slips, may change a figure in an answer, or the state of the documents that it was
last known to be true of, and leave the row readable. The seal is a digest of all that is read of a row; it takes some
20 microseconds and keeps nobody out who wants to forge one (the file is its user's alone).
"""

import json
from collections.abc import Sequence
from dataclasses import astuple, replace
from typing import Any

from infra.cache.records import Cost, Kept, Search
from infra.store.records import digest_of

_WORDS = ("id", "stamp", "partition", "question", "answer", "searches")
_NUMBERS = ("generation", "tokens", "seconds", "created")
COLUMNS = ", ".join(
    f"CAST({name} AS BLOB)" if name not in _NUMBERS else f"CASE typeof({name}) WHEN 'text' THEN NULL ELSE {name} END"
    for name in (*_WORDS, *_NUMBERS, "reading", "seal")
)
"""What `kept_of` reads; words come as bytes: one that is damaged in the middle of a letter would end the query."""

Row = tuple[Any, ...]


def row_of(kept: Kept) -> Row:
    """The row as it is written."""
    searches = json.dumps([astuple(search) for search in kept.searches])
    cost = (kept.cost.tokens, kept.cost.seconds)
    words = (kept.key, kept.stamp, kept.partition, kept.question, kept.answer, searches)
    row = (*words, kept.generation, *cost, kept.created, kept.reading)
    return (*row, _seal(row))


def size_of(row: Row) -> int:
    """What a row takes, in bytes, as bounds count it."""
    return sum(map(len, _parts(row)))


def seal_at(kept: Kept, generation: int) -> str:
    """The seal of the answer's row once it is known to be true of a later state of the documents."""
    return row_of(replace(kept, generation=generation))[-1]


def kept_of(row: Row) -> Kept | None:
    """The answer in a row of ``COLUMNS``; None where the row is damaged."""
    if _seal(row[:-1]).encode() != row[-1]:
        return None
    key, stamp, partition, question, answer, searches = (words.decode() for words in row[:6])
    generation, tokens, seconds, created, reading, _ = row[6:]
    found = tuple(_search(*one) for one in json.loads(searches))
    return Kept(key, stamp, partition, question, answer, found, generation, Cost(tokens, seconds), created, reading)


def _seal(row: Row) -> str:
    return digest_of(*_parts(row))


def _parts(row: Row) -> list[bytes]:
    return [value if isinstance(value, bytes) else str(value).encode() for value in row]


def _search(
    query: str, roots: Sequence[str] | None, passages: Sequence[Sequence[str]], likely: bool, context: str
) -> Search:
    limited = None if roots is None else tuple(roots)
    return Search(query, limited, tuple((one, digest) for one, digest in passages), likely, context)
