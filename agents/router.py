"""The router: what kind of question this is, and its standalone form in a conversation.

Small talk is known by rules and answered with a fixed text, at no model call: a model's own words are never shown, for
nothing would check them. Whether the documents hold an answer is not for the router to know; retrieval attaches that
signal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from agents.common import MAX_ADDED_CHARS, SYSTEM, Written, question_block
from infra.llm.ask import Asker, UnreadableReply
from infra.llm.prompt import load, render
from infra.text.blocks import block
from infra.text.small_talk import Kind, small_talk

PROMPT = load(Path(__file__).parent / "prompts" / "router.md")
MAX_TURN_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier message of the conversation, the user's or the assistant's."""

    role: Literal["user", "assistant"]
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


class Choice(Written):
    """What the model decides."""

    model_config = ConfigDict(title="route")

    kind: Literal["lookup", "compound"] = Field(description="lookup: one search; compound: several searches")
    question: str = Field(description="the question in a form that stands without the conversation")


async def route(question: str, history: Sequence[Turn], asker: Asker) -> Route:
    """Decide how ``question`` is worked on; an unreadable decision becomes a look-up of the question as asked."""
    if kind := small_talk(question):
        return Route(kind="direct", question=question, reply=REPLIES[kind])
    blocks = [question_block(question)]
    if history:
        blocks.insert(0, block("history", "\n".join(f"{t.role}: {_one_line(t.text)}" for t in history)))
    try:
        reply = await asker.ask(render(PROMPT, system=SYSTEM, blocks=blocks), Choice, task="route")
    except UnreadableReply:
        return Route(kind="lookup", question=question)
    return Route(kind=reply.value.kind, question=_standalone(reply.value.question.strip(), question, history))


def _standalone(wording: str, question: str, history: Sequence[Turn]) -> str:
    """Return the model's wording where there is a conversation to complete the question from, and it is no essay."""
    return wording if wording and history and len(wording) <= len(question) + MAX_ADDED_CHARS else question


def _one_line(text: str) -> str:
    return " ".join(text.split())[:MAX_TURN_CHARS]
