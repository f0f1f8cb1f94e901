"""The ``note`` task: a summary of chosen sentences.

Rules, in plain words: of the ``<text>`` blocks the sentences are kept that serve the question best (see
``infra.text.extract``), in their order, until the bound is reached; a token is taken as three characters, fewer than
English has. Nothing is reworded.
"""

from typing import Any

from infra.engine.tasks.task_input import TaskInput
from infra.text.extract import extract
from infra.text.terms import terms

NOTE_TOKENS = 250
CHARS_PER_TOKEN = 3


def note(task: TaskInput) -> dict[str, Any]:
    """Return the note."""
    text = "\n".join(block.body for block in task.blocks("text"))
    wanted = set(terms(task.question)) if task.blocks("question") else set[str]()
    return {"note": extract(text, wanted, CHARS_PER_TOKEN * min(NOTE_TOKENS, task.max_tokens))}
