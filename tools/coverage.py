"""How much of some weighted terms stands close together in a text.

Gives the best small window of consecutive sentences, as a share (0..1) of the terms' weight and as sentence numbers.
Pure and thread-safe; texts already cut are remembered. It knows nothing of searches, scores or thresholds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from infra.text.sentences import Span, split_sentences
from infra.text.terms import terms

REMEMBERED_TEXTS = 2_048
"""Passages kept cut into terms: about 8 KB each at 200 tokens."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A text's sentences and where each term stands.

    Attributes:
        spans: half-open character spans of the sentences.
        places: for each term a bit mask; bit n is set when sentence n has the term.
        terms: the terms in reading order.
    """

    spans: tuple[Span, ...]
    places: Mapping[str, int]
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cover:
    """The window that covers most.

    Attributes:
        share: covered weight over all weight, 0..1.
        first: number of the window's first sentence.
        last: number of its last sentence, inclusive.
    """

    share: float
    first: int
    last: int


@lru_cache(maxsize=REMEMBERED_TEXTS)
def grid_of(text: str) -> Grid:
    """Cut ``text`` into sentences and note where its terms stand."""
    spans = tuple(split_sentences(text))
    places: dict[str, int] = {}
    found: list[str] = []
    for number, (start, end) in enumerate(spans):
        inside = terms(text[start:end])
        found += inside
        for term in inside:
            places[term] = places.get(term, 0) | 1 << number
    return Grid(spans, places, tuple(found))


@lru_cache(maxsize=REMEMBERED_TEXTS)
def header_terms(header: str) -> frozenset[str]:
    """Return the terms of a header, which count as present in every window of its text."""
    return frozenset(terms(header))


def best_cover(grid: Grid, weights: Mapping[str, float], *, sentences: int, given: frozenset[str]) -> Cover:
    """Return the first window of at most ``sentences`` sentences that covers the most weight.

    Args:
        grid: the text.
        weights: what to cover, each term with its weight (> 0).
        sentences: width of the window, at least 1.
        given: terms that count as covered everywhere (a header's).
    """
    total = sum(weights.values())
    if not total:
        return Cover(0.0, 0, 0)
    covered = sum(weight for term, weight in weights.items() if term in given)
    wanted = [(grid.places[t], w) for t, w in weights.items() if t not in given and t in grid.places]
    width = max(1, min(sentences, len(grid.spans)))
    window = (1 << width) - 1
    best, first = 0.0, 0
    for number in range(len(grid.spans) - width + 1):
        inside = sum(weight for places, weight in wanted if places >> number & window)
        if inside > best:
            best, first = inside, number
    return Cover((covered + best) / total, first, first + width - 1)
