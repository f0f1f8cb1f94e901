"""The order of the passages that were read: fused score, words close together, headings, neighbours, dates.

Pure. The constants were chosen on one half of the questions of three public sets (chat logs, a product manual, essays)
and checked on the other; they are one for all.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from infra.store.records import StoredPassage
from tools.coverage import best_cover, grid_of, header_terms
from tools.filters import carries
from tools.fusion import Scored

COVERAGE_BONUS = 2.0
"""What full coverage of the question in one small window adds to a passage's score."""

HEADING_BONUS = 1.0
"""What is added where the question says all that a passage's headings say: recall@3 on a manual rises by .04, and
nothing changes where there are no headings. A question says more than any heading, so it is the heading's share that
tells (the question's share gains .01); counting its words instead of weighing them gains .02 less."""

NEIGHBOUR_BONUS = 0.3
"""Share of a neighbour's lead over the last candidate that a passage gets."""

DATE_BONUS = 2.0
"""What a header adds that carries a date of the question."""

COVERAGE_SENTENCES = 4
"""Width of the small window, sentences."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the passages are compared with.

    Attributes:
        weights: terms of the question with their inverse document frequency.
        dates: see ``tools.filters.Limits``.
        headings: the same as ``weights`` for the terms of the passages' headings.
    """

    weights: Mapping[str, float]
    dates: tuple[frozenset[str], ...] = ()
    headings: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Ranked:
    """A passage in its place.

    Attributes:
        passage: as it is stored.
        window_id: its best window.
        score: higher is better; comparable within one search.
        coverage: share (0..1) of the question's weight that stands close together in it.
    """

    passage: StoredPassage
    window_id: str
    score: float
    coverage: float

    @property
    def text(self) -> str:
        """The passage's words."""
        return self.passage.text


def rank(fused: Sequence[Scored], stored: Mapping[str, StoredPassage], asked: Asked) -> list[Ranked]:
    """Return the passages of ``fused`` that are ``stored``, best first; equal scores stay as they are."""
    found = [item for item in fused if item.chunk_id in stored]
    places = {(item.document_id, stored[item.chunk_id].ordinal): item.score for item in found}
    least = min(places.values(), default=0.0)
    ranked: list[Ranked] = []
    for item in found:
        passage = stored[item.chunk_id]
        given = header_terms(passage.header)
        share = best_cover(grid_of(passage.text), asked.weights, sentences=COVERAGE_SENTENCES, given=given).share
        beside = [places.get((item.document_id, passage.ordinal + step), least) - least for step in (-1, 1)]
        bonus = COVERAGE_BONUS * share + NEIGHBOUR_BONUS * sum(beside) + DATE_BONUS * carries(given, asked.dates)
        bonus += HEADING_BONUS * _said(header_terms(passage.section), asked)
        ranked.append(Ranked(passage, item.window_id, item.score + bonus, share))
    return ordered(ranked)


def heading_terms(stored: Iterable[StoredPassage]) -> list[str]:
    """Return every term of the passages' headings, each once."""
    return list(dict.fromkeys(term for passage in stored for term in sorted(header_terms(passage.section))))


def _said(heading: frozenset[str], asked: Asked) -> float:
    """The share (0..1) of a heading's weight that the question says; 0 for none."""
    weights = {term: asked.headings.get(term, 0.0) for term in sorted(heading)}
    total = sum(weights.values())
    return sum(weight for term, weight in weights.items() if term in asked.weights) / total if total else 0.0


def united(rankings: Sequence[Sequence[Ranked]]) -> list[Ranked]:
    """Return the passages of several rankings, each with the best score and coverage it has in any of them."""
    best: dict[str, Ranked] = {}
    for item in (item for ranking in rankings for item in ranking):
        other = best.setdefault(item.passage.id, item)
        if item.score > other.score:
            best[item.passage.id] = item
    return ordered(best.values())


def lifted(ranked: Sequence[Ranked], gains: Sequence[float]) -> list[Ranked]:
    """Return the passages with ``gains`` added to their scores, in their new order."""
    return ordered(replace(item, score=item.score + gain) for item, gain in zip(ranked, gains, strict=True))


def ordered(ranked: Iterable[Ranked]) -> list[Ranked]:
    """Return the passages best first; equal scores stay as they are."""
    return sorted(ranked, key=lambda item: -item.score)
