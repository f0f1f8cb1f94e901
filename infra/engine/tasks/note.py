"""The ``note`` task: a summary of chosen sentences.

Rules, in plain words: of the ``<text>`` blocks those sentences are kept that serve the question best (see
``infra.text.extract``: its terms first, then numbers, paths and identifiers), in their order, up to the bound.
The bound is 250 tokens of this engine, or what the call allows if that is less. Nothing is reworded.
"""

from typing import Any

from infra.engine.tasks.task_input import TaskInput
from infra.engine.tokenizer import encode
from infra.text.extract import extract
from infra.text.terms import terms

NOTE_TOKENS = 250
CHARS_PER_TOKEN = 4
"""What English has, about; where a text has fewer, the room is made smaller until the bound holds."""
SMALLER = 0.85
AROUND_TOKENS = 8
"""Tokens of the JSON object around the note."""


def note(task: TaskInput) -> dict[str, Any]:
    """Return the note; '' where not even one sentence fits."""
    text = "\n".join(block.body for block in task.blocks("text"))
    wanted = set(terms(task.question)) if task.blocks("question") else set[str]()
    bound = min(NOTE_TOKENS, task.max_tokens - AROUND_TOKENS)
    room = CHARS_PER_TOKEN * bound
    chosen = extract(text, wanted, room)
    while chosen and len(encode(chosen)) > bound:
        room = int(room * SMALLER)
        chosen = extract(text, wanted, room)
    return {"note": chosen}
