"""The word lists of ``data/``, loaded once: what a rule may put in the place of what.

``data/SOURCES.md`` names the source of each list; nothing is added here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class Name:
    """A name of WordNet's: its class, the synset it stands in, and how often it was tagged."""

    kind: str
    synset: str
    tags: int


@dataclass(frozen=True, slots=True)
class Words:
    """The lists, by what a rule looks up.

    Attributes:
        synonyms: by part of speech and lemma: synonyms, words joined by ``_``.
        plain: lemmas that are hardly ever another part of speech.
        antonyms: by part of speech and lemma.
        units: synset and unit by what they measure.
        unit_class: by unit; a unit of two measures (pound) is left out.
        months: in order.
        weekdays: in order.
        cardinals: value by word.
        ordinals: value by word.
        names: by name, words joined by a space.
        irregular: part of speech and lemma by irregular form.
        forms: irregular forms by part of speech and lemma.
        contractions: contraction by full form, both in small letters.
        vocabulary: words that a typing mistake must not hit.
    """

    synonyms: dict[tuple[str, str], list[str]]
    plain: frozenset[tuple[str, str]]
    antonyms: dict[tuple[str, str], list[str]]
    units: dict[str, list[tuple[str, str]]]
    unit_class: dict[str, str]
    months: list[str]
    weekdays: list[str]
    cardinals: dict[str, int]
    ordinals: dict[str, int]
    names: dict[str, Name]
    irregular: dict[str, list[tuple[str, str]]]
    forms: dict[tuple[str, str], list[str]]
    contractions: dict[str, str]
    vocabulary: frozenset[str]


@cache
def load_words() -> Words:
    """Read the lists."""
    series = [tuple(row) for row in _rows("series")]
    calendar = {"month", "weekday", "cardinal", "ordinal"}
    measured = Counter(word for _, _, word in series)
    twice = {word for word, count in measured.items() if count > 1}
    irregular = _rows("irregular")
    synonyms = _rows("synonyms")
    return Words(
        synonyms=_grouped(((pos, word), other) for pos, word, other, _, _ in synonyms),
        plain=frozenset((pos, word) for pos, word, _, _, plain in synonyms if plain == "plain"),
        antonyms=_grouped(
            ((pos, one), other) for pos, *pair in _rows("antonyms") for one, other in (pair, reversed(pair))
        ),
        units=_grouped((kind, (synset, word)) for kind, synset, word in series if kind not in calendar),
        unit_class={word: kind for kind, _, word in series if kind not in calendar and word not in twice},
        months=[word for kind, _, word in series if kind == "month"],
        weekdays=[word for kind, _, word in series if kind == "weekday" and word.endswith("day")],
        cardinals={word: int(value) for kind, value, word in series if kind == "cardinal"},
        ordinals={word: int(value[:-2]) for kind, value, word in series if kind == "ordinal"},
        names={word.replace("_", " "): Name(kind, synset, int(tags)) for kind, synset, tags, word in _rows("names")},
        irregular=_grouped((form, (pos, lemma)) for pos, form, lemma in irregular),
        forms=_grouped(((pos, lemma), form) for pos, form, lemma in irregular),
        contractions={row[0]: row[1] for row in _rows("contractions")},
        vocabulary=frozenset(word for (word,) in _rows("vocabulary")),
    )


def _rows(name: str) -> list[list[str]]:
    return [line.split("\t") for line in (DATA / f"{name}.tsv").read_text(encoding="utf-8").splitlines()]


def _grouped(pairs: Iterable[tuple[_K, _V]]) -> dict[_K, list[_V]]:
    found: dict[_K, list[_V]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return dict(found)
