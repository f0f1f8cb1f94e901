"""The guard over the real embedded engine, in process: what is counted is what is used."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel, Field

from infra.engine.core import Engine
from infra.engine.transport import EngineAsyncTransport, EngineTransport
from infra.errors import BudgetExceeded
from infra.llm.ask import Asker
from infra.llm.backends import GuardedChat, Transports, build_budget, build_desk, chat_over, choose
from infra.llm.ledger import Ledger, Scope
from infra.llm.prompt import parse, render
from infra.settings import load_settings
from infra.text.blocks import block
from tests.infra.llm.bench import City, drain, look

SCOPE = Scope("q", "t", "router")


class Recording(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Passes requests on to the engine and keeps the bodies of the chat completions."""

    def __init__(self, engine: Engine) -> None:
        self.blocking, self.awaiting = EngineTransport(engine), EngineAsyncTransport(engine)
        self.chats: list[dict[str, Any]] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self._note(request, request.read())
        return self.blocking.handle_request(request)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._note(request, await request.aread())
        return await self.awaiting.handle_async_request(request)

    def _note(self, request: httpx2.Request, content: bytes) -> None:
        if request.url.path.endswith("/chat/completions"):
            self.chats.append(json.loads(content))


def build(window: int = 32_768) -> tuple[GuardedChat, Recording, Ledger]:
    chosen = load_settings(backend="engine", engine={"context_window": window}, budget={"question_calls": 1_000})
    wire = Recording(Engine(chosen.engine))
    transports = Transports(wire, wire)
    ledger = Ledger()
    chat = chat_over(build_desk(choose(chosen, transports), chosen, ledger, build_budget(chosen), transports), chosen)
    return chat.scoped(SCOPE), wire, ledger


SHAPES: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "invoke": lambda chat: asyncio.to_thread(chat.invoke, "hello"),
    "ainvoke": lambda chat: chat.ainvoke("hello"),
    "stream": lambda chat: asyncio.to_thread(lambda: list(chat.stream("hello"))),
    "astream": lambda chat: drain(chat.astream("hello")),
    "batch": lambda chat: asyncio.to_thread(chat.batch, ["hello", "there"]),
    "abatch": lambda chat: chat.abatch(["hello", "there"]),
    "tools": lambda chat: chat.bind_tools([look], parallel_tool_calls=True).ainvoke("find x"),
    "tools streamed": lambda chat: drain(chat.bind_tools([look]).astream("find x")),
    "structured": lambda chat: chat.with_structured_output(City).ainvoke("Paris"),
    "structured by tool": lambda chat: chat.with_structured_output(City, method="function_calling").ainvoke("Paris"),
    "under a stream": lambda chat: drain(chat.astream("hello", stream_usage=True)),
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_every_call_shape_is_counted_exactly_and_one_to_one(shape: str) -> None:
    chat, wire, ledger = build()
    await SHAPES[shape](chat)
    calls = ledger.calls("q")
    assert len(wire.chats) == len(calls) >= 1
    assert all(call.counted_tokens == call.prompt_tokens > 0 for call in calls)
    assert all(call.outcome == "ok" and call.completion_tokens > 0 for call in calls)


TEXT = st.text(max_size=120)


def tool_turn(query: str, result: str) -> list[BaseMessage]:
    called = AIMessage("", tool_calls=[{"name": "look", "args": {"query": query}, "id": "call_1"}])
    return [called, ToolMessage(result, tool_call_id="call_1")]


def conversation(system: str, turns: list[list[BaseMessage]], last: str) -> list[BaseMessage]:
    return [SystemMessage(system), *(message for turn in turns for message in turn), HumanMessage(last)]


def user_turn(text: str) -> list[BaseMessage]:
    return [HumanMessage(text)]


def model_turn(text: str) -> list[BaseMessage]:
    return [AIMessage(text)]


TURN = TEXT.map(user_turn) | TEXT.map(model_turn) | st.builds(tool_turn, TEXT, TEXT)
PROMPTS = st.builds(conversation, TEXT, st.lists(TURN, max_size=4), TEXT)


@settings(max_examples=50)
@given(PROMPTS, st.integers(0, 3), st.booleans())
def test_what_is_counted_is_what_the_engine_says_it_used(prompt: list[BaseMessage], tools: int, streamed: bool) -> None:
    chat, wire, ledger = build()
    specs = [{"name": f"tool_{n}", "description": "é" * n, "parameters": {"type": "object"}} for n in range(tools)]
    vendor: Any = chat
    model = vendor.bind_tools(specs) if specs else vendor
    if streamed:
        list(model.stream(prompt))
    else:
        model.invoke(prompt)
    (call,) = ledger.calls("q")
    assert (call.counted_tokens, call.outcome, len(wire.chats)) == (call.prompt_tokens, "ok", 1)


class Route(BaseModel):
    kind: str
    question: str
    reply: str = Field(default="")


async def test_a_task_is_asked_and_answered() -> None:
    chat, wire, ledger = build()
    prompt = render(parse("router", "Route it."), system="Be true.", blocks=[block("question", "Who built the tower?")])
    reply = await Asker(chat).ask(prompt, Route, task="route")
    assert (reply.value.kind, reply.value.question, reply.repaired) == ("lookup", "Who built the tower?", False)
    assert len(wire.chats) == len(ledger.calls("q")) == 1


@settings(max_examples=25)
@given(st.lists(st.integers(1, 400), max_size=8), st.integers(1, 600))
def test_no_request_on_the_wire_is_ever_over_the_window(lengths: list[int], question_words: int) -> None:
    chat, wire, ledger = build(window=1_024)
    sources = [block("source", "word " * n, id=f"E{i}") for i, n in enumerate(lengths, start=1)]
    question = block("question", "why " * question_words)
    try:
        chat.invoke(render(parse("draft", "Answer."), sources=sources, blocks=[question]))
    except BudgetExceeded as refused:
        assert refused.needed > refused.available == 1_024  # noqa: PT017 - a refusal is one of two right outcomes
        assert wire.chats == []
        return
    (call,) = ledger.calls("q")
    (sent,) = wire.chats
    assert call.counted_tokens == call.prompt_tokens
    assert call.prompt_tokens + sent["max_tokens"] + 128 <= 1_024
    assert call.dropped == tuple(f"E{n}" for n in range(len(lengths) - len(call.dropped) + 1, len(lengths) + 1))
