"""The ``draft`` task: the sentences that answer best. First rules; deepened next."""

from typing import Any

from infra.engine.tasks.task_input import TaskInput
from infra.engine.tasks.units import read_sources
from infra.text.terms import terms


def draft(task: TaskInput) -> dict[str, Any]:
    """Return the claims that answer the question, each with the mark of its source."""
    wanted = frozenset(terms(task.question))
    units = [unit for source in read_sources(task.blocks("source")) for unit in source.units]
    best = max(units, key=lambda unit: (len(wanted & unit.terms), -unit.index), default=None)
    if best is None or not wanted & best.terms:
        return {"claims": [], "missing": "The documents given say nothing about this."}
    return {"claims": [{"text": best.text, "marks": [best.source], "quotes": []}], "missing": ""}
