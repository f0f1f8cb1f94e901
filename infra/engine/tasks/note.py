"""The ``note`` task: an extractive summary. First rules; deepened next."""

from typing import Any

from infra.engine.tasks.task_input import TaskInput


def note(task: TaskInput) -> dict[str, Any]:
    """Return the beginning of the text."""
    texts = [block.body for block in task.blocks("text")]
    return {"note": " ".join(texts)[: 3 * min(250, task.max_tokens)]}
