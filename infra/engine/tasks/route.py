"""The ``route`` task: how a question is to be worked on, and its standalone form.

Rules, in plain words:

* A greeting, thanks, a good-bye, or a question about the engine itself is direct, with a fixed reply. * A question
that the ``plan`` task splits is compound; every other one is a look-up. * With a ``<history>``, pronouns are filled
from the user's earlier questions, the latest first, then from the answers. * ``and ...?``, ``what about ...?``, ``how
about ...?`` with a few words repeat the user's last question with the words of the same kind replaced: a year by a
year, a date by a date, a number by a number, a name by a name, else the last noun phrase; where there is none of the
kind they are put behind it.
"""

import re
from typing import Any

from infra.engine.tasks.plan import is_compound
from infra.engine.tasks.reference import names, noun_phrases, resolve
from infra.engine.tasks.task_input import TaskInput

_GREETING = re.compile(
    r"(?:hi|hello|hey|greetings|good (?:morning|afternoon|evening|day))(?: there| docmind| all)?", re.IGNORECASE
)
_THANKS = re.compile(
    r"(?:many |big )?(?:thanks|thank you|thx|cheers)(?: a lot| so much| very much| again)?", re.IGNORECASE
)
_FAREWELL = re.compile(r"(?:good ?bye|bye|see you(?: later)?|good night)", re.IGNORECASE)
_SELF = re.compile(r"(?:who|what) are you|what can you do|how can you help(?: me)?|what is docmind|help", re.IGNORECASE)
_ABOUT = (
    "I am DocMind's embedded engine: fixed rules, no language model. Ask a question about your documents and I answer "
    "with the sentences that fit it best, each quoted word for word with its source."
)
_REPLIES = (
    (_GREETING, f"Hello. {_ABOUT}"),
    (_THANKS, "You are welcome."),
    (_FAREWELL, "Good-bye."),
    (_SELF, _ABOUT),
)

_ELLIPSIS = re.compile(
    r"(?:and |but )?(?:what about|how about|and(?: what)?(?: about)?(?= )|same for|what of)\s+"
    r"(?P<rest>(?:(?:in|for|on|at|with|by|to|from)\s+)?[^?]{1,60})\?*",
    re.IGNORECASE,
)
_LEADING = re.compile(r"(?:in|for|on|at|with|by|to|from)\s+", re.IGNORECASE)
_YEAR = re.compile(r"\b(?:1[5-9]|20)\d{2}\b(?![-/.]\d)")
_DATE = re.compile(r"\b\d{4}-?\d{2}-?\d{2}\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b")
_MONTH = re.compile(
    r"\b(?:January|February|March|April|May|June|July|August|September|October|November|December)\b(?: \d{1,2}\b)?"
)
_NUMBER = re.compile(r"\b\d[\d.,]*\w*\b")
_LONGEST_ELLIPSIS_WORDS = 7
_OPENER = re.compile(
    r"(?:who|what|which|when|where|why|how|did|does|do|is|are|was|were|has|have|can|will)\b", re.IGNORECASE
)


def route(task: TaskInput) -> dict[str, Any]:
    """Return the standalone question, its kind and, for small talk, a reply."""
    asked = task.question
    reply = _small_talk(asked)
    if reply:
        return {"question": asked, "kind": "direct", "reply": reply}
    question = standalone(asked, *_history(task))
    return {"question": question, "kind": "compound" if is_compound(question) else "lookup", "reply": ""}


def standalone(question: str, asked: list[str], answered: list[str]) -> str:
    """Return ``question`` as it stands without its conversation.

    Args:
        question: as the user wrote it.
        asked: the user's earlier questions, latest first.
        answered: the answers to them, latest first.
    """
    if not asked:
        return question
    match = _ELLIPSIS.fullmatch(question.strip())
    words = match["rest"].split() if match else []
    if match and len(words) <= _LONGEST_ELLIPSIS_WORDS and not _OPENER.match(match["rest"]):
        return _refilled(asked[0], match["rest"].strip())
    return resolve(question, [*asked, *answered])


def _small_talk(question: str) -> str:
    said = question.strip(" \t\n!.?,")
    return next((reply for pattern, reply in _REPLIES if pattern.fullmatch(said)), "")


def _refilled(before: str, rest: str) -> str:
    """Return the earlier question with ``rest`` in the place of what is of its kind."""
    filler = _LEADING.sub("", rest, count=1)
    for pattern in (_DATE, _YEAR, _MONTH, _NUMBER):
        if pattern.search(filler) and (slots := list(pattern.finditer(before))):
            return before[: slots[-1].start()] + filler + before[slots[-1].end() :]
    kinds = (names, noun_phrases) if names(filler) else (noun_phrases, names)
    if not any(pattern.search(filler) for pattern in (_DATE, _YEAR, _MONTH)):
        for kind in kinds:
            if slots := kind(before):
                at = before.rfind(slots[-1])
                return before[:at] + filler + before[at + len(slots[-1]) :]
    return f"{before.rstrip('? ')} {rest}?"


def _history(task: TaskInput) -> tuple[list[str], list[str]]:
    """Return the user's lines and the assistant's lines of the history, each latest first."""
    lines = [line for block in task.blocks("history")[:1] for line in block.body.splitlines()]
    asked = [line.removeprefix("user: ") for line in lines if line.startswith("user: ")]
    answered = [line.removeprefix("assistant: ") for line in lines if line.startswith("assistant: ")]
    return asked[::-1], answered[::-1]
