"""The embedded engine's tasks: what it does, keyed by the names it publishes.

Each task is a pure function from the messages of one call to the properties it fills (``route``, ``plan``, ``draft``,
``judge``, ``note``); the caller of this package makes the answer valid against the schema. There is no language model
and no knowledge of any document or question here: each module states its rules in its docstring.
"""

from collections.abc import Callable, Mapping
from typing import Any

from infra.engine.tasks.draft import draft
from infra.engine.tasks.judge import judge
from infra.engine.tasks.note import note
from infra.engine.tasks.plan import plan
from infra.engine.tasks.route import route
from infra.engine.tasks.task_input import TaskInput

TASKS: Mapping[str, Callable[[TaskInput], dict[str, Any]]] = {
    "route": route,
    "plan": plan,
    "draft": draft,
    "judge": judge,
    "note": note,
}

__all__ = ["TASKS", "TaskInput"]
