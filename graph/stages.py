"""The nodes of our own: receive opens a question, recall asks the cache, compress follows a stage, deliver ends it."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.runtime import get_runtime
from pydantic import TypeAdapter, ValidationError

from graph.answer import answer_of, holds, shown
from graph.early import CHANGED, withdrawn
from graph.nodes import Desk, visit
from graph.notes import COMPRESSION, Notes
from graph.policy import AGENTS
from graph.state import (
    Question,
    State,
    View,
    Visit,
    compressions_of,
    earlier_of,
    packed,
    question_of,
    view_of,
    visits_of,
)
from graph.supervisor import SUPERVISOR
from infra.errors import QuestionError
from infra.llm.ledger import Scope
from infra.settings import BackendName

RECALL = "recall"


@dataclass(frozen=True, slots=True)
class Context:
    """What may be chosen for one run; Studio shows these fields."""

    roots: list[str] | None = None
    """Absolute paths (ingested roots, folders or files in them) to answer from; none: all."""
    backend: BackendName | None = None
    """Which model server answers this run: auto, vllm, llamacpp, ollama, openai or engine; none: the settings'."""
    cache: bool = True
    """Whether an answer that was given before may be given again, and this one kept."""


_CONTEXT = TypeAdapter(Context)


class Stages:
    """The four nodes, as methods over one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._notes = Notes(desk)

    async def receive(self, state: State, config: RunnableConfig) -> dict[str, Any]:
        """Open a question: checked, numbered, with the conversation before it."""
        messages = state.get("messages", [])
        longest = self._desk.settings.max_question_chars
        text = asked(messages, longest)
        turns = [m for m in messages[:-1] if _is_turn(m, longest)]
        left_over = [m for m in messages[:-1] if not _is_turn(m, longest)]
        before = question_of(state)
        turn = int(before.id.split("-", 1)[0]) + 1 if before else 1
        context = _checked(get_runtime(Context).context)
        scope = Scope(
            f"{turn:06d}-{uuid4().hex}", str(config.get("configurable", {}).get("thread_id", "")), COMPRESSION
        )
        said = await self._notes.of_conversation(turns, text, earlier_of(state), scope)
        question = Question(
            id=scope.question_id,
            thread=scope.thread_id,
            text=text,
            history=said.history,
            roots=context.roots,
            backend=context.backend,
            cache=context.cache,
            asked_at=time.time(),
        )
        return {
            "questions": {question.id: packed(question)},
            "earlier": {question.id: packed(said.earlier)},
            "compressions": {f"{question.id}/000": packed(said.made)} if said.made else {},
            "messages": [RemoveMessage(id=m.id) for m in left_over if m.id],
            "answer": {},
        }

    async def recall(self, state: State) -> dict[str, Any]:
        """Ask the answer cache. A question that stands in a conversation comes here once the router completed it."""
        question, text = view_of(state).question, view_of(state).asked
        scope, began = Scope(question.id, question.thread, RECALL), time.time()
        recalled = await self._desk.recall(question, text, scope)
        line = visit(scope, began, question, self._desk.ledger)
        worked = recalled.kept is not None or line.llm_calls
        trail = {"trail": {f"{question.id}/{began:.6f}-{RECALL}": packed(line)}} if worked else {}
        return {"recalls": {question.id: packed(recalled)}, **trail}

    async def compress(self, state: State) -> dict[str, Any]:
        """Make a note of what the stage said; typed results stay as they are."""
        return await self._notes.of_stage(state)

    async def deliver(self, state: State) -> dict[str, Any]:
        """End a question: the answer as message and as object, the hand-offs cleared away. Nobody is asked any more."""
        view = view_of(state)
        messages = state.get("messages", [])
        last = max(n for n, m in enumerate(messages) if isinstance(m, HumanMessage))
        cleared = [RemoveMessage(id=m.id) for m in messages[last + 1 :] if m.id]
        visits = sorted([*visits_of(state), *_supervisor_visits(view, self._desk)], key=lambda v: v.started)
        answer = answer_of(view, visits, compressions_of(state))
        if not holds(view, answer["answer"]):
            get_stream_writer()(withdrawn(view.question.id, CHANGED))
        self._desk.keep(view, answer)
        self._desk.forget(view.question.id)
        return {"messages": [*cleared, AIMessage(shown(answer))], "answer": answer}


def asked(messages: Sequence[AnyMessage], longest: int) -> str:
    """Return the question, the last message. Raises QuestionError when there is none, or it is empty or too long."""
    last = messages[-1] if messages else None
    text = _words(last) if isinstance(last, HumanMessage) else ""
    if not text:
        raise QuestionError("The question is empty; the last message must be the user's and hold text.")
    if len(text) > longest:
        raise QuestionError(
            f"The question has {len(text):,} characters, {longest:,} are allowed; DOCMIND_MAX_QUESTION_CHARS decides."
        )
    return text


def _words(message: HumanMessage) -> str:
    return message.text.strip().encode("utf-8", "replace").decode("utf-8")  # a lone surrogate is no character


def _checked(context: Context | None) -> Context:
    """Return what was chosen for this run. Raises QuestionError for what cannot be: Studio sends any JSON."""
    try:
        return _CONTEXT.validate_python(asdict(context)) if context else Context()
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:4])
        raise QuestionError(f"The run's context cannot be used ({said}).") from error


def _is_turn(message: AnyMessage, longest: int) -> bool:
    """Tell whether a message is the conversation's: a question that was worked on, or an answer.

    What else is there was left by a run that failed: a question that was refused, or hand-offs.
    """
    if isinstance(message, HumanMessage):
        return 0 < len(_words(message)) <= longest
    said = isinstance(message, AIMessage) and bool(message.text) and not message.tool_calls
    return said and message.name not in (*AGENTS, SUPERVISOR)


def _supervisor_visits(view: View, desk: Desk) -> list[Visit]:
    """Return the supervisor's own model calls, a visit each (``llm`` mode makes some, ``policy`` none)."""
    question = view.question
    scopes = {id(c.scope): (c.scope, c.started) for c in desk.ledger.calls(question.id) if c.scope.agent == SUPERVISOR}
    visits = [visit(scope, began, question, desk.ledger) for scope, began in scopes.values()]
    return [v.model_copy(update={"seconds": round(sum(length for _, length in v.calls), 4)}) for v in visits]
