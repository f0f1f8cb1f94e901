"""The ``plan`` task: one to three sub-questions, split by grammar.

Rules, in plain words; the first that fits is used:

* Two or three question sentences are as many parts; pronouns of later ones are filled from the earlier. * A yes/no
question with ``before``, ``after`` or ``while`` and a clause after it asks for two events: what stands before the
word, and the clause (``before he left`` and ``before leaving`` are clauses, ``before the storm`` is none). *
``between A and B`` and ``from A to B``, where both hold a verb in -ing, ask for two events. * ``compare A and B``,
``difference between A and B``, ``both A and B``: the question for A, and for B. * ``..., and when/what/how/did ...``:
split at the ``and``. * ``the person (one, company, ...) who/that/which DOES SOMETHING`` inside a question about
something else: first who does it, then the whole question, which needs that. * Everything else is one part. A part
without a subject of its own gets the first part's.
"""

import re
from collections.abc import Callable
from typing import Any

from infra.engine.tasks.reference import names, resolve
from infra.engine.tasks.task_input import TaskInput
from infra.engine.tasks.words import AUXILIARIES, QUESTION_WORDS

MAX_PARTS = 3
FEWEST_WORDS = 3
"""Words that make a question of their own, at least."""

_MAX_CHARS = 2_000

_OPENERS = "|".join(sorted((QUESTION_WORDS | AUXILIARIES) - {"may"}, key=len, reverse=True))
_SENTENCE = re.compile(r"[^?]+\?+")
_JOINED = re.compile(
    rf",?\s+and\s+(?=(?:also\s+)?(?:(?:in|on|at|for|by|to|from)\s+)?(?:{_OPENERS})\b(?!\s*\?))", re.IGNORECASE
)
_YES_NO = re.compile(rf"(?:{'|'.join(sorted(AUXILIARIES - {'may'}, key=len, reverse=True))})\b", re.IGNORECASE)
_ORDER = re.compile(r"\s+(?:before|after|while)\s+", re.IGNORECASE)
_PRONOUN = re.compile(r"(?:he|she|they|it|we|I|you)\b", re.IGNORECASE)
_CLAUSE = re.compile(r"(?:[A-Z]\w*(?:\s+[A-Z]\w*)*|the\s+\w+)\s+(?!of\b)[a-z]{2,}")
_GERUND = re.compile(
    r"(?!during\b|morning\b|evening\b|anything\b|something\b|nothing\b|spring\b)[a-z]{2,}ing\b", re.IGNORECASE
)
_SPAN = re.compile(r"\b(?:between\s+(?P<a>.+?)\s+and\s+(?P<b>.+)|from\s+(?P<c>.+?)\s+to\s+(?P<d>.+))", re.IGNORECASE)
_PAIR = re.compile(
    r"(?P<lead>.*?)\b(?:compare|comparison of|comparison between|(?:the )?differences? between|distinguish)\s+"
    r"(?P<a>[^,?]{1,60}?)\s+(?:and|with|to|versus|vs\.?|from)\s+(?P<b>[^,?]{1,60}?)"
    r"(?P<rest>(?:,|\s+(?:in|for|with|on|at|when|regarding|by)\b|\s+(?=[a-z]+(?:e|ed|s)?\b.*\bin\b)).*)?\??$",
    re.IGNORECASE | re.DOTALL,
)
_BOTH = re.compile(r"\bboth\s+(?P<a>[A-Z]\w*(?:\s+[A-Z]\w*)*)\s+and\s+(?P<b>[A-Z]\w*(?:\s+[A-Z]\w*)*)")
_LABEL = re.compile(r"(?:question|q)\s*:\s*", re.IGNORECASE)
_RELATIVE = re.compile(
    r"\bthe\s+(?:person|man|woman|one|people|company|team|friend|author|shop|place|city|book|film|movie|tool|file|member)"
    r"\s+(?P<word>who|that|which)\s+(?P<does>[^,?]{6,})",
    re.IGNORECASE,
)

Split = Callable[[str], list[str]]


def plan(task: TaskInput) -> dict[str, Any]:
    """Return the steps of a plan for the question."""
    question = task.question
    if needed := _relative(question):
        return {"steps": [_step(1, needed, []), _step(2, question, ["q1"])]}
    return {"steps": [_step(n, part, []) for n, part in enumerate(parts(question), start=1)]}


def is_compound(question: str) -> bool:
    """Tell whether a plan for ``question`` has more than one step."""
    return len(parts(question)) > 1 or bool(_relative(question))


def parts(question: str) -> list[str]:
    """Return the independent parts of ``question``: itself alone, or two to three that stand alone."""
    text = _LABEL.sub("", " ".join(question[:_MAX_CHARS].split()), count=1)
    for split in (_sentences, _two_events, _span, _pair, _joined):
        if len(found := [part for part in split(text) if part]) > 1:
            return _standalone(found[:MAX_PARTS])
    return [question]


def _step(number: int, question: str, needs: list[str]) -> dict[str, Any]:
    return {"id": f"q{number}", "question": question, "needs": needs}


def _sentences(text: str) -> list[str]:
    found = [sentence.strip() for sentence in _SENTENCE.findall(text)]
    return found if len(found) > 1 else []


def _two_events(text: str) -> list[str]:
    if not _YES_NO.match(text):
        return []
    for match in _ORDER.finditer(text):
        clause = text[match.end() :].rstrip("? ")
        if _PRONOUN.match(clause) or _CLAUSE.match(clause):
            return [f"{text[: match.start()]}?", f"{clause}?"]
        if _GERUND.match(clause):
            subject = (names(text[: match.start()]) or [""])[0]
            return [f"{text[: match.start()]}?", f"{subject} {clause}?".strip()]
    return []


def _span(text: str) -> list[str]:
    match = _SPAN.search(text)
    if match is None:
        return []
    first, second = match["a"] or match["c"], (match["b"] or match["d"]).rstrip("? ")
    both = _GERUND.search(first) and _GERUND.search(second)
    return [f"{first}?", f"{second}?"] if both else []


def _pair(text: str) -> list[str]:
    if both := _BOTH.search(text):
        return [text[: both.start()] + both[side] + text[both.end() :] for side in ("a", "b")]
    match = _PAIR.match(text)
    if match is None:
        return []
    lead, rest = match["lead"].strip(), (match["rest"] or "").strip(" ,?")
    return [" ".join(part for part in (lead, match[side].strip(), rest) if part) + "?" for side in ("a", "b")]


def _joined(text: str) -> list[str]:
    found = [part.strip(" ?,") for part in _JOINED.split(text)]
    return [f"{part}?" for part in found] if all(len(part.split()) >= FEWEST_WORDS for part in found) else []


def _relative(text: str) -> str:
    """Return the question for who does what a relative clause says; '' where the question asks just that."""
    match = _RELATIVE.search(text)
    if match is None or len(text[: match.start()].split()) < FEWEST_WORDS:
        return ""
    word = "Who" if match["word"].lower() == "who" else "What"
    return f"{word} {match['does'].strip()}?"


def _standalone(found: list[str]) -> list[str]:
    """Fill the pronouns of later parts from the earlier ones, nearest first."""
    return [resolve(part, found[:n][::-1]) for n, part in enumerate(found)]
