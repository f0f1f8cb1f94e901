"""Other forms of the same question: as a request, as a clause, cleft, with another question phrase.

Constructions: Huddleston and Pullum, The Cambridge Grammar of the English Language, 2002 (``data/SOURCES.md``).
"""

import re
from collections.abc import Iterator
from random import Random

from graph.bench.rephrase.fronting import two_questions
from graph.bench.rephrase.inflect import inflected, lemmas
from graph.bench.rephrase.rules import Change, Rule, Source
from graph.bench.rephrase.text import (
    AUXILIARIES,
    BE,
    DO,
    MODALS,
    PREPOSITIONS,
    PRONOUNS,
    WH,
    Question,
    small_start,
)


def question_form(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """The same question in another form: as a request, as a clause, cleft, with another question phrase."""
    if two_questions(question.body) or question.low(0) not in WH | AUXILIARIES:
        return
    for form in rng.sample(_FORMS, len(_FORMS)):
        yield from form(question, source, rng)


_ASK = ("Tell me {c}.", "I want to know {c}.", "Can you tell me {c}?", "Do you know {c}?", "I would like to know {c}.")


def _asked(clause: str, rng: Random) -> str:
    return rng.choice(_ASK).format(c=clause)


def _who_did(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """Who is the subject: no inversion to undo."""
    verb = question.low(1)
    if question.low(0) != "who" or verb in AUXILIARIES or not verb.isalpha():
        return
    yield Change(_asked(small_start(question).rstrip(" ?."), rng), "as a clause")
    rest = question.body.partition(" ")[2]
    forms = {name for lemma, name in lemmas(verb, "v", source.words) if lemma}
    be = "was" if forms & {"past", "participle"} else "is"
    yield Change(f"Who {be} it that {rest}?", "cleft")


def _passive(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """Which player was criticized: the question phrase is the subject."""
    place = _auxiliary(question, BE)
    if place < 2 or question.low(0) not in {"which", "what", "how"}:  # noqa: PLR2004 - a phrase, not the bare word
        return
    after = question.low(place + 1)
    if after.endswith("ed") or after in source.words.irregular:
        yield Change(_asked(small_start(question).rstrip(" ?."), rng), "as a clause")


def _copula(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """What is the N of ...: a noun phrase, asked for or named."""
    del source
    found = re.match(r"^(What|Who) (is|are|was|were) (the .+)$", question.body)
    if not found or not re.match(r"the (?:[\w-]+ ){1,4}(?:of|for|between|in|behind) ", found[3]):
        return
    last = question.tokens[-2].low if question.text.endswith("?") else question.tokens[-1].low
    words = found[3].lower().split()
    verbal = re.search(
        r"\b\w+(?:ed|ing)\b|\b(?:that|who|which|called|known|made|given|named|like|when|to|if|by|or)\b", found[3]
    )
    if verbal or last in PREPOSITIONS or len(words) > 14:  # noqa: PLR2004 - the verb at the end is hard to follow
        return
    yield Change(_asked(f"{found[1].lower()} {found[3]} {found[2]}", rng), "as a clause")
    if found[1] == "What":
        yield Change(
            rng.choice(("Tell me {n}.", "State {n}.", "Name {n}.", "Give me {n}.")).format(n=found[3]), "request"
        )


def _modal(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """How can you ...: the subject is a pronoun or a name."""
    del source
    place = _auxiliary(question, MODALS | {"has", "have"})
    end = _subject_end(question, place + 1)
    if place < 1 or not end or question.low(0) not in WH:
        return
    phrase, subject, rest = _cut(question, place, end)
    clause = f"{phrase} {subject} {question.tokens[place].text} {rest}"
    yield Change(_asked(clause, rng), "as a clause")


def _supported(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """What does NAME recommend, what NAME recommends."""
    place = _auxiliary(question, DO)
    end = _subject_end(question, place + 1)
    if place < 0 or not end:
        return
    verb = question.low(end)
    if (
        not verb.isalpha()
        or re.search(r"[^s]s$|ed$", verb)
        or verb in AUXILIARIES | PREPOSITIONS | WH | {"not", "also", "ever", "and", "or"}
        or verb.endswith("ly")
    ):
        return
    phrase, subject, rest = _cut(question, place, end)
    auxiliary = question.low(place)
    form = {"does": "s", "did": "past", "do": "base"}[auxiliary]
    irregular = {("do", "s"): "does", ("have", "s"): "has", ("be", "past"): "was"}.get((verb, form))
    spoken = irregular or inflected(verb, "v", form, source.words)  # pyright: ignore[reportArgumentType]
    clause = f"{subject} {spoken}{rest[len(verb) :]}"
    if place:
        yield Change(_asked(f"{phrase} {clause}", rng), "as a clause")
    else:
        yield Change(f"Is it true that {clause}?", "is it true that")
        yield Change(_asked(f"whether {clause}", rng), "as a clause")


def _phrase(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """Another question phrase of the same meaning."""
    del source
    rest = question.text.partition(" ")[2]
    after = question.low(1)
    yield from (
        Change(f"{new} {question.text[len(old) :].lstrip()}", f"{old} → {new}")
        for old, new in _PHRASES
        if question.text.startswith(old + " ")
        and (not old.endswith(("year", "time")) or question.low(old.count(" ") + 1) in AUXILIARIES)
        and not (old in {"How did", "How does", "Where did"} and _MANNER.search(question.text))
    )
    if question.low(0) in {"what", "which"} and question.low(2) in AUXILIARIES | {"of"} and after.isalpha():
        other = "Which" if question.low(0) == "what" else "What"
        kinds = {
            "kind",
            "kinds",
            "sort",
            "sorts",
            "type",
            "types",
            "percentage",
            "time",
            "exactly",
            "else",
            "one",
        }
        if after not in AUXILIARIES | kinds and question.low(2) != "of":
            yield Change(f"{other} {rest}", "what → which" if other == "Which" else "which → what")
    del rng


_MANNER = re.compile(r"\b(?:feel|perform|look|sound|rank|do|like|mean|fare|from|compare|differ|view)\b")
"""Verbs that ask how well or of what opinion, not in what way; and places "from" which."""

_PHRASES = (
    ("Why", "For what reason"),
    ("What year", "In which year"),
    ("In what year", "What year"),
    ("In what year", "In which year"),
    ("In which year", "In what year"),
    ("What time", "At what time"),
    ("How can", "In what way can"),
    ("How did", "In what way did"),
    ("How does", "In what way does"),
    ("Where did", "In what place did"),
)


def _genitive(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """The capital of France, France's capital."""
    del source, rng
    found = re.search(r"\bthe ((?:[a-z]+ )?[a-z]+) of ((?:[A-Z][\w]+ ?)+)$", question.body)
    if not found or found[1].split()[-1] in {
        "month",
        "year",
        "rest",
        "part",
        "kind",
        "type",
        "name",
        "names",
        "one",
        "use",
        "number",
        "percentage",
    }:
        return
    start = question.body[: found.start()]
    mark = "'" if found[2].endswith("s") else "'s"
    if found[1].split()[0] not in {"first", "last", "lack", "loss", "battle", "university", "state", "city"}:
        yield Change(f"{start}{found[2].strip()}{mark} {found[1]}?", "genitive")


_FORMS: tuple[Rule, ...] = (_who_did, _passive, _copula, _modal, _supported, _phrase, _genitive)


def _auxiliary(question: Question, kinds: frozenset[str] | set[str]) -> int:
    """The number of the first auxiliary, where it is one of these, near the front; else -1."""
    place = next((n for n in range(min(6, len(question.tokens))) if question.low(n) in AUXILIARIES), -1)
    return place if question.low(place) in kinds else -1


def _subject_end(question: Question, start: int) -> int:
    """Where a subject that is a pronoun or a name ends; 0 for any other subject."""
    if question.low(start) in PRONOUNS - {"one", "people"}:
        return start + 1
    end = next((end for begin, end in question.names if begin == start), 0)
    return end if question.low(end) not in {"and", "or", "'", "’", ",", "of", "&", "(", "in", "for", "at"} else 0


def _cut(question: Question, place: int, end: int) -> tuple[str, str, str]:
    """The question phrase, the subject, and what follows it."""
    phrase = small_start(question)[: question.tokens[place].start].strip()
    subject = question.text[question.tokens[place + 1].start : question.tokens[end - 1].end]
    return phrase, subject, question.body[question.tokens[end].start :]
