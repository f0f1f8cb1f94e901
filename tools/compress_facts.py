"""Facts: what of a text cannot be guessed, and whether a note still holds it.

Gives `facts` (the numbers, dates, paths, identifiers and names of one sentence, as they stand there) and `Words`, a
text read once, which tells whether it holds a fact. A number without a sign or a date is held in any way of writing it
(1,000 and 1000; 6 May 2026 and 2026-05-06, see ``infra.text.terms``), everything else word for word, case aside; what
is a part of something longer is not held. Pure and linear in the text's length; English habits of writing. It knows no
question and chooses nothing.
"""

import re
from collections.abc import Iterable, Set
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
_IDENTIFIER = re.compile(r"\w_\w|[a-z][A-Z]|\w\.\w|\w=\S|\w@\w|::|\(\)|^--?[A-Za-z]|^\.[A-Za-z]")
_POSSESSIVE = re.compile(r"['’]s?$")
_INSIDE = re.compile(r"(?<=[a-z,] )[A-Z][\w-]{1,40}")
_ONE_VALUE = re.compile(r"[#$€£]?\d[\d.,]*[A-Za-z%°]{0,3}")
_MOMENT = re.compile(r"\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[/.]\d\d?[/.]\d{4}|\d\d?:\d\d")
_COMPOUND = re.compile(r"\d[-/\\:=@]\w|\w[-/\\:=@]\d|[-+±~−]\d")
"""Of a word whose numbers are none by themselves: -5, 10-20, 2-yard."""
_BEFORE: dict[Kind, re.Pattern[str]] = {
    "number": re.compile(r"\d[.,]$|[-+±~−]$|\w[/\\:=@]$"),
    "path": re.compile(r"[\w.~][-/\\.:=@]$"),
    "identifier": re.compile(r"\w[-/\\.:=@]$"),
}
_BEHIND: dict[Kind, re.Pattern[str]] = {
    "number": re.compile(r"[.,]\d|[-/\\:=@]\w"),
    "path": re.compile(r"[-/\\.:=@]\w"),
    "identifier": re.compile(r"[-/\\.:=@]\w"),
}
_DECIMAL_BEFORE, _DECIMAL_BEHIND = re.compile(r"\d[.,]$"), re.compile(r"[.,]\d")
_OPENS_IN_WORD = re.compile(r"[\w.~-]$")
"""Before a path or an option: ``/log`` in ``/var/log``, ``-v`` in ``--v``."""


_PARTED = " , "
"""In the place of a date, so that no other fact reaches across it."""


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
    def _chunks(self) -> list[str]:
        return _CHUNK.findall(self._folded)

    @cached_property
    def _undated(self) -> list[str]:
        return _CHUNK.findall(_folded(_DATE.sub(_PARTED, self.text)))

    @cached_property
    def _moments(self) -> str:
        return _runs(self.text)

    @cached_property
    def _values(self) -> str:
        words = (";" if _COMPOUND.search(word) else word for word in self.text.split())
        return _runs(" ".join(f"{word};" if word[-1] in _CLOSING else word for word in words))

    def holds_alone(self, fact: Fact) -> bool:
        """Tell whether ``fact`` stands in this text between blanks: 2 as in "the 2", not as in "2-yard"."""
        part = _bare(_folded(fact.text))
        return part in self._folded and _is_one_of(part, self._chunks)

    def holds(self, fact: Fact) -> bool:
        """Tell whether ``fact`` stands in this text, by itself: -5 is not 5, and /var/log not /var/log/app."""
        part = _folded(fact.text)
        if part in self._folded and (_stands(part, self._folded, fact.kind) or _is_one_of(part, self._undated)):
            return True
        run = _runs(fact.text)
        if not run.strip():
            return False
        if fact.kind == "date" or _MOMENT.fullmatch(fact.text):
            return run in self._moments
        one = fact.kind == "number" and bool(_ONE_VALUE.fullmatch(fact.text))
        return one and (run in self._values or f" {' '.join(reversed(run.split()))} " in self._values)


def names_inside(text: str) -> frozenset[str]:
    """Return the words with a capital that stand inside a sentence: names at its head, too."""
    return frozenset(_INSIDE.findall(text))


def facts(sentence: str, names: Set[str] = frozenset()) -> list[Fact]:
    """Return the facts of ``sentence``, each once, in their order: dates first.

    A capital at its head makes a name of a word only before a colon (who speaks), or where it is one of ``names``.
    """
    found = [Fact("date", match[0]) for match in _DATE.finditer(sentence)]
    run: list[str] = []
    parted, at = _DATE.sub(_PARTED, sentence), 0
    for match in _CHUNK.finditer(parted):
        chunk, gap, at = match[0], parted[at : match.start()], match.end()
        core = _bare(chunk)
        kind = _kind(core)
        if run and (kind != "name" or chunk[0] in _OPENING or not gap.isspace()):
            found += _name(run)
            run = []
        if kind == "name":
            named = bool(run or match.start()) or chunk[-1] == ":" or core in names
            run.append(core if named else f"^{core}")
            if chunk[-1] in _CLOSING:
                found += _name(run)
                run = []
        elif kind and len(core) <= MAX_FACT_CHARS:
            found.append(Fact(kind, core))
    return list(dict.fromkeys([*found, *_name(run)]))


def _bare(chunk: str) -> str:
    """Return ``chunk`` without the marks around it; a bracket stays that closes one inside, as in ``reset()``."""
    opened = chunk.lstrip(_OPENING)
    core = opened.rstrip(_CLOSING)
    tail = opened[len(core) :]
    closing = len(tail) - len(tail.lstrip(")"))
    return core + tail[: min(closing, max(0, core.count("(") - core.count(")")))]


def _is_one_of(part: str, chunks: Iterable[str]) -> bool:
    """Tell whether ``part`` is one of ``chunks`` without the marks around it; most do not even hold it."""
    return any(part in chunk and _bare(chunk) == part for chunk in chunks)


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
    first = next((n for n, word in enumerate(words) if word.casefold() not in STOP_WORDS), len(words))
    opens = bool(run) and run[0].startswith("^") and not first
    words = words[first:]
    if not words or (opens and len(words) == 1 and not words[0].isupper()):
        return []
    name = _POSSESSIVE.sub("", " ".join(words))
    return [Fact("name", name)] if 1 < len(name) <= MAX_FACT_CHARS else []


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold().replace("<", STAND_IN)


def _stands(part: str, text: str, kind: Kind) -> bool:
    """Tell whether ``part`` stands in ``text`` as words of its own, not as a part of a longer one or of a number."""
    before, behind = _BEFORE.get(kind, _DECIMAL_BEFORE), _BEHIND.get(kind, _DECIMAL_BEHIND)
    opens = kind in ("path", "identifier") and part[:1] in ("/", "\\", ".", "-")
    at = text.find(part)
    while at >= 0:
        end, head = at + len(part), text[max(0, at - 2) : at]
        inside = _goes_on(head[-1:] + part[:1]) or _goes_on(part[-1:] + text[end : end + 1])
        if not (inside or before.search(head) or behind.match(text[end : end + 2])) and not (
            opens and _OPENS_IN_WORD.search(head)
        ):
            return True
        at = text.find(part, at + 1)
    return False


def _goes_on(pair: str) -> bool:
    return len(pair) > 1 and all(c.isalnum() or c == "_" for c in pair)


def _runs(text: str) -> str:
    """Return the terms of ``text`` as one string in which a run of them can be looked for; none crosses a ``;``."""
    return f" {' ; '.join(' '.join(terms(part)) for part in text.split(';'))} "
