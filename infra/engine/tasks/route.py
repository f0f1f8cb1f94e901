"""The ``route`` task: how a question is to be worked on, its standalone form, and the steps of a compound one.

Rules, in plain words: with a ``<history>`` the question is made to stand alone (``ellipsis``). A question whose plan
has more than one step is compound and comes with them; every other one is a look-up. Small talk does not come here.
"""

from typing import Any

from infra.engine.tasks.ellipsis import Turn, standalone
from infra.engine.tasks.plan import steps_of
from infra.engine.tasks.task_input import TaskInput

_SPEAKERS = ("user: ", "assistant: ")
_EARLIER = "earlier: "
"""Before each line of the note that stands for older turns; its lines say who spoke as well."""


def route(task: TaskInput) -> dict[str, Any]:
    """Return the standalone question and its kind, and its steps where there is more than one."""
    question = standalone(task.question, _turns(task))
    steps = steps_of(question)
    if len(steps) == 1:
        return {"question": question, "kind": "lookup"}
    return {"question": question, "kind": "compound", "steps": steps}


def _turns(task: TaskInput) -> list[Turn]:
    """Return the exchanges of the history, latest first; a line without a speaker goes on with the line before.

    In a note of older turns each sentence has its speaker, so what an assistant says goes on until a user speaks.
    """
    said: list[list[str]] = []
    for line in [
        line.removeprefix(_EARLIER) for block in task.blocks("history")[:1] for line in block.body.splitlines()
    ]:
        speaker = next((speaker for speaker in _SPEAKERS if line.startswith(speaker)), "")
        if speaker:
            said.append([speaker, line.removeprefix(speaker)])
        elif said:
            said[-1][1] += f" {line}"
    turns: list[Turn] = []
    for speaker, text in said:
        if speaker == "user: ":
            turns.append(Turn(text))
        elif turns:
            turns[-1] = Turn(turns[-1].asked, f"{turns[-1].answered} {text}".strip())
    return turns[::-1]
