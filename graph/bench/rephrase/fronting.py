"""An adjunct of time, place or source put first or last: a rephrasing that only moves words.

Preposing: Huddleston and Pullum, The Cambridge Grammar of the English Language, 2002, chapter 16.
"""

import re
from collections.abc import Iterator
from random import Random

from graph.bench.rephrase.rules import Change, Source
from graph.bench.rephrase.scope import plain
from graph.bench.rephrase.text import AUXILIARIES, BE, PREPOSITIONS, WH, Question, large_start, small_start

_MONTH = "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_TIME = (
    r"(?:the (?:year|early|late|\d+(?:st|nd|rd|th))[\w ]*|(?:early |late |mid-)?\d{3,4}s?(?: (?:BC|AD))?"
    rf"|{_MONTH}(?: \d{{1,4}})?(?:, \d{{4}})?)"
)
_LAST = re.compile(
    rf"^(?P<main>.+?),? (?P<part>(?:in|during|since|until|by|before|after|around) {_TIME}"
    rf"|on (?:the )?(?:\d[\w ]*|{_MONTH} \d+(?:, \d+)?|(?:Sun|Mon|Tues|Wednes|Thurs|Fri|Satur)day)"
    r"|according to [^,]+|during the [^,]+|(?:in|at|by) the (?:beginning|end|start|time) of [^,]+|at the time"
    r"|(?:after|before|while|when|if) (?!which|what|that)\w+ [^,]+|as of [^,]+)$"
)
_FIRST = re.compile(
    r"^(?P<part>(?:In|On|During|According to|When|After|Before|If|While|As of|At|By|For|Within|Since|Among|Along with"
    r"|Besides|Until|From|With|Under) [^,]+)"
    r", (?P<main>(?:what|who|whom|which|when|where|why|how|did|does|do|is|was|were|are)\b.+)$",
)
_NOUNS_WITH_DATES = {"chat", "conversation", "discussion", "message", "meeting", "session", "call", "class", "census"}
_BAD_END = (
    PREPOSITIONS
    | _NOUNS_WITH_DATES
    | {
        "soon",
        "shortly",
        "the",
        "a",
        "and",
        "or",
        "time",
        "day",
        "year",
        "long",
        "just",
        "even",
        "only",
        "right",
        "than",
    }
)
_CLAUSE = ("after ", "before ", "while ", "when ", "if ")


def fronting(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """An adjunct of time or source moved from the end to the front, or back."""
    body = question.body
    found = _LAST.match(body)
    first = question.low(0)
    if found and first in WH | AUXILIARIES and not two_questions(body):
        main, part = found["main"], found["part"]
        if _movable(main, part):
            head = small_start(question)[: len(main)]
            yield Change(f"{large_start(part)}, {head}?", f"{part} → front")
    if question.names and first in WH | AUXILIARIES and not two_questions(body):
        yield from _place_to_front(question)
    yield from _composed_front(question, source, rng)
    found = _FIRST.match(body)
    if found and not re.search(r", | and (?:what|who|how|why|when|where|which)\b", found["main"]):
        kept = (
            found["part"] if _begins_with_name(found["part"], source) else found["part"][0].lower() + found["part"][1:]
        )
        yield Change(f"{large_start(found['main'])} {kept}?", f"{found['part']} → end")


_TAKES_IN = re.compile(
    r"(?:involved|interest\w*|engaged|speciali[sz]\w*|believe\w*|participat\w*|result\w*|compet\w*|succeed\w*|consist\w*"
    r"|includ\w*|mention\w*|discuss\w*|shown|depict\w*|featur\w*|role|increase\w*|decrease\w*|change\w*|rise|experience"
    r"|stake|party|appear\w*|character\w*|use\w*|based|locat\w*|lies?|live\w*|stay\w*|born|be|it|invest\w*|place|not|part)$"
)


def _place_to_front(question: Question) -> Iterator[Change]:
    """What ... in NAME: the place, unless the word before asks for its "in"."""
    start, end = question.names[-1]
    at = start - 1 - (question.low(start - 1) == "the")
    whole = question.tokens[end - 1].end == len(question.body)
    if not whole or question.low(at) not in {"in", "at"} or at < 4:  # noqa: PLR2004 - a clause stands before it
        return
    main = question.body[: question.tokens[at].start].rstrip()
    simple = not re.search(
        r"\b(?:between|from|and|that|who|which|after|before|than|as|when|if|to)\b|[,'\"]", main.split(" ", 1)[1]
    )
    if simple and not _TAKES_IN.search(main) and question.low(at - 1) not in _BAD_END | BE:
        part = question.body[question.tokens[at].start :]
        yield Change(f"{large_start(part)}, {small_start(question)[: len(main)]}?", f"{part} → front")


def _composed_front(question: Question, source: Source, rng: Random) -> Iterator[Change]:
    """A time put to the question, behind or in front."""
    past = {"did", "was", "were"} & {question.low(n) for n in range(6)}
    if past and question.low(0) in WH and plain(question) and not re.search(_TIMED, question.text):
        month, day, year = rng.choice(source.words.months), rng.choice(source.words.weekdays), rng.randrange(1900, 2030)
        part = rng.choice(
            (f"in {month}", f"in {year}", f"on {day}", f"before {year}", f"after {year}", f"in {month} {year}")
        )
        front = f"{large_start(part)}, {small_start(question).rstrip(' ?')}?"
        yield Change(front, f"{part} → front", f"{question.body} {part}?")


_TIMED = (
    r"\b(?:[12]\d{3}|when|during|before|after|while|first|last|time|year|until|since|if|that|who|which|than|and)\b|, "
)


def _movable(main: str, part: str) -> bool:
    words = main.lower().split()
    if len(words) < (2 if part.startswith("when ") else 3) or words[-1] in _BAD_END | BE:
        return False
    if re.search(r"\b(?:ask\w*|know|wonder\w*|based|is the .* for)\b", main) or " according to " in part:
        return False
    if part.startswith((*_CLAUSE, "during ")) and re.search(r"\b(?:to [a-z]+|(?:about|for|of) [a-z]+ing)\b", main):
        return False
    if part.startswith("during ") and re.search(r"\b(?:before|after)\b", part):
        return False
    if part.startswith(_CLAUSE):
        # a clause that belongs to another clause, or one that names a noun ("the time when"), stays
        return not re.search(r"\b(?:that|who|which|after|before|when|while|if|because)\b", " ".join(words[1:]))
    return not re.search(r"\b(?:between|from|and|that|who|which|after|before|than|as)\b", " ".join(words[1:]))


def two_questions(body: str) -> bool:
    """Whether more than one thing is asked."""
    return bool(re.search(r"(?:,| and) (?:what|who|how|why|when|where|which)\b", body, re.IGNORECASE))


def _begins_with_name(part: str, source: Source) -> bool:
    return part.split()[0] in source.words.names
