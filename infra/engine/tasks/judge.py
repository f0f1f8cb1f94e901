"""The ``judge`` task: does a claim stand in its sources? First rules; deepened next."""

from typing import Any

from infra.engine.tasks.task_input import TaskInput


def judge(task: TaskInput) -> dict[str, Any]:
    """Return one judgement a claim."""
    bodies = {block.attrs.get("id", ""): " ".join(block.body.split()) for block in task.blocks("source")}
    judgements: list[dict[str, Any]] = []
    for claim in task.blocks("claim"):
        marked = [bodies[mark] for mark in claim.attrs.get("marks", "").replace(",", " ").split() if mark in bodies]
        stands = any(" ".join(claim.body.split()) in body for body in marked)
        reason = "stands in the source" if stands else "not in the marked sources"
        judgements.append({"claim": claim.attrs.get("id", ""), "supported": stands, "reason": reason})
    return {"judgements": judgements}
