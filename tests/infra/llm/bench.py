"""A guarded model over a scripted server, and what the two share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from pydantic import BaseModel, SecretStr
from tenacity import wait_none

from infra.llm.backends import Backend, GuardedChat, Retries, Transports, build_desk
from infra.llm.budget import Budget, Limits, Spent
from infra.llm.desk import Desk
from infra.llm.guard import Next
from infra.llm.ledger import Call, Ledger, Scope
from infra.settings import load_settings
from tests.fakes import URL, Said, Script, ScriptedServer

BACKEND = Backend("vllm", "scripted", "vllm", 32_768, URL)
SCOPE = Scope("q1", "t1", "synthesizer")


@dataclass(frozen=True, slots=True)
class Bench:
    """One guarded model and everything around it."""

    chat: GuardedChat
    server: ScriptedServer
    ledger: Ledger
    budget: Budget

    @property
    def vendor(self) -> Any:
        """The model, where LangChain's own signatures are only partly known."""
        return self.chat

    @property
    def calls(self) -> list[Call]:
        return self.ledger.calls(SCOPE.question_id)

    @property
    def call(self) -> Call:
        (only,) = self.calls
        return only

    @property
    def spent(self) -> Spent:
        return self.budget.spent(SCOPE.question_id)


def limits(tokens: int = 120_000, calls: int = 32) -> Budget:
    """Return a budget of one question's tokens and calls."""
    return Budget(Limits(question_tokens=tokens, question_calls=calls))


def desk(
    transports: Transports | None,
    backend: Backend = BACKEND,
    *,
    ledger: Ledger | None = None,
    budget: Budget | None = None,
    calls: Mapping[str, float] | None = None,
) -> Desk:
    """Put a desk together whose retries do not wait; ``calls`` are times in seconds and the breaker's figures."""
    at_once = Retries(wait=wait_none(), longest_seconds=0)
    settings = load_settings(calls=calls or {})
    return build_desk(backend, settings, ledger or Ledger(), budget or limits(), transports, at_once)


def chat_of(desk: Desk, next_: Next | None = None) -> GuardedChat:
    """Build the model of a desk, on the account of the tests' scope."""
    return GuardedChat.over(desk, SecretStr("none"), next_).scoped(SCOPE)


def bench(
    script: Script | ScriptedServer = (),
    *,
    window: int = 32_768,
    budget: Budget | None = None,
    calls: Mapping[str, float] | None = None,
) -> Bench:
    """Build a guarded model with default settings, but for ``calls``, whose retries do not wait."""
    server = script if isinstance(script, ScriptedServer) else ScriptedServer(script)
    ledger, budget = Ledger(), budget or limits()
    backend = replace(BACKEND, context_window=window)
    chat = chat_of(desk(server.transports, backend, ledger=ledger, budget=budget, calls=calls))
    return Bench(chat, server, ledger, budget)


@tool
def look(query: str) -> str:
    """Look something up."""
    return query


class City(BaseModel):
    """A place."""

    name: str


CITY = '{"name": "Paris"}'
SCHEMA = {"title": "City", "type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
LOOK = Said(tool_calls=[("look", {"query": "x"})], finish_reason="tool_calls")


async def drain(stream: Any) -> AIMessage:
    chunks = [chunk async for chunk in stream] if hasattr(stream, "__aiter__") else list(stream)
    whole = sum(chunks[1:], chunks[0])
    assert isinstance(whole, AIMessage)
    return whole


async def blocking(call: Callable[[], Any]) -> Any:
    return call()


WAYS = ["invoke", "ainvoke", "stream", "astream"]


async def say(b: Bench, way: str) -> str:
    if way == "invoke":
        return b.chat.invoke("q").text
    if way == "stream":
        return "".join(chunk.text for chunk in b.chat.stream("q"))
    if way == "astream":
        return "".join([chunk.text async for chunk in b.chat.astream("q")])
    return (await b.chat.ainvoke("q")).text
