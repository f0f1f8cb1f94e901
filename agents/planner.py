"""The planner: a compound question becomes sub-questions, with what each depends on.

The router gives most plans in the call that decides the question's kind; the planner is asked where it did not.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from agents.common import MAX_ADDED_CHARS, SYSTEM, Texts, Written, question_block
from infra.llm.ask import Asker, UnreadableReply
from infra.llm.prompt import load, render

PROMPT = load(Path(__file__).parent / "prompts" / "planner.md")
MAX_STEPS = 3


class Step(Written):
    """One sub-question."""

    id: str
    question: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(min_length=1)
    needs: Texts = Field(default_factory=list[str])


class Plan(Written):
    """The sub-questions of one question."""

    model_config = ConfigDict(title="plan")

    steps: list[Step] = Field(min_length=1)


@lru_cache(maxsize=64)
def single(question: str) -> Plan:
    """Return the plan of a look-up: the question itself."""
    return Plan(steps=[Step(id="q1", question=question)])


async def plan(question: str, asker: Asker) -> Plan:
    """Split ``question``; a plan that cannot be read, or is far longer than what was asked, becomes a single step."""
    try:
        reply = await asker.ask(render(PROMPT, system=SYSTEM, blocks=[question_block(question)]), Plan, task="plan")
    except UnreadableReply:
        return single(question)
    return usable(reply.value.steps, question) or single(question)


def usable(steps: Sequence[Step], question: str) -> Plan | None:
    """Return the plan that ``steps`` make, or None: there are none, or one is far longer than what was asked."""
    longest = len(question) + MAX_ADDED_CHARS
    fit = bool(steps) and all(len(step.question) <= longest for step in steps[:MAX_STEPS])
    return sound(Plan(steps=list(steps))) if fit else None


def sound(chosen: Plan) -> Plan:
    """At most three steps, numbered anew, each needing only steps before it: a plan that always ends."""
    steps = chosen.steps[:MAX_STEPS]
    renamed = {step.id: f"q{n}" for n, step in reversed(list(enumerate(steps, start=1)))}
    earlier: list[str] = []
    sound: list[Step] = []
    for n, step in enumerate(steps, start=1):
        needs = [renamed[i] for i in dict.fromkeys(step.needs) if renamed.get(i) in earlier]
        sound.append(Step(id=f"q{n}", question=step.question, needs=needs))
        earlier.append(f"q{n}")
    return Plan(steps=sound)
