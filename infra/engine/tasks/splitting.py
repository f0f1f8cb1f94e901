"""A question taken apart by grammar.

Rules, in plain words; the first that fits is used:

* Two or three question sentences are as many parts; what goes before the first stays with it.
* A yes/no question with ``before``, ``after`` or ``while`` and a clause behind it asks for two events: what stands
  before the word, and the clause (``before he left`` and ``before leaving`` are clauses, ``before the storm`` is none).
* ``between A and B`` and ``from A to B``, where both are somebody doing something, ask for two events.
* A comparison (``comparisons``) asks about each side.
* ``..., and when/what/how/did ...`` is split at the ``and``.
* Everything else is one part.

A part's pronouns, and what it leaves out, are filled from the parts before it (``ellipsis``). A clause becomes a
question with ``was``, or with ``when was it that``: whoever asks for the order of events wants their dates.
"""

import re
from collections.abc import Callable

from infra.engine.tasks.comparisons import sides
from infra.engine.tasks.ellipsis import Turn, standalone
from infra.engine.tasks.reference import names
from infra.engine.tasks.words import AUXILIARIES, IRREGULAR_PASTS, PREPOSITIONS, QUESTION_WORDS

MAX_PARTS = 3
FEWEST_WORDS = 3
"""Words that make a question of their own, at least."""
MAX_CHARS = 2_000
"""Longer questions are not taken apart: they are texts, and the rules are not linear in their length."""

_OPENERS = "|".join(sorted((QUESTION_WORDS | AUXILIARIES) - {"may"}, key=len, reverse=True))
_SENTENCE = re.compile(r"[^?]+\?+")
_JOINED = re.compile(
    rf",?\s+and\s+(?=(?:also\s+)?(?:(?:in|on|at|for|by|to|from)\s+)?(?:{_OPENERS})\b(?!\s*\?))", re.IGNORECASE
)
_YES_NO = re.compile(rf"(?:{'|'.join(sorted(AUXILIARIES - {'may'}, key=len, reverse=True))})\b", re.IGNORECASE)
_ORDER = re.compile(r"\s+(?:before|after|while)\s+", re.IGNORECASE)
_NAMED = r"[A-Z][\w'’-]*(?:\s+[A-Z][\w'’-]*)*"
_NOUN = rf"(?:the|a|an|my|our|his|her|their)(?:\s+(?!(?:{'|'.join(sorted(PREPOSITIONS))})\b)[\w'’-]+){{1,3}}?"
_GERUND = r"(?!(?:during|morning|evening|anything|something|nothing|everything|spring)\b)[a-z]{2,}ing\b"
_PAST = rf"(?:[a-z]{{2,}}ed|{'|'.join(sorted(IRREGULAR_PASTS))})\b"
_CLAUSE = re.compile(
    rf"(?:(?:he|she|they|it|we|i|you)\s+[a-z]|(?-i:{_NAMED})\s+(?:[a-z]+ly\s+)?(?:{_PAST}|[a-z]{{2,}}s\b)"
    rf"|{_NOUN}\s+(?:[a-z]+ly\s+)?{_PAST})",
    re.IGNORECASE,
)
_DOING = re.compile(
    rf"(?P<who>(?-i:{_NAMED})|{_NOUN})\s+(?P<does>(?:first\s+|actually\s+|finally\s+)?(?:{_GERUND}|be(?:en|ing)\b).*)",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"\b(?:(?P<pair>between)|from)\s+(?P<what>.+)", re.IGNORECASE)
_MEASURE = re.compile(r"\s+(?:is\s+|was\s+)?(?:more|less|longer|shorter|greater) than\s+.*$", re.IGNORECASE)
_LABEL = re.compile(r"(?:question|q)\s*:\s*", re.IGNORECASE)


def parts(question: str) -> list[str]:
    """Return the independent parts of ``question``: itself alone, or two to three that stand alone."""
    text = _LABEL.sub("", " ".join(question.split()), count=1)
    if len(text) > MAX_CHARS:
        return [question]
    splits: tuple[Callable[[str], list[str]], ...] = (_sentences, _two_events, _span, sides, _joined)
    for split in splits:
        if len(found := split(text)) > 1:
            return _standalone(found[:MAX_PARTS])
    return [question]


def _sentences(text: str) -> list[str]:
    return [sentence.strip() for sentence in _SENTENCE.findall(text)]


def _two_events(text: str) -> list[str]:
    if not _YES_NO.match(text):
        return []
    for match in _ORDER.finditer(text):
        first, clause = text[: match.start()], text[match.end() :].rstrip("? ")
        if re.match(_GERUND, clause):
            subject = next(iter(names(first)), "")
            return [f"{first}?", f"Was {subject} {clause}?"] if subject else []
        if _CLAUSE.match(clause):
            return [f"{first}?", f"When was it that {clause}?"]
    return []


def _span(text: str) -> list[str]:
    match = _BETWEEN.search(text)
    if match is None:
        return []
    for joint in re.finditer(r"\s+and\s+" if match["pair"] else r"\s+to\s+", match["what"]):
        first = _DOING.fullmatch(match["what"][: joint.start()])
        second = _DOING.fullmatch(_MEASURE.sub("", match["what"][joint.end() :].rstrip("? ")))
        if first and second:
            return [f"Was {side['who']} {re.sub('^be(?:en|ing) ', '', side['does'])}?" for side in (first, second)]
    return []


def _joined(text: str) -> list[str]:
    found = [part.strip(" ?,.") for part in _JOINED.split(text)]
    if any(len(part.split()) < FEWEST_WORDS for part in found):
        return []
    return [f"{part[:1].upper()}{part[1:]}?" for part in found]


def _standalone(found: list[str]) -> list[str]:
    """Fill what later parts leave out from the earlier ones, nearest first."""
    turns = [Turn(part) for part in found]
    return [standalone(part, turns[:n][::-1]) for n, part in enumerate(found)]
