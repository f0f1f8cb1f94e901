"""The ``plan`` task: one to three sub-questions. First rules; deepened next."""

from typing import Any

from infra.engine.tasks.task_input import TaskInput


def plan(task: TaskInput) -> dict[str, Any]:
    """Return the steps of a plan for the question."""
    return {"steps": [{"id": "q1", "question": task.question, "needs": []}]}
