"""A question taken apart once: its words and their classes, its token vectors, and whether the gates may judge it.

A reading is kept with its cache entry: ``packed`` gives at most some 10 KB (float16 vectors of the open words only).
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import msgpack
import numpy as np
from numpy.typing import NDArray

from infra.cache.gates.lexicon import Lexicon, lexicon
from infra.cache.gates.plainer import folded, plainer
from infra.cache.gates.words import RESIDUE, WORD, Token, corrected, endings, tokens

VERSION = "gates-2"
"""Readings of another version are not compared: whoever keeps them reads the question anew."""
MAX_CHARS = 2_000
"""Longer questions are matched word for word only."""
LEAST_KNOWN_SHARE = 0.6
"""Of a question's words, those that must be known for its language to be; all where other languages share the rest."""
_CANONICAL = frozenset({"number", "unit", "question"})
_COMMON_ELSEWHERE = frozenset("a an am as at do he i in is it me no of on or over so to under us was we".split())  # noqa: SIM905
"""Function words that other languages have, too (German was and an, Dutch is and of): they show nothing alone."""
_FUNCTION = frozenset(
    {"bare", "be", "have", "modal", "negation", "question", "person", "direction", "quantifier", "linker"}
)

_MSGPACK: Any = msgpack  # untyped

Vectors = NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Word:
    """One word as the gates compare it."""

    form: str
    same: str
    kind: str
    named: bool
    """Written with a capital where capitals tell something, listed as a name, or a word nobody knows."""
    proper: bool
    """Written with a capital inside a question in which others are not."""
    past: bool
    """A past form, or *did*."""
    ending_s: bool
    """With the ending of a plural or a third person, or *does*."""
    ending: str
    """The ending that makes another kind of word of its stem (evaluate, evaluation); mostly empty."""
    row: int
    """Its row among the reading's vectors; -1 for none."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A question taken apart."""

    key: str
    """The same for questions that differ in case, punctuation, contraction, courtesy and filler only."""
    known: bool
    """Whether the gates know the language; if not, the key decides alone."""
    deictic: bool
    """Whether it points at something outside itself; such a question is never kept or answered from what is kept."""
    words: tuple[Word, ...]
    vectors: Vectors
    """Unit vectors of the open words, shape (open words, dimension)."""


def reading(
    question: str, vectors: NDArray[np.float32] | None = None, pieces: Callable[[str], Sequence[int]] | None = None
) -> Reading:
    """Take ``question`` apart.

    Args:
        question: what is asked, standing alone.
        vectors: its token vectors, shape (word pieces, dimension); None: exchanged words are never accepted.
        pieces: text to its word pieces, of the model the vectors are from (see `word_pieces` of the embeddings).
    """
    words = lexicon()
    whole = folded(question[: MAX_CHARS + 1])
    plain = plainer(whole, words)
    found = [_cased(token, question, words) for token in tokens(plain, words)]
    proper = _proper(question, found)
    key = " ".join(token.same if token.kind in _CANONICAL else token.form for token in found)
    found = [token if place in proper else corrected(token, words) for place, token in enumerate(found)]
    rows = _rows(question, found, vectors, pieces) if vectors is not None and pieces is not None else None
    known = len(question) <= MAX_CHARS and _is_known(found, words)
    return Reading(
        key=key if len(question) <= MAX_CHARS else question,
        known=known,
        deictic=words.deictic.search(plain) is not None,
        words=tuple(_words(found, proper, words)),
        vectors=rows if rows is not None else np.zeros((0, 0), dtype=np.float16),
    )


def is_personal(question: str) -> bool:
    """Whether the answer depends on who asks: *my contract*, *did I*; not *how do I*, which asks what one does."""
    words = lexicon()
    return words.personal.search(" ".join(plainer(folded(question[:MAX_CHARS]), words).split())) is not None


def _words(found: list[Token], proper: set[int], lexicon: Lexicon) -> list[Word]:
    words: list[Word] = []
    row = 0
    for place, token in enumerate(found):
        is_open = token.kind == WORD
        named = is_open and (place in proper or not lexicon.is_word(token.form))
        past, ending_s, ending = endings(token.form, token.same, lexicon)
        place_in_rows = row if is_open else -1
        words.append(
            Word(token.form, token.same, token.kind, named, place in proper, past, ending_s, ending, place_in_rows)
        )
        row += is_open
    return words


def _cased(token: Token, question: str, lexicon: Lexicon) -> Token:
    """The token; a unit's code that only its capitals tell from another (Mb, MB) as that unit."""
    unit = lexicon.cased.get(question[token.start : token.end])
    return replace(token, same=unit, kind="unit") if unit else token


def _proper(question: str, found: list[Token]) -> set[int]:
    """Places of the words with a capital inside the question; none where all words have one, or the first only."""
    later = [place for place in range(1, len(found)) if found[place].kind != RESIDUE]
    capitals = {place for place in later if question[found[place].start].isupper()}
    small = any(question[found[place].start].islower() for place in later)
    return capitals if small else set()


def _is_known(found: list[Token], lexicon: Lexicon) -> bool:
    spelled = [token for token in found if token.form[0].isalpha() and token.kind != "identifier"]
    function = {token.form for token in spelled if token.kind in _FUNCTION}
    known = sum(
        token.kind not in {WORD, RESIDUE} or lexicon.is_word(token.form) or token.form in lexicon.names
        for token in spelled
    )
    least = LEAST_KNOWN_SHARE if function - _COMMON_ELSEWHERE else 1.0
    return bool(function) and known >= least * len(spelled)


def _rows(
    question: str, found: list[Token], vectors: NDArray[np.float32], pieces: Callable[[str], Sequence[int]]
) -> Vectors:
    """Each open word's vector: the mean of its pieces', of length 1; zeros for words behind the last vector."""
    rows: list[NDArray[np.float32]] = []
    place = end = 0
    for token in found:
        if token.start < end:  # the second half of a contraction, which is never an open word
            continue
        place += len(pieces(question[end : token.start]))
        count = len(pieces(question[token.start : token.end]))
        if token.kind == WORD:
            mean = vectors[place : place + count].sum(axis=0)
            rows.append(mean / max(float(np.linalg.norm(mean)), 1e-6))
        place, end = place + count, token.end
    return np.array(rows, dtype=np.float16) if rows else np.zeros((0, vectors.shape[1]), dtype=np.float16)


def packed(read: Reading) -> bytes:
    """Return ``read`` as bytes."""
    fields = [read.key, read.known, read.deictic, [list(asdict(word).values()) for word in read.words]]
    whole = [VERSION, *fields, list(read.vectors.shape), read.vectors.tobytes()]
    return cast("bytes", _MSGPACK.packb(whole))


def unpacked(kept: bytes) -> Reading | None:
    """Return the reading kept as bytes; None where another version of the gates made it."""
    version, *fields = cast("list[Any]", _MSGPACK.unpackb(kept))
    if version != VERSION:
        return None
    key, known, deictic, words, shape, rows = fields
    vectors = np.frombuffer(rows, dtype=np.float16).reshape(shape)
    return Reading(key, known, deictic, tuple(Word(*word) for word in words), vectors)
