"""Links between passages without a model: what one passage names and another one tells about.

A question that needs two facts often names only the first; the passage with the second shares a name with the passage
that answers the first. Gives the phrases by which the best passages are linked to others (capitalised phrases, titles)
and, for passages found by these words, how strongly they are linked: one hop of a walk that begins at the best
passages. The edges are looked up in the word index when they are needed, so they are never out of date and cost no
space. Pure functions; texts already looked through are remembered.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from infra.text.terms import terms

MAX_PHRASES = 12
"""Phrases followed for one question: bounds its second look into the word index."""

MAX_PHRASE_TERMS = 6
REMEMBERED_TEXTS = 2_048
"""Passages whose phrases are kept."""

_NAME = r"[A-Z][\w'’&-]{0,40}"
_PHRASE = re.compile(rf"{_NAME}(?:[ ](?:(?:of|the|de|and|&)[ ])?{_NAME}){{0,5}}")


@dataclass(frozen=True, slots=True)
class Seed:
    """A passage the walk begins at: its text, its title ("" for none) and its share (0..1) of the walk."""

    text: str
    title: str
    mass: float


def bridges(seeds: Sequence[Seed], asked: frozenset[str], idf: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    """Return the phrases to follow from ``seeds``, each as its terms with its weight, heaviest first.

    Args:
        seeds: the best passages.
        asked: terms of the question: what it names itself was searched already.
        idf: weight of each term of ``phrase_terms(seeds)``.
    """
    most = max(idf.values(), default=0.0)
    weights: dict[tuple[str, ...], float] = {}
    for seed in seeds:
        for phrase in {*phrases(seed.text), *_title(seed.title)}:
            if most and not asked.issuperset(phrase):
                rarity = max(idf.get(term, 0.0) for term in phrase) / most
                weights[phrase] = weights.get(phrase, 0.0) + seed.mass * rarity
    best = sorted(weights, key=lambda phrase: (-weights[phrase], phrase))[:MAX_PHRASES]
    return {phrase: weights[phrase] for phrase in best}


def phrase_terms(seeds: Sequence[Seed]) -> list[str]:
    """Return every term of the seeds' phrases, each once."""
    found = (term for seed in seeds for phrase in {*phrases(seed.text), *_title(seed.title)} for term in phrase)
    return list(dict.fromkeys(found))


def strengths(texts: Sequence[str], bridges: Mapping[tuple[str, ...], float]) -> list[float]:
    """Return how strongly each text is linked: 1 for the strongest, 0 for none.

    A phrase shares its weight among the texts that have it, by the root of their number; what only one text has is no
    link.
    """
    having = {phrase: [n for n, text in enumerate(texts) if _has(text, phrase)] for phrase in bridges}
    found = [0.0] * len(texts)
    for phrase, places in having.items():
        for place in places if len(places) > 1 else ():
            found[place] += bridges[phrase] / math.sqrt(len(places))
    most = max(found, default=0.0)
    return [strength / most for strength in found] if most else found


@lru_cache(maxsize=REMEMBERED_TEXTS)
def phrases(text: str) -> frozenset[tuple[str, ...]]:
    """Return the capitalised phrases of ``text`` as their terms.

    A single capitalised word counts where it does not begin a sentence or a line.
    """
    found: set[tuple[str, ...]] = set()
    for match in _PHRASE.finditer(text):
        words = tuple(terms(match[0]))
        begins = match.start() == 0 or text[match.start() - 1] == "\n" or text[match.start() - 2] in ".!?:"
        if words and len(words) <= MAX_PHRASE_TERMS and not (begins and " " not in match[0]):
            found.add(words)
    return frozenset(found)


@lru_cache(maxsize=REMEMBERED_TEXTS)
def _words(text: str) -> str:
    """The terms of a text as one string, each between blanks."""
    return f" {' '.join(terms(text))} "


def _has(text: str, phrase: tuple[str, ...]) -> bool:
    return f" {' '.join(phrase)} " in _words(text)


def _title(title: str) -> list[tuple[str, ...]]:
    words = tuple(terms(title))
    return [words] if 1 < len(words) <= MAX_PHRASE_TERMS else []
