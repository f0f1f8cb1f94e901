"""The router: what kind of question this is, its standalone form in a conversation, and its parts.

Small talk is known by rules and answered with a fixed text; a question that plainly is one look-up is known by rules as
well (`agents.lookup`); neither takes a model call. For the others one call decides all: a compound question comes with
its steps, so that the planner is asked only where they are missing or cannot be used. A model's own words are never
shown, for nothing would check them. Whether the documents hold an answer is not for the router to know; retrieval
attaches that signal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from agents.common import MAX_ADDED_CHARS, SYSTEM, Written, question_block
from agents.lookup import is_plain_lookup
from agents.planner import Plan, Step, usable
from infra.llm.ask import Asker, UnreadableReply
from infra.llm.prompt import load, render
from infra.text.blocks import block
from infra.text.small_talk import Kind, small_talk

PROMPT = load(Path(__file__).parent / "prompts" / "router.md")
MAX_TURN_CHARS = 1_000
MAX_EARLIER_CHARS = 2_000
"""Of the rolling note, which is shown whole: it has at most 250 tokens of at most 6 characters."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier message of the conversation, the user's or the assistant's; ``earlier``: a note of those before."""

    role: Literal["earlier", "user", "assistant"]
    text: str


REPLIES: dict[Kind, str] = {
    "greeting": "Hello. Ask me something about your documents.",
    "thanks": "You are welcome.",
    "goodbye": "Good-bye.",
    "assent": "All right. Ask when you like.",
    "about": (
        "I am DocMind. I answer questions from your own documents; each sentence of an answer names its source, and "
        "every quote is checked word for word."
    ),
}


class Route(BaseModel):
    """Where a question goes: direct needs no documents and has its reply, lookup one search, compound several."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["direct", "lookup", "compound"]
    question: str
    reply: str = ""


def _readable(value: object, read: ValidatorFunctionWrapHandler) -> list[Step]:
    """Return the steps, or none where they cannot be read: the decision beside them holds, and the planner is asked."""
    try:
        steps: list[Step] = read(value)
    except ValidationError:
        return []
    return steps


Steps = Annotated[list[Step], WrapValidator(_readable)]


class Choice(Written):
    """What the model decides of a question that is asked outside a conversation."""

    model_config = ConfigDict(title="route")

    kind: Literal["lookup", "compound"]
    steps: Steps = Field(default_factory=list[Step])


class Completed(Written):
    """What the model decides inside a conversation: first what is asked, then the rest."""

    model_config = ConfigDict(title="route")

    question: str
    kind: Literal["lookup", "compound"]
    steps: Steps = Field(default_factory=list[Step])


@dataclass(frozen=True, slots=True)
class Routed:
    """The decision, and the steps of a compound question where they came with it."""

    route: Route
    plan: Plan | None = None


async def route(
    question: str, history: Sequence[Turn], asker: Asker, *, by_rules: bool = True, with_steps: bool = True
) -> Routed:
    """Decide how ``question`` is worked on; an unreadable decision becomes a look-up of the question as asked.

    Args:
        question: as it was asked.
        history: the conversation before it, from which the model completes it.
        asker: the model.
        by_rules: whether a question outside a conversation that plainly is one look-up is not put to the model.
        with_steps: whether the steps of a compound question are taken from the router.
    """
    if kind := small_talk(question):
        return Routed(Route(kind="direct", question=question, reply=REPLIES[kind]))
    if by_rules and not history and is_plain_lookup(question):
        return Routed(Route(kind="lookup", question=question))
    return await _asked(question, history, asker, with_steps=with_steps)


async def _asked(question: str, history: Sequence[Turn], asker: Asker, *, with_steps: bool) -> Routed:
    said = [block("history", "\n".join(line for turn in history for line in _lines(turn)))] if history else []
    messages = render(PROMPT, system=SYSTEM, blocks=[*said, question_block(question)])
    try:
        chosen = (await asker.ask(messages, Completed if history else Choice, task="route")).value
    except UnreadableReply:
        return Routed(Route(kind="lookup", question=question))
    whole = _standalone(chosen.question.strip(), question) if isinstance(chosen, Completed) else question
    steps = chosen.steps if with_steps and chosen.kind == "compound" else []
    if len(steps) == 1:  # one search after all
        return Routed(Route(kind="lookup", question=whole))
    return Routed(Route(kind=chosen.kind, question=whole), usable(steps, whole))


def _standalone(wording: str, question: str) -> str:
    """Return the model's wording of a question inside a conversation, where it is no essay."""
    return wording if wording and len(wording) <= len(question) + MAX_ADDED_CHARS else question


def _lines(turn: Turn) -> list[str]:
    """Return a turn as a line; a note of earlier ones as a line for each of its own, which say who spoke."""
    if turn.role == "earlier":
        return [f"earlier: {line}" for line in map(_one_line, turn.text[:MAX_EARLIER_CHARS].splitlines()) if line]
    return [f"{turn.role}: {_one_line(turn.text)}"]


def _one_line(text: str) -> str:
    return " ".join(text.split())[:MAX_TURN_CHARS]
