"""What kind of answer a question asks for, and whether a sentence holds one.

Rules, by the first question word (``which day`` and ``what time`` count as when, ``how many`` and ``how much`` as number):
when -> a date, weekday, clock time or span of time; who -> a name or a speaker; where -> a place after a preposition or an
address; number -> a figure or a number word; why -> a word of cause; quoted title asked (``which song``) -> quotation marks
or a name; anything else fits every sentence.
"""

import re
from typing import Literal

from infra.engine.tasks.words import CAUSE_WORDS, DAY_TIMES, MONTHS, NUMBER_WORDS, TIME_UNITS, WEEKDAYS

AnswerType = Literal["when", "who", "where", "number", "why", "how", "yes_no", "thing"]

_FIRST = re.compile(r"\b(what|which|who|whom|whose|when|where|why|how)\b(?:\s+([\w'-]+))?(?:\s+([\w'-]+))?", re.IGNORECASE)
_CLOCK = re.compile(r"\b\d{1,2}(?::\d{2})?\s?(?:am|pm|a\.m|p\.m|o'clock)\b|\b\d{1,2}:\d{2}\b", re.IGNORECASE)
_DATE = re.compile(r"\b\d{4}-?\d{2}-?\d{2}\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b|\b(?:1[5-9]|20)\d{2}\b|\b\d{1,2}(?:st|nd|rd|th)\b")
_WORDS = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_NAME = re.compile(r"(?<![.!?:\"“]\s)(?<!^)\b[A-Z][\w'’-]+")
_PLACE = re.compile(r"\b(?:in|at|on|to|from|near|behind|under|inside|outside|by|into)\s+(?:the\s+|a\s+|an\s+|our\s+|my\s+)?[\w'’-]{3,}|\b\d+\s+[A-Z]\w+")
_WHEN_HEADS = frozenset({"time", "day", "date", "year", "month", "week", "weekday", "hour", "season", "century"})
_WHO_HEADS = frozenset({"person", "people", "man", "woman", "author", "member", "name"})
_WHERE_HEADS = frozenset({"place", "address", "city", "country", "location", "town", "room", "venue", "street"})


def answer_type(question: str) -> AnswerType:
    """Return the kind of answer ``question`` asks for."""
    match = _FIRST.search(question)
    if not match:
        return "yes_no"
    word, head = match[1].lower(), (match[2] or "").lower()
    if word == "how":
        return {"many": "number", "much": "number", "long": "when", "old": "number", "often": "when", "far": "number"}.get(head, "how")  # type: ignore[return-value]
    direct: dict[str, AnswerType] = {"when": "when", "where": "where", "why": "why", "who": "who", "whom": "who", "whose": "who"}
    if word in direct:
        return direct[word]
    if head in _WHEN_HEADS:
        return "when"
    return "who" if head in _WHO_HEADS else "where" if head in _WHERE_HEADS else "thing"


def holds_answer(kind: AnswerType, sentence: str, speaker: str = "") -> bool:
    """Tell whether ``sentence`` holds something of the kind asked for."""
    words = {word.lower() for word in _WORDS.findall(sentence)}
    if kind == "when":
        dated = WEEKDAYS | MONTHS | DAY_TIMES | TIME_UNITS | {f"{unit}s" for unit in TIME_UNITS}
        return bool(words & (dated - {"may", "second"}) or _CLOCK.search(sentence) or _DATE.search(sentence))
    if kind == "number":
        return bool(re.search(r"\d", sentence) or words & NUMBER_WORDS)
    if kind == "who":
        return bool(speaker or _NAME.search(sentence))
    if kind == "where":
        return bool(_PLACE.search(sentence))
    if kind == "why":
        return bool(words & CAUSE_WORDS)
    return True
