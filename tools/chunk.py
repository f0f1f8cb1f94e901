"""Documents cut into passages and windows, with exact offsets.

A passage (chunk) is what is quoted and shown: whole sentences (or rows, or lines of a chat) of one section, up to
``CHUNK_TOKENS``. A window is what is searched: ``WINDOW_TOKENS`` of a passage at most, a quarter of it shared with the
next. Each passage carries a header that gives it context; it is embedded and searched with every window and never
quoted. Tokens are estimated, so that the cuts depend on no model. Pure functions.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate, takewhile

from infra.text.sentences import split_sentences
from tools.context import section_name
from tools.extracted import Extracted, Section, Span

SPLITTER_VERSION = "split-2"
"""Raised when the cuts or the headers change, so that documents cut before are cut anew."""

CHUNK_TOKENS = 200
WINDOW_TOKENS = 128
OVERLAP_TOKENS = 32
ANCHOR_TOKENS = 400
"""How far an anchor sees. A sentence edited in a long text cuts 3-6 windows anew on average, without anchors 6-13 (own
measurement, 150 edits in each of three sets); passages are up to a tenth shorter, and recall is the same."""

_WORD = re.compile(r"[^\W\d_]+|\d+|[^\s\w]|_")
_WHOLE_LETTERS, _PIECE_LETTERS = 8, 4
_WHOLE_DIGITS, _PIECE_DIGITS = 4, 2


@dataclass(frozen=True, slots=True)
class Cut:
    """A passage to be: its place, its header, the places of its windows, and the name of its section."""

    start: int
    end: int
    header: str
    windows: tuple[Span, ...]
    section: str


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    end: int
    tokens: int


def count_tokens(text: str) -> int:
    """Estimate WordPiece tokens: a word of up to 8 letters or 4 digits is one, longer ones go by 4 letters or 2 digits.

    Against MiniLM's tokenizer the sum is 0-8 % high over five English sets, and nine in ten pieces of 800 characters
    lie within 19 % (own measurement).
    """
    return sum(_tokens_of(match[0]) for match in _WORD.finditer(text))


def _tokens_of(word: str) -> int:
    letters = len(word)
    if letters <= _WHOLE_DIGITS:  # most words are: asked first, as every word of a document comes by several times
        return 1
    if word[0].isdecimal():
        return 1 - (_WHOLE_DIGITS - letters) // _PIECE_DIGITS
    return 1 if letters <= _WHOLE_LETTERS else 1 - (_WHOLE_LETTERS - letters) // _PIECE_LETTERS


def cut(extracted: Extracted, header: Callable[[Section], str]) -> list[Cut]:
    """Cut a document; ``header`` gives the header of what stands in a section."""
    cuts: list[Cut] = []
    for section in extracted.sections:
        known, name = header(section), section_name(section)
        for stretch in _anchored(extracted.text, _pieces(extracted.text, section)):
            for group in _packed(stretch):
                cuts.append(Cut(group[0].start, group[-1].end, known, _windows(extracted.text, group), name))
    return cuts


def _pieces(text: str, section: Section) -> list[_Piece]:
    if not section.units:
        return list(_sentences(text, section.start, section.end, CHUNK_TOKENS))
    pieces: list[_Piece] = []
    for start, end in section.units:
        tokens = count_tokens(text[start:end])
        whole = [_Piece(start, end, tokens)]
        pieces += whole if tokens <= CHUNK_TOKENS else _sentences(text, start, end, CHUNK_TOKENS)
    return pieces


def _sentences(text: str, start: int, end: int, limit: int) -> Iterator[_Piece]:
    """The sentences of a stretch; one that has more than ``limit`` tokens is cut between words."""
    for first, last in split_sentences(text[start:end]):
        yield from _bounded(text, start + first, start + last, limit)


def _bounded(text: str, start: int, end: int, limit: int) -> Iterator[_Piece]:
    tokens, first, last = 0, start, start
    for match in _WORD.finditer(text, start, end):
        more = _tokens_of(match[0])
        # a single word without end (base64) is cut off by the embedder, never by us: offsets stay at word borders
        if tokens and tokens + more > limit:
            yield _Piece(first, last, tokens)
            tokens, first = 0, match.start()
        tokens, last = tokens + more, match.end()
    if start < end:
        yield _Piece(first, end, tokens)


def _anchored(text: str, pieces: Sequence[_Piece]) -> Iterator[Sequence[_Piece]]:
    """A section divided where its own words say so, so that an edit moves no cut that is far from it.

    A piece begins a new stretch when its digest is the smallest among all pieces that begin within ``ANCHOR_TOKENS``
    before and after it. Whether it does depends on nothing else, so an edit can only change the stretch it stands in
    and, when it makes or breaks an anchor, the one beside it.
    """
    ranks = [blake2b(text[piece.start : piece.end].encode(), digest_size=8).digest() for piece in pieces]
    before = [0, *accumulate(piece.tokens for piece in pieces)]
    first = 0
    for place in range(1, len(pieces)):
        if _is_anchor(place, ranks, before):
            yield pieces[first:place]
            first = place
    yield pieces[first:]


def _is_anchor(place: int, ranks: Sequence[bytes], before: Sequence[int]) -> bool:
    here = before[place]
    if min(here, before[-1] - here) < ANCHOR_TOKENS:
        return False
    earlier = takewhile(lambda other: here - before[other] < ANCHOR_TOKENS, range(place - 1, -1, -1))
    later = takewhile(lambda other: before[other] - here < ANCHOR_TOKENS, range(place + 1, len(ranks)))
    least = ranks[place]
    return all(ranks[other] > least for other in earlier) and all(ranks[other] >= least for other in later)


def _packed(pieces: Sequence[_Piece]) -> Iterator[list[_Piece]]:
    """Neighbouring pieces put together to passages of about the same size, each at most ``CHUNK_TOKENS``."""
    left = sum(piece.tokens for piece in pieces)
    size = _share(left)
    group: list[_Piece] = []
    tokens = 0
    for piece in pieces:
        if group and (tokens + piece.tokens > CHUNK_TOKENS or tokens + piece.tokens / 2 > size):
            yield group
            left -= tokens
            group, tokens, size = [], 0, _share(left)
        group.append(piece)
        tokens += piece.tokens
    if group:
        yield group


def _share(tokens: int) -> float:
    """What each passage gets when ``tokens`` are shared out among as few as can hold them."""
    return tokens / max(1, -(-tokens // CHUNK_TOKENS))


def _windows(text: str, chunk: Sequence[_Piece]) -> tuple[Span, ...]:
    """The windows of a passage: all of about the same size, each beginning with the end of the one before."""
    total = sum(piece.tokens for piece in chunk)
    if total <= WINDOW_TOKENS:
        return ((chunk[0].start, chunk[-1].end),)
    fresh = WINDOW_TOKENS - OVERLAP_TOKENS
    number = -(-(total - OVERLAP_TOKENS) // fresh)
    size = -(-(total + (number - 1) * OVERLAP_TOKENS) // number)
    fine = [part for piece in chunk for part in _sentences(text, piece.start, piece.end, OVERLAP_TOKENS)]
    return tuple(_sliding(fine, size))


def _sliding(pieces: Sequence[_Piece], size: int) -> Iterator[Span]:
    first = 0
    while True:
        last, tokens = first, 0
        while last < len(pieces) and (last == first or tokens + pieces[last].tokens <= size):
            tokens += pieces[last].tokens
            last += 1
        yield pieces[first].start, pieces[last - 1].end
        if last == len(pieces):
            return
        first = _step_back(pieces, first, last)


def _step_back(pieces: Sequence[_Piece], first: int, last: int) -> int:
    tokens, start = 0, last
    while start - 1 > first and tokens + pieces[start - 1].tokens <= OVERLAP_TOKENS:
        start -= 1
        tokens += pieces[start].tokens
    return start
