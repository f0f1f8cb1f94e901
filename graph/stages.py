"""The three nodes of our own: receive opens a question, compress follows each stage, deliver ends it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import get_runtime

from agents.router import Turn
from graph.answer import answer_of, shown, without_sources
from graph.nodes import Desk, visit
from graph.state import (
    Compression,
    Question,
    State,
    View,
    Visit,
    compressions_of,
    packed,
    question_of,
    view_of,
    visits_of,
)
from graph.supervisor import SUPERVISOR
from infra.errors import QuestionError
from tools.compress import compress

MAX_TURNS = 6
"""Earlier messages that the router sees of a conversation."""


@dataclass(frozen=True, slots=True)
class Context:
    """What may be chosen for one run; Studio shows these fields."""

    roots: list[str] | None = None
    """Absolute paths (ingested roots, folders or files in them) to answer from; none: all."""


class Stages:
    """The three nodes, as methods over one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def receive(self, state: State, config: RunnableConfig) -> dict[str, Any]:
        """Open a question: checked, numbered, with the conversation before it."""
        messages = state.get("messages", [])
        text = asked(messages, self._desk.settings.max_question_chars)
        before = question_of(state)
        turn = int(before.id.split("-", 1)[0]) + 1 if before else 1
        context = get_runtime(Context).context
        question = Question(
            id=f"{turn:06d}-{uuid4().hex}",
            thread=str(config.get("configurable", {}).get("thread_id", "")),
            text=text,
            history=_history(messages[:-1]),
            roots=context.roots if context else None,
            asked_at=time.time(),
        )
        return {"questions": {question.id: packed(question)}}

    async def compress(self, state: State) -> dict[str, Any]:
        """Make a note of what the stage said; typed results stay as they are."""
        view = view_of(state)
        stage = _stage(state.get("messages", []))
        notes = [await compress(m.text, view.asked, self._desk.count) for m in stage]
        entry = Compression(
            stage=(stage[0].name or "") if stage else "",
            tokens_before=sum(n.tokens_before for n in notes),
            tokens_after=sum(n.tokens_after for n in notes),
        )
        key = f"{view.question.id}/{len(_own(state, view)) + 1:03d}"
        replaced = [AIMessage(n.text, name=m.name, id=m.id) for n, m in zip(notes, stage, strict=True) if n.shortened]
        return {"compressions": {key: packed(entry)}, "messages": replaced}

    async def deliver(self, state: State) -> dict[str, Any]:
        """End a question: the answer as message and as object, the hand-offs cleared away."""
        view = view_of(state)
        messages = state.get("messages", [])
        last = max(n for n, m in enumerate(messages) if isinstance(m, HumanMessage))
        cleared = [RemoveMessage(id=m.id) for m in messages[last + 1 :] if m.id]
        visits = [*visits_of(state), *_supervisor_visits(view, self._desk)]
        answer = answer_of(view, visits, compressions_of(state), await self._desk.backend())
        self._desk.forget(view.question.id)
        return {"messages": [*cleared, AIMessage(shown(view))], "answer": answer}


def asked(messages: Sequence[AnyMessage], longest: int) -> str:
    """Return the question, the last message. Raises QuestionError when there is none, or it is empty or too long."""
    last = messages[-1] if messages else None
    text = last.text.strip() if isinstance(last, HumanMessage) else ""
    if not text:
        raise QuestionError("The question is empty; the last message must be the user's and hold text.")
    if len(text) > longest:
        raise QuestionError(
            f"The question has {len(text):,} characters, {longest:,} are allowed; DOCMIND_MAX_QUESTION_CHARS decides."
        )
    return text


def _own(state: State, view: View) -> list[str]:
    return [key for key in state.get("compressions", {}) if key.startswith(f"{view.question.id}/")]


def _history(messages: Sequence[AnyMessage]) -> list[Turn]:
    """Return the last turns of the conversation: what the user asked and what was answered, no hand-offs."""
    turns = [
        Turn("user", m.text) if isinstance(m, HumanMessage) else Turn("assistant", without_sources(m.text))
        for m in messages
        if isinstance(m, HumanMessage) or (isinstance(m, AIMessage) and m.text and not m.tool_calls)
    ]
    return turns[-MAX_TURNS:]


def _stage(messages: Sequence[AnyMessage]) -> list[AIMessage]:
    """Return what the agents said since the last dispatch."""
    since = takewhile(lambda m: not (isinstance(m, AIMessage) and m.name == SUPERVISOR), reversed(messages))
    return [m for m in since if isinstance(m, AIMessage) and not m.tool_calls][::-1]


def _supervisor_visits(view: View, desk: Desk) -> list[Visit]:
    """Return the supervisor's own model calls as one visit, if it made any (``llm`` mode)."""
    calls = [c for c in desk.ledger.calls(view.question.id) if c.scope.agent == SUPERVISOR]
    whole = visit(SUPERVISOR, view.question.asked_at, view.question, calls)
    return [whole.model_copy(update={"seconds": round(whole.llm_seconds, 4)})] if calls else []
