"""Changes of one word: a synonym (keeps the meaning), an antonym (turns it round)."""

import re
from collections.abc import Iterator
from random import Random

from graph.bench.rephrase.inflect import Form, inflected, lemmas
from graph.bench.rephrase.rules import Change, Source
from graph.bench.rephrase.text import (
    AUXILIARIES,
    BE,
    DETERMINERS,
    DO,
    HAVE,
    MODALS,
    POSSESSIVES,
    PREPOSITIONS,
    PRONOUNS,
    WH,
    Question,
    an_for,
    like,
)

_BEFORE_NOUN = DETERMINERS | POSSESSIVES | PREPOSITIONS | {"which", "what", "many", "several", "few", "s", "’s", "main"}
_TO = {"try": "to", "attempt": "to"}
_NOT_BEFORE: dict[str, frozenset[str]] = {
    "think": frozenset({"of", "about", "to"}),
    "discuss": frozenset({"with", "by", "about"}),
    "use": frozenset({"case", "cases", "of"}),
    "used": frozenset({"to", "car", "cars"}),
    "large": frozenset({"language", "scale"}),
    "kind": frozenset({"enough", "to"}),
    "doctor": frozenset({"who"}),
    "propose": frozenset({"to"}),
    "forbidden": frozenset({"to"}),
    "complete": frozenset({"list"}),
    "process": frozenset({"of", "the"}),
    "found": frozenset({"in", "on", "at", "to", "that", "guilty"}),
}
_NOT_AFTER: dict[str, frozenset[str]] = {
    "soon": frozenset({"as", "how"}),
    "punishment": frozenset({"corporal", "capital"}),
    "often": frozenset({"how"}),
    "large": frozenset({"how"}),
    "small": frozenset({"how"}),
    "difficult": frozenset({"how"}),
    "ad": frozenset({"on"}),
    "also": frozenset({"and"}),
}
_ONLY_FORMS = {("found", "v"): {"past", "participle", "ing"}, ("determine", "v"): {"base", "s", "ing"}}
_PART = re.compile(r"^(part|portion)s?$")

_CHANGED_ELSEWHERE = "used all some no other same here there few many much up down above below be"
_SAME_ANYWAY = frozenset(_CHANGED_ELSEWHERE.split())
"""Antonyms that other kinds change, or that a question does not turn on."""

_SCALES = """
    old young long short high low large small big little fast slow far near often rarely early late deep quickly slowly
    well hot cold strong weak heavy light wide narrow frequently likely different important much many
"""
_AFTER_HOW = frozenset(_SCALES.split())
"""How old and how young ask the same."""


def synonym(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """One word replaced by a synonym in the same form."""
    numbers = range(len(question.tokens))
    for number in rng.sample(numbers, len(numbers)):
        form = question.tokens[number].text
        if not form.islower() or _in_name(question, number):
            continue
        found = [new for pos in "nvar" for new in _others(question, number, pos, source, source.words.synonyms)]
        for new in rng.sample(found, len(found)):
            if new not in question.text.lower().split():
                text = question.replaced(number, like(form, new))
                yield Change(an_for(question, number, text, new), f"{form} → {new}")


def polarity(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """One word replaced by its antonym in the same form."""
    numbers = range(len(question.tokens))
    for number in rng.sample(numbers, len(numbers)):
        form = question.tokens[number].text
        if not form.islower() or _in_name(question, number) or form in _SAME_ANYWAY:
            continue
        if question.low(number - 1) == "how" and form in _AFTER_HOW:
            continue
        found = [new for pos in "arnv" for new in _others(question, number, pos, source, source.words.antonyms)]
        for new in found:
            if new not in _SAME_ANYWAY:
                text = question.replaced(number, like(form, new))
                yield Change(an_for(question, number, text, new), f"{form} → {new}")


def _others(
    question: Question, number: int, pos: str, source: Source, table: dict[tuple[str, str], list[str]]
) -> Iterator[str]:
    """What may stand for a token as this part of speech, in the token's form."""
    form = question.low(number)
    for lemma, name in lemmas(form, pos, source.words):
        others = table.get((pos, lemma), ())
        if not others or name not in _ONLY_FORMS.get((lemma, pos), {name}):
            continue
        sure = table is source.words.antonyms or (pos, lemma) in source.words.plain
        if _blocked(question, number, lemma) or not _stands_as(question, number, pos, name, sure=sure):
            continue
        for other in others:
            yield inflected(other, pos, _as_used(question, number, name), source.words)


def _as_used(question: Question, number: int, name: str) -> Form:
    """A past form after be or have is a participle; after a name or who it is the past."""
    if name not in {"past", "participle"}:
        return name  # pyright: ignore[reportReturnType]
    before = {question.low(number - back) for back in range(1, 6)}
    return "participle" if before & (BE | HAVE | {"be", "been", "being"}) else name  # pyright: ignore[reportReturnType]


def _blocked(question: Question, number: int, lemma: str) -> bool:
    form, after, before = question.low(number), question.low(number + 1), question.low(number - 1)
    if lemma in _TO and after != _TO[lemma]:
        return True
    if _PART.match(form) and after != "of":
        return True
    keys = {form, lemma}
    return any(after in _NOT_BEFORE.get(key, ()) or before in _NOT_AFTER.get(key, ()) for key in keys)


def _stands_as(question: Question, number: int, pos: str, name: str, *, sure: bool) -> bool:
    """Whether the neighbours let the token be this part of speech; a word of one part of speech needs no proof."""
    before, after = question.low(number - 1), question.low(number + 1)
    if pos == "n":
        return before not in PRONOUNS | {"to"} | MODALS and (sure or before in _BEFORE_NOUN)
    if pos == "v":
        return _as_verb(question, number, name)
    if pos == "a":
        if before in HAVE | MODALS | PRONOUNS | {"to"} or any(end == number for _, end in question.names):
            return False
        return sure or before in DETERMINERS | POSSESSIVES | BE | {"most", "more", "very"}
    return after != "" or sure


def _as_verb(question: Question, number: int, name: str) -> bool:
    before = question.low(number - 1)
    if name in {"past", "participle", "ing"}:
        return not (name == "ing" and before in DETERMINERS | POSSESSIVES)
    if name == "s":
        return before in {"who", "that", "which", "it", "he", "she"}
    asked = any(question.low(back) in DO | MODALS for back in range(number))
    named = any(end == number for _, end in question.names)
    return before in {"to", "not"} | MODALS | (PRONOUNS - {"one"}) or (
        asked and named and before not in AUXILIARIES | WH
    )


def _in_name(question: Question, number: int) -> bool:
    token = question.tokens[number]
    return any(start <= number < end for start, end in question.names) or (
        question.text[token.start - 1 : token.start] in {"'", "’", '"', "“", "-"}
        or question.text[token.end : token.end + 1] in {"-", "_"}
    )
