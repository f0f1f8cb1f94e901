"""Facts: what of a text cannot be guessed, and whether a note still holds it.

Gives `facts` (the numbers, dates, paths, identifiers and names of one sentence, as they stand there) and `Words`, a
text read once, which tells whether it holds a fact. A number or a date is held in any way of writing it (1,000 and
1000; 6 May 2026 and 2026-05-06, see ``infra.text.terms``), everything else word for word, case aside. Pure and linear
in the text's length; English habits of writing. It knows no question and chooses nothing.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from infra.text.blocks import STAND_IN
from infra.text.terms import STOP_WORDS, terms

Kind = Literal["number", "date", "path", "identifier", "name", "decision"]

MAX_FACT_CHARS = 200
"""A longer stretch without a blank is no path and no identifier that a person would name."""

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\.?"
_DATE = re.compile(
    rf"\b\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? \d{{4}})?(?!\w)"
    rf"|\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?(?![\w.,:]\d)(?!\w)|\b{_MONTH},? \d{{4}}(?!\w)"
)
_CHUNK = re.compile(r"[^\s<>‹—–…|]+")  # no fact holds the beginning of a block's tag
_OPENING = "\"'“”\u2018’([{«*`,;:!?"
_CLOSING = _OPENING.replace("([{«", ")]}»") + ".)]}»"
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"[-+±~#$€£]?\d[\d.,:%-]*[A-Za-z%°]{0,3}")
_PATH = re.compile(r"[\w.~-][\\/][\w.~-]|^(?:~|\.{1,2})?[\\/]\w")
_IDENTIFIER = re.compile(r"\w_\w|[a-z][A-Z]|\w\.\w|\w=\S|\w@\w|::|\(\)|^--?[A-Za-z]")
_POSSESSIVE = re.compile(r"['’]s?$")
_DECIMAL_BEFORE = re.compile(r"\d[.,]$")
_DECIMAL_BEHIND = re.compile(r"[.,]\d")


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact, as it stands in its text; a decision is a whole sentence, and no other wording of it counts."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Words:
    """A text read once, to be asked what it holds."""

    text: str

    @cached_property
    def terms(self) -> frozenset[str]:
        """Its terms (``infra.text.terms``)."""
        return frozenset(terms(self.text))

    @cached_property
    def _folded(self) -> str:
        return _folded(self.text)

    @cached_property
    def _alone(self) -> frozenset[str]:
        return frozenset(map(_bare, _CHUNK.findall(self._folded)))

    def holds_alone(self, fact: Fact) -> bool:
        """Tell whether ``fact`` stands in this text between blanks: 2 as in "the 2", not as in "2-yard"."""
        return _bare(_folded(fact.text)) in self._alone

    def holds(self, fact: Fact) -> bool:
        """Tell whether ``fact`` stands in this text."""
        if _stands(_folded(fact.text), self._folded):
            return True
        return fact.kind in ("number", "date") and bool(value := set(terms(fact.text))) and value <= self.terms


def facts(sentence: str) -> list[Fact]:
    """Return the facts of ``sentence``, each once, in their order: dates first."""
    found = [Fact("date", match[0]) for match in _DATE.finditer(sentence)]
    run: list[str] = []
    for match in _CHUNK.finditer(_DATE.sub(" , ", sentence)):
        chunk = match[0]
        core = _bare(chunk)
        kind = _kind(core)
        if run and (kind != "name" or chunk[0] in _OPENING):
            found += _name(run)
            run = []
        if kind == "name":
            run.append(core if run or match.start() else f"^{core}")
            if chunk[-1] in _CLOSING:
                found += _name(run)
                run = []
        elif kind and len(core) <= MAX_FACT_CHARS:
            found.append(Fact(kind, core))
    return list(dict.fromkeys([*found, *_name(run)]))


def _bare(chunk: str) -> str:
    return chunk.lstrip(_OPENING).rstrip(_CLOSING)


def _kind(core: str) -> Kind | None:
    if not core or not any(map(str.isalnum, core)):
        return None
    if _PATH.search(core):
        return "path"
    if _DIGIT.search(core):
        return "number" if _NUMBER.fullmatch(core) else "identifier"
    if _IDENTIFIER.search(core):
        return "identifier"
    return "name" if core[0].isupper() and len(core) <= MAX_FACT_CHARS else None


def _name(run: list[str]) -> list[Fact]:
    """Return the name that words with a capital make; a sentence's first word has one in any case (marked ``^``)."""
    words = [word.removeprefix("^") for word in run]
    opens = bool(run) and run[0].startswith("^")
    while words and words[0].casefold() in STOP_WORDS:
        words, opens = words[1:], False
    if not words or (opens and len(words) == 1 and not words[0].isupper()):
        return []
    name = _POSSESSIVE.sub("", " ".join(words))
    return [Fact("name", name)] if 1 < len(name) <= MAX_FACT_CHARS else []


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold().replace("<", STAND_IN)


def _stands(part: str, text: str) -> bool:
    """Tell whether ``part`` stands in ``text`` as words of its own, not as a part of a longer one or of a number."""
    at = text.find(part)
    while at >= 0:
        end = at + len(part)
        if not (_goes_on(text[at - 1 : at] + part[:1]) or _goes_on(part[-1:] + text[end : end + 1])) and not (
            _DECIMAL_BEFORE.search(text[max(0, at - 2) : at]) or _DECIMAL_BEHIND.match(text[end : end + 2])
        ):
            return True
        at = text.find(part, at + 1)
    return False


def _goes_on(pair: str) -> bool:
    return len(pair) > 1 and all(c.isalnum() or c == "_" for c in pair)
