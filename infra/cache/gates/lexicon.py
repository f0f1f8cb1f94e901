"""A language's word lists, read once from the folder beside this file. Each list names its source in its first lines.

Gives `lexicon`; another language is another folder with the same files.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock

from snowballstemmer.english_stemmer import EnglishStemmer

FOLDER = Path(__file__).parent / "english"

_SHORTEST_FIXED = 4
_ROLES = re.compile(r"(\w{3,})[eo]r(s?) \1ee\2")
"""Who does it and whom it is done to: lessor and lessee, employers and employees."""
_ONE_BLANK = re.compile(r" (?![*+?\]])")

_stemmer = EnglishStemmer()
_stemmer_lock = Lock()


@lru_cache(maxsize=1 << 14)
def stem(word: str) -> str:
    """Return the English Snowball stem of ``word`` (lower case); thread-safe."""
    with _stemmer_lock:
        return str(_stemmer.stemWord(word))  # pyright: ignore[reportUnknownMemberType,reportUnknownArgumentType] - untyped


@dataclass(frozen=True, slots=True)
class Lexicon:
    """What is known of a language; all words in lower case."""

    closed: dict[str, str]
    """Word of a closed class to the class: bare, be, have, modal, negation, question, person, direction, ..."""
    numbers: dict[str, tuple[str, str]]
    """Word to its class (number or date) and its value."""
    units: dict[str, str]
    """Form of a unit to the unit."""
    cased: dict[str, str]
    """Code of a unit, capitals as they are written, to the unit."""
    past: dict[str, str]
    """Irregular past form to its base."""
    antonyms: frozenset[tuple[str, str]]
    """Pairs of stems, in alphabetical order."""
    prefixes: frozenset[str]
    """Prefixes that make another word of a word."""
    words: frozenset[str]
    """Stems of known words."""
    names: frozenset[str]
    """Words written with a capital only."""
    contractions: dict[str, str]
    """Contracted word to the words it stands for."""
    contracted_ends: tuple[tuple[str, str], ...]
    """End of a contracted word and the word it stands for; the possessive stands for itself."""
    phrases: dict[tuple[str, ...], str]
    """Question phrase, word by word, to the question word it stands for."""
    heads: re.Pattern[str]
    tails: re.Pattern[str]
    inside: re.Pattern[str]
    deictic: re.Pattern[str]
    personal: re.Pattern[str]

    fixed: tuple[str, ...]
    """Words of four letters or more that are never exchanged: closed classes, numbers, dates, units."""

    def base(self, word: str) -> str:
        """The stem of ``word``, of a past form that of its base."""
        return stem(self.past.get(word, word))

    def is_word(self, word: str) -> bool:
        """Whether ``word`` is a known one, in whichever degree (large, largest), and no name."""
        return word not in self.names and not self.words.isdisjoint(self._bases(word))

    def are_antonyms(self, one: str, other: str) -> bool:
        """Whether two words are opposites, in whichever degree (later, earlier), or the two sides of one relation."""
        if any(_ROLES.fullmatch(f"{a} {b}") for a, b in ((one, other), (other, one))):
            return True
        return any((min(a, b), max(a, b)) in self.antonyms for a in self._bases(one) for b in self._bases(other))

    def _bases(self, word: str) -> set[str]:
        """The stem of ``word``, and of what it may be a higher degree of (Quirk et al. 1985, 7.75-7.79)."""
        bases = {self.base(word)}
        for ending in ("er", "est"):
            if word.endswith(ending):
                short = word.removesuffix(ending)
                doubled = short[:-1] if short[-1:] == short[-2:-1] else short
                bases |= {stem(form) for form in (short, short + "e", doubled, short.removesuffix("i") + "y")}
        return bases


@cache
def lexicon() -> Lexicon:
    """The English lexicon (about 10 MB, read once)."""
    frames = [(row[0], row[1]) for row in _rows("frames.tsv")]
    contracted = list(_rows("contractions.tsv"))
    closed = {word: row[0] for row in _rows("closed.tsv") for word in row[1].split()}
    numbers = {row[1]: (row[0], row[2]) for row in _rows("numbers.tsv")}
    units = {form: row[0] for row in _rows("units.tsv") for form in row}
    return Lexicon(
        closed=closed,
        numbers=numbers,
        units=units,
        fixed=tuple(word for word in (*closed, *numbers, *units) if len(word) >= _SHORTEST_FIXED),
        cased={row[0]: row[1] for row in _rows("cased.tsv")},
        past={form: row[0] for row in _rows("irregular.tsv") for form in row[1:] if form != row[0]},
        antonyms=frozenset((row[0], row[1]) for row in _rows("antonyms.tsv")) | _converses(),
        prefixes=frozenset(row[0] for row in _rows("prefixes.tsv")),
        words=frozenset(row[0] for row in _rows("words.txt")),
        names=frozenset(row[0] for row in _rows("names.txt")),
        contractions={row[0]: row[1] for row in contracted if not row[0].startswith("*")},
        contracted_ends=tuple((row[0][1:], row[1]) for row in contracted if row[0].startswith("*")),
        phrases={tuple(row[0].split()): row[1] for row in _rows("phrases.tsv")},
        heads=_any([pattern for place, pattern in frames if place == "head"]),
        tails=_any([pattern for place, pattern in frames if place == "tail"], r"[\s?.!,;]*$"),
        inside=_any([pattern for place, pattern in frames if place == "inside"]),
        deictic=_any([row[0] for row in _rows("deictic.tsv")]),
        personal=_any([row[0] for row in _rows("personal.tsv")]),
    )


def _converses() -> frozenset[tuple[str, str]]:
    pairs = ((stem(row[0]), stem(row[1])) for row in _rows("converses.tsv"))
    return frozenset((min(pair), max(pair)) for pair in pairs)


def _any(patterns: list[str], after: str = "") -> re.Pattern[str]:
    """One pattern of many; a blank in them stands for any number of blanks, as stripped words leave them."""
    spaced = (_ONE_BLANK.sub(" +", pattern.replace(" ?", " *")) for pattern in patterns)
    return re.compile(f"(?:{'|'.join(spaced)}){after}")


def _rows(name: str) -> Iterator[list[str]]:
    for line in (FOLDER / name).read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")
