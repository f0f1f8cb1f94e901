"""The router: what kind of question this is, and its standalone form in a conversation.

Whether the documents hold an answer is not for the router to know; retrieval attaches that signal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, ConfigDict, Field

from agents.common import SYSTEM, question_block
from infra.llm.ask import UnreadableReply, ask
from infra.llm.prompt import load, render
from infra.text.blocks import block

PROMPT = load(Path(__file__).parent / "prompts" / "router.md")
MAX_TURN_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier message of the conversation, the user's or the assistant's."""

    role: Literal["user", "assistant"]
    text: str


class Route(BaseModel):
    """Where a question goes."""

    model_config = ConfigDict(frozen=True, title="route")

    kind: Literal["direct", "lookup", "compound"] = Field(
        description="direct: needs no documents; lookup: one search; compound: several searches"
    )
    question: str = Field(description="the question in a form that stands without the conversation")
    reply: str = Field(default="", description="the reply, for a direct question only")


async def route(question: str, history: Sequence[Turn], model: BaseChatModel) -> Route:
    """Decide how ``question`` is worked on; an unreadable decision becomes a look-up of the question as asked."""
    blocks = [question_block(question)]
    if history:
        blocks.insert(0, block("history", "\n".join(f"{t.role}: {_one_line(t.text)}" for t in history)))
    try:
        reply = await ask(model, render(PROMPT, system=SYSTEM, blocks=blocks), Route, task="route")
    except UnreadableReply:
        return Route(kind="lookup", question=question)
    return _sound(reply.value, question, has_history=bool(history))


def _sound(chosen: Route, question: str, *, has_history: bool) -> Route:
    """Keep what was asked unless there is a conversation to complete it from; a direct route needs a reply."""
    text = chosen.question.strip() if has_history else ""
    kind = "lookup" if chosen.kind == "direct" and not chosen.reply.strip() else chosen.kind
    return Route(kind=kind, question=text or question, reply=chosen.reply.strip() if kind == "direct" else "")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:MAX_TURN_CHARS]
