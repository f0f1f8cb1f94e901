"""Hard negatives in what is asked about: a constraint more, a constraint less, another quantifier.

Places, months, days and number words come from the lists; the forms of the adjuncts from the grammar named in
``data/SOURCES.md`` (chapter 8, adjuncts).
"""

import re
from collections.abc import Iterator
from random import Random

from graph.bench.rephrase.rules import Change, Source
from graph.bench.rephrase.text import AUXILIARIES, BE, PREPOSITIONS, Question, small_start

_ENDS_BADLY = PREPOSITIONS | BE | {"than", "against", "off", "up", "out", "like", "as", "the", "a", "do"}


def _adjunct(question: Question, source: Source, rng: Random) -> str:
    """A place or a group; for what happened also a time."""
    words = source.words
    places = sorted(n for n, entry in words.names.items() if entry.kind in {"country", "city"} and entry.tags > 1)
    place = rng.choice(places)
    few = rng.choice([word for word, value in words.cardinals.items() if 1 < value < 10])  # noqa: PLR2004
    forms = [f"in {place}", f"outside {place}"]
    if {"did", "was", "were", "had"} & {token.low for token in question.tokens}:
        month, day, year = rng.choice(words.months), rng.choice(words.weekdays), rng.randrange(1900, 2030)
        forms += [f"in {month}", f"in {year}", f"before {year}", f"on a {day}", f"in the first {few} years"]
    return rng.choice(forms)


def plain(question: Question) -> bool:
    """A question with one clause and a proper end, to which an adjunct can be put."""
    last = re.findall(r"[\w-]+", question.body)[-1:]
    return (
        question.text.endswith("?")
        and bool(last)
        and last[0].lower() not in _ENDS_BADLY
        and question.text.count("?") == 1
    )


_HAPPENS = AUXILIARIES - BE


def eventful(question: Question) -> bool:
    """Whether it asks for something that happens, so that a time or a place put to it restricts the answer."""
    words = [token.low for token in question.tokens]
    passive = any(word in BE and any(later.endswith("ed") for later in words[at:]) for at, word in enumerate(words))
    return passive or not _HAPPENS.isdisjoint(words)


def _with_adjunct(question: Question, source: Source, rng: Random) -> tuple[str, str]:
    adjunct = _adjunct(question, source, rng)
    if adjunct.startswith(("in ", "before ", "outside ")) and rng.random() < 1 / 3:
        return f"{adjunct[0].upper()}{adjunct[1:]}, {small_start(question)}", adjunct
    return f"{question.body} {adjunct}?", adjunct


def added(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """A place, a time or a group put to the question."""
    if plain(question) and eventful(question):
        text, adjunct = _with_adjunct(question, source, rng)
        yield Change(text, f"+ {adjunct}")


_RESTRICTING = re.compile(
    r"\b(the|their|his|her|its) "
    r"((?:first|second|third|oldest|youngest|largest|smallest|highest|lowest|longest) )"
    r"(?=(?!time|name|day|place|year)[a-z])"
)
_YEAR_END = re.compile(r" (?:in|since|before|after|during) (?:the )?(?:1\d{3}|20\d{2})s?$")


def dropped(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """A constraint taken away: a superlative, an ordinal, a year; or one that was put there before."""
    found = _RESTRICTING.search(question.text)
    if found:
        yield Change(question.text[: found.start(2)] + question.text[found.end(2) :], f"- {found[2].strip()}")
    found = _YEAR_END.search(question.body)
    if (
        found
        and question.low(0) not in {"when", "is", "was", "did"}
        and not question.body[: found.start()].endswith((" than", " as"))
    ):
        yield Change(question.body[: found.start()] + "?", f"-{found[0]}")
    if plain(question) and eventful(question):
        base, adjunct = _with_adjunct(question, source, rng)
        yield Change(question.text, f"- {adjunct}", base)


_QUANTIFIERS = (
    (r"\bat least\b", "at most"),
    (r"\bat most\b", "at least"),
    (r"\bmore than\b", "less than"),
    (r"\bless than\b", "more than"),
    (r"\bfewer than\b", "more than"),
    (r"\bsome of the\b", "all of the"),
    (r"\ball of the\b", "some of the"),
    (r"\ball(?= (?:of|the|[a-z]+s)\b)", "some"),
    (r"(?<!at )\bevery(?= [a-z])", "no"),
    (r"\beach of the\b", "none of the"),
    (r"\bboth(?= of| [a-z]+s\b)", "neither"),
    (r"\balways\b", "sometimes"),
    (r"\bmost(?= (?:of|people|[a-z]+s)\b)", "few"),
    (r"\bone of the\b", "none of the"),
)
_ALL = ("all", "some", "most", "few", "no")
_PLURAL = re.compile(
    r"(?<=\bdo )(?=[a-z]{3,}[^sui\W]s [a-z]+)|(?<=\bdid )(?=[a-z]{3,}[^sui\W]s [a-z]+)"
    r"|(?<=\bare )(?=[a-z]{3,}[^sui\W]s [a-z]+ed\b)|(?<=\bwere )(?=[a-z]{3,}[^sui\W]s [a-z]+ed\b)"
)
_AMOUNTS = ("in {} {n} countries", "on {} {n} days", "for {} {n} people")
_BOUNDS = ("at least", "at most", "exactly", "more than", "fewer than")
_TOUCHING = ({"at least", "more than"}, {"at most", "fewer than"})
"""Bounds that differ by one only: too close to be told apart by a reader."""


def quantifier(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """All, some, most; at least, at most, exactly."""
    for old, new in _QUANTIFIERS:
        changed = re.sub(old, new, question.text, count=1)
        if changed != question.text and not re.search(
            r"(?:the|how|of all|at all)\W+$", question.text[: _start(old, question)]
        ):
            yield Change(changed, f"{re.search(old, question.text)[0]} → {new}")  # pyright: ignore[reportOptionalSubscript]
    plural = _PLURAL.search(question.text)
    if plural:
        one, two = rng.sample(_ALL, 2)
        before, after = question.text[: plural.start()], question.text[plural.start() :]
        yield Change(f"{before}{two} {after}", f"{one} → {two}", f"{before}{one} {after}")
    elif plain(question) and eventful(question):
        one, two = rng.sample(_BOUNDS, 2)
        n = rng.choice([word for word, value in source.words.cardinals.items() if 1 < value < 20])  # noqa: PLR2004
        form = rng.choice(_AMOUNTS)
        if {one, two} not in _TOUCHING:
            base, changed = (f"{question.body} {form.format(bound, n=n)}?" for bound in (one, two))
            yield Change(changed, f"{one} → {two}", base)


def _start(pattern: str, question: Question) -> int:
    found = re.search(pattern, question.text)
    return found.start() if found else 0
