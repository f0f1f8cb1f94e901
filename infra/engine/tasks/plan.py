"""The ``plan`` task: one to three sub-questions.

Rules, in plain words: a question about ``the person (one, company, ...) who/that does something`` needs that first:
who it is, then the whole question, which needs the first. Otherwise the parts of the question (``splitting``) are the
steps, and none needs another, so that all may be searched at once. A question that cannot be taken apart is the only
step.
"""

import re
from typing import Any

from infra.engine.tasks.splitting import FEWEST_WORDS, MAX_CHARS, parts
from infra.engine.tasks.task_input import TaskInput
from infra.engine.tasks.words import BASE_VERBS

_RELATIVE = re.compile(
    r"\bthe\s+(?:same\s+)?(?P<noun>person|man|woman|one|people|company|team|friend|author|shop|place|city|book|film|movie"
    r"|tool|file|member|player|singer|teacher)\s+(?P<word>who|that|which)\s+(?P<does>[^,?]+)",
    re.IGNORECASE,
)
_DOES_FIRST = re.compile(r"\b(?:did|does|do|will|would|can|could|should)\s+$", re.IGNORECASE)


def plan(task: TaskInput) -> dict[str, Any]:
    """Return the steps of a plan for the question."""
    return {"steps": steps_of(task.question)}


def steps_of(question: str) -> list[dict[str, Any]]:
    """Return the steps for ``question``, at least one; what a step needs is named only where it needs something."""
    if needed := _needed(question):
        return [{"id": "q1", "question": needed}, {"id": "q2", "question": question, "needs": ["q1"]}]
    return [{"id": f"q{n}", "question": part} for n, part in enumerate(parts(question), start=1)]


def is_compound(question: str) -> bool:
    """Tell whether a plan for ``question`` has more than one step."""
    return len(steps_of(question)) > 1


def _needed(question: str) -> str:
    """Return the question for who or what a relative clause speaks of; '' where the whole question asks just that."""
    match = _RELATIVE.search(question[:MAX_CHARS])
    if match is None:
        return ""
    does = match["does"].split()
    if _DOES_FIRST.search(question[: match.start()]):
        end = next((n for n, word in enumerate(does) if n and word.lower() in BASE_VERBS), 0)
        does = does[:end]
    elif len(question[: match.start()].split()) < FEWEST_WORDS:
        return ""
    subject = "Who" if match["word"].lower() == "who" else f"Which {match['noun'].lower()}"
    return f"{subject} {' '.join(does)}?" if len(does) > 1 else ""
