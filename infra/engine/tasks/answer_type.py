"""What kind of answer a question asks for, and whether a text holds one.

By the first question word and the noun after it (``which day``, ``what time`` count as when; ``how many``, ``what
price`` as number):

* when: a date, weekday, clock time or span of time;
* who: a speaker, or a name inside the sentence;
* where: a place after a preposition, or an address;
* number: a figure or a number word;
* why: a word of cause or purpose;
* title (``which book``, ``what song``): something in quotation marks, or a name inside the sentence;
* yes_no, how, thing: any text may answer these. ``When was it that ...`` looks for the event, so it is yes_no.
"""

import re
from typing import Literal

from infra.engine.tasks.words import CAUSE_WORDS, DAY_TIMES, MONTHS, NUMBER_WORDS, TIME_UNITS, WEEKDAYS

AnswerType = Literal["when", "who", "where", "number", "why", "title", "how", "yes_no", "thing"]

_QUESTION = re.compile(
    r"\b(what|which|who|whom|whose|when|where|why|how)(?:['’]s)?\b(?:\s+(?:is|are|was|were)\s+the)?(?:\s+([\w'-]+))?",
    re.IGNORECASE,
)
_CLEFT = re.compile(r"when (?:was|is) it that\b", re.IGNORECASE)
_CLOCK = re.compile(r"\b\d{1,2}(?::\d{2})?\s?(?:am|pm|a\.m|p\.m|o['’]clock)\b|\b\d{1,2}:\d{2}\b", re.IGNORECASE)
_DATE = re.compile(
    r"\b\d{4}-?\d{2}-?\d{2}\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b|\b(?:1[5-9]|20)\d{2}\b|\b\d{1,2}(?:st|nd|rd|th)\b"
)
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_NAME = re.compile(r"(?<=[\w,;'’)] )[A-Z][\w'’-]+")
_QUOTED = re.compile(r"[\"“][^\"”]+[\"”]|(?<!\w)'[^']{2,60}'(?!\w)|`[^`]+`|\*[^*]+\*")
_PLACE = re.compile(
    r"\b(?:in|at|on|to|from|near|behind|under|inside|outside|by|into)\s+(?:the\s+|a\s+|an\s+|our\s+|my\s+)?[\w'’-]{3,}|\b\d+\s+[A-Z]\w+"
)

_HOW: dict[str, AnswerType] = {
    **dict.fromkeys(
        ("many", "much", "old", "far", "big", "large", "tall", "high", "deep", "wide", "fast", "heavy"), "number"
    ),
    **dict.fromkeys(("long", "often", "soon"), "when"),
}
_WORDS: dict[str, AnswerType] = {
    "when": "when",
    "where": "where",
    "why": "why",
    "who": "who",
    "whom": "who",
    "whose": "who",
}
_NOUNS: dict[str, AnswerType] = {
    **dict.fromkeys(
        ("time", "day", "date", "year", "month", "week", "weekday", "hour", "deadline", "season", "century"), "when"
    ),
    **dict.fromkeys(("person", "people", "man", "woman", "author", "member"), "who"),
    **dict.fromkeys(("place", "address", "city", "country", "location", "town", "room", "venue", "street"), "where"),
    **dict.fromkeys(
        ("number", "amount", "price", "cost", "size", "dimensions", "percentage", "share", "discount", "rate"), "number"
    ),
    **dict.fromkeys(
        ("score", "distance", "speed", "height", "width", "length", "weight", "age", "limit", "default"), "number"
    ),
    **dict.fromkeys(
        ("song", "songs", "game", "games", "movie", "movies", "film", "films", "book", "books", "show", "shows"),
        "title",
    ),
    **dict.fromkeys(
        ("series", "album", "title", "name", "names", "brand", "band", "team", "player", "product", "tool"), "title"
    ),
    **dict.fromkeys(("reason", "reasons", "purpose", "cause"), "why"),
}
_DATED = WEEKDAYS | DAY_TIMES | (MONTHS - {"may"}) | (TIME_UNITS - {"second"})


def answer_type(question: str) -> AnswerType:
    """Return the kind of answer ``question`` asks for."""
    match = _QUESTION.search(question)
    if not match or _CLEFT.match(question):
        return "yes_no"
    word, noun = match[1].lower(), (match[2] or "").lower()
    if word == "how":
        return _HOW.get(noun, "how")
    return _WORDS.get(word) or _NOUNS.get(noun, "thing")


def holds_answer(kind: AnswerType, text: str, speaker: str = "") -> bool:
    """Tell whether ``text`` holds something of the kind asked for; never for kinds that any text may answer."""
    if kind == "when":
        return bool(_CLOCK.search(text) or _DATE.search(text) or _DATED & _bases(text))
    if kind == "number":
        return any(c.isdigit() for c in text) or bool(NUMBER_WORDS & _bases(text))
    if kind == "why":
        return bool(CAUSE_WORDS & _bases(text))
    if kind == "who":
        return bool(speaker or _NAME.search(text))
    if kind == "title":
        return bool(_QUOTED.search(text) or _NAME.search(text))
    return kind == "where" and bool(_PLACE.search(text))


def _bases(text: str) -> set[str]:
    """The words of ``text`` in lower case, plurals also without their s."""
    words = {word.lower() for word in _WORD.findall(text)}
    return words | {word[:-1] for word in words if word.endswith("s")}
