"""Counting through the server's /tokenize, remembering counts, and the upper estimate."""

from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.llm import tokens
from infra.llm.endpoint import Backend, open_clients
from infra.llm.tokens import Count, TokenCounter, chat_body, estimate
from tests.fakes import URL, Said, ScriptedServer, words_in

BACKEND = Backend("vllm", "scripted", "vllm", 32_768, URL)
PROMPT: dict[str, Any] = {"messages": [{"role": "user", "content": "how many words are these"}]}
TOOLS: list[dict[str, Any]] = [{"type": "function", "function": {"name": "look", "parameters": {}}}]


def counter(server: ScriptedServer) -> TokenCounter:
    clients = open_clients(server.transports, connect_seconds=1, call_seconds=1, api_key="k")
    return TokenCounter(BACKEND, clients)


async def test_the_server_counts_messages_and_tools_once() -> None:
    server = ScriptedServer()
    count = counter(server)
    with_tools = PROMPT | {"tools": TOOLS, "temperature": 0}
    asked = {"model": "scripted", "messages": PROMPT["messages"], "tools": TOOLS}
    assert count.count(with_tools) == Count(words_in(asked), exact=True)
    assert await count.acount(with_tools) == Count(words_in(asked), exact=True)
    assert [(seen.path, seen.body, seen.headers["authorization"]) for seen in server.requests] == [
        ("/tokenize", asked, "Bearer k")
    ]


async def test_other_content_is_another_count() -> None:
    server = ScriptedServer()
    count = counter(server)
    assert (await count.acount(PROMPT)).tokens != count.count(PROMPT | {"tools": TOOLS}).tokens
    assert server.paths == ["/tokenize", "/tokenize"]


def test_template_options_are_counted_with_the_prompt() -> None:
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "top_k": 1}
    assert chat_body(PROMPT | {"extra_body": extra}, "m") == {
        "model": "m",
        "messages": PROMPT["messages"],
        "chat_template_kwargs": {"enable_thinking": False},
    }


async def test_bare_text_is_counted_without_a_template() -> None:
    server = ScriptedServer()
    count = counter(server)
    assert await count.acount_text("one two three") == Count(3, exact=True)
    assert count.count_text("one two three") == Count(3, exact=True)
    assert [seen.body for seen in server.requests] == [
        {"model": "scripted", "prompt": "one two three", "add_special_tokens": False}
    ]


def test_the_memory_of_counts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MAX_REMEMBERED", 2)
    server = ScriptedServer()
    count = counter(server)
    for text in ("a", "b", "a", "c", "a", "b"):
        count.count_text(text)
    assert [seen.body["prompt"] for seen in server.requests] == ["a", "b", "c", "b"]


def test_a_server_without_tokenize_is_asked_once_and_gets_an_upper_estimate() -> None:
    server = ScriptedServer(counts=False)
    count = counter(server)
    assert count.count(PROMPT) == count.count(PROMPT) == estimate(PROMPT)
    assert estimate(PROMPT).exact is False
    assert server.paths == ["/tokenize"]


@pytest.mark.parametrize(
    "body", [b"<html>hello</html>", b"[1]", b'{"count": "many"}', b'{"count": true}', b'{"count": -1}']
)
def test_an_answer_that_is_no_count_is_estimated_and_asked_again(body: bytes) -> None:
    server = ScriptedServer(counts=[Said(body=body)])
    count = counter(server)
    assert count.count(PROMPT) == estimate(PROMPT)
    assert count.count(PROMPT).exact is True


def test_a_busy_server_is_not_mistaken_for_one_that_cannot_count() -> None:
    server = ScriptedServer(counts=[Said("busy", status=503)])
    count = counter(server)
    with pytest.raises(httpx2.HTTPStatusError):
        count.count(PROMPT)
    assert count.count(PROMPT).exact is True


def test_estimates_count_tools_and_any_content() -> None:
    parts = {"messages": [{"role": "user", "content": [{"type": "text", "text": "é"}]}, {"role": "assistant"}]}
    assert estimate(parts).tokens > 0
    assert estimate(parts | {"tools": TOOLS}).tokens > estimate(parts).tokens + tokens.TOOLS_OVERHEAD


@settings(max_examples=50)
@given(st.text(max_size=200))
def test_an_estimate_is_at_least_the_utf8_bytes(text: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    assert estimate({"prompt": text}) == Count(size, exact=False)
    assert estimate({"messages": [{"role": "user", "content": text}]}).tokens >= size
