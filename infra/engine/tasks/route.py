"""The ``route`` task: how a question is to be answered. First rules; deepened next."""

from typing import Any

from infra.engine.tasks.task_input import TaskInput


def route(task: TaskInput) -> dict[str, Any]:
    """Return the standalone question, its kind and, for small talk, a reply."""
    return {"question": task.question, "kind": "lookup", "reply": ""}
