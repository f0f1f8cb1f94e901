"""A guarded model over a scripted server, and what the two share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.tools import tool
from pydantic import BaseModel
from tenacity import wait_none

from infra.llm.backends import Backend, GuardedChat, Retries, build_chat
from infra.llm.budget import Budget, Limits, Spent
from infra.llm.ledger import Call, Ledger, Scope
from infra.settings import load_settings
from tests.fakes import URL, Said, Script, ScriptedServer

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


def bench(script: Script | ScriptedServer = (), *, window: int = 32_768, budget: Budget | None = None) -> Bench:
    """Build a guarded model with default settings whose retries do not wait."""
    server = script if isinstance(script, ScriptedServer) else ScriptedServer(script)
    ledger, budget = Ledger(), budget or Budget(Limits(question_tokens=120_000, question_calls=32))
    backend = Backend("vllm", "scripted", "vllm", window, URL)
    chat = build_chat(backend, load_settings(), ledger, budget, server.transports, Retries(wait=wait_none()))
    return Bench(chat.scoped(SCOPE), server, ledger, budget)


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
    assert isinstance(whole, AIMessageChunk)
    return whole


async def blocking(call: Callable[[], Any]) -> Any:
    return call()
