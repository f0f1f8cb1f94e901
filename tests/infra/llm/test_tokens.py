"""Counting through servers: who is asked, what is remembered, what is estimated."""

import json
from typing import Any

import httpx2
import pytest

from infra.llm.bounds import NotAReply
from infra.llm.counting import server as server_counts
from infra.llm.counting.estimates import measure
from infra.llm.endpoint import Backend, Counting, Transports, open_clients
from infra.llm.tokens import Count, TokenCounter, chat_body
from tests.fakes import URL, Said, ScriptedServer, words_in

PROMPT: dict[str, Any] = {"messages": [{"role": "user", "content": "how many words are these"}]}
TOOLS: list[dict[str, Any]] = [{"type": "function", "function": {"name": "look", "parameters": {}}}]


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def counter(server: Any, *, counting: Counting = "vllm", clock: Clock | None = None) -> TokenCounter:
    clients = open_clients(server.transports, connect_seconds=1, call_seconds=1, api_key="k")
    backend = Backend("vllm", "scripted", "vllm", 32_768, URL, counting=counting)
    return TokenCounter(backend, clients, clock or Clock())


def estimated(payload: dict[str, Any]) -> Count:
    return Count(measure(payload).bound, exact=False, error=0.75)


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
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "top_k": 1, "response_format": {"type": "text"}}
    body = {"model": "m", "messages": PROMPT["messages"], "chat_template_kwargs": {"enable_thinking": False}}
    assert chat_body(PROMPT | {"extra_body": extra}, "m") == body
    assert chat_body(PROMPT | {"extra_body": extra, "tool_choice": "auto"}, "m", "llamacpp") == body | {
        "response_format": {"type": "text"},
        "tool_choice": "auto",
    }


@pytest.mark.parametrize(
    ("kwargs", "sent"),
    [
        (None, {"enable_thinking": True, "reasoning_effort": "low"}),
        ({"enable_thinking": False}, {"enable_thinking": False, "reasoning_effort": "low"}),
    ],
)
def test_the_effort_of_reasoning_is_a_template_option_to_vllms_count(kwargs: Any, sent: Any) -> None:
    payload = PROMPT | {"reasoning_effort": "low", "extra_body": {"chat_template_kwargs": kwargs}}
    assert chat_body(payload, "m")["chat_template_kwargs"] == sent


async def test_bare_text_is_counted_without_a_template() -> None:
    server = ScriptedServer()
    count = counter(server)
    assert await count.acount_text("one two three\ud800") == Count(3, exact=True)
    assert count.count_text("one two three?") == Count(3, exact=True)
    assert [seen.body for seen in server.requests] == [
        {"model": "scripted", "prompt": "one two three?", "add_special_tokens": False}
    ]


def test_the_memory_of_counts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_counts, "MAX_REMEMBERED", 2)
    server = ScriptedServer()
    count = counter(server)
    for text in ("a", "b", "a", "c", "a", "b"):
        count.count_text(text)
    assert [seen.body["prompt"] for seen in server.requests] == ["a", "b", "c", "b"]


def test_a_server_without_tokenize_is_asked_again_after_a_while() -> None:
    missing = Said("Not Found", status=404)
    server, clock = ScriptedServer(counts=[missing, missing]), Clock()
    count = counter(server, clock=clock)
    assert count.count(PROMPT) == count.count(PROMPT) == estimated(PROMPT)
    assert len(server.requests) == 1
    clock.seconds += server_counts.AGAIN_SECONDS - 1
    assert count.count(PROMPT).exact is False
    assert len(server.requests) == 1
    clock.seconds += 1
    assert count.count(PROMPT).exact is False
    assert len(server.requests) == 2
    clock.seconds += server_counts.AGAIN_SECONDS
    assert [count.count(PROMPT).exact, count.count_text("a").exact] == [True, True]


def test_a_server_that_cannot_count_is_never_asked() -> None:
    server = ScriptedServer()
    assert counter(server, counting="none").count(PROMPT) == estimated(PROMPT)
    assert server.requests == []


NO_COUNTS = [b"true", b"-1", b"7.0", b"1e3", b"NaN", b"Infinity", b"null", b"1000000001", b"9" * 4_300, b"9" * 4_301]


@pytest.mark.parametrize(
    "body",
    [b"<html>hello</html>", b"[1]", b'{"count": "many"}', b"[" * 100_000]
    + [b'{"count": ' + value + b"}" for value in NO_COUNTS],
)
def test_an_answer_that_is_no_count_is_estimated_and_asked_again(body: bytes) -> None:
    server = ScriptedServer(counts=[Said(body=body)])
    count = counter(server)
    assert count.count(PROMPT) == estimated(PROMPT)
    assert count.count(PROMPT).exact is True


def test_a_busy_server_is_not_mistaken_for_one_that_cannot_count() -> None:
    server = ScriptedServer(counts=[Said("busy", status=503)])
    count = counter(server)
    with pytest.raises(httpx2.HTTPStatusError):
        count.count(PROMPT)
    assert count.count(PROMPT).exact is True


def test_estimates_learn_from_what_calls_took() -> None:
    count = counter(ScriptedServer(), counting="none")
    long = {"messages": [{"role": "user", "content": "the river and the road " * 200}]}
    for _ in range(5):
        counted = count.count(long)
        assert counted.tokens == measure(long).bound
        count.reported(counted, 1_200)
    assert 1_200 < count.count(long).tokens < 1_600
    assert 0 < count.count(long).error < 0.3


class Llama(httpx2.BaseTransport):
    """llama.cpp's two paths; its template writes each content in brackets, its tokens are characters."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[tuple[str, Any]] = []
        self._answers = answers

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.read())
        self.asked.append((request.url.path, body))
        if request.url.path == "/apply-template":
            prompt = "".join(f"[{message['content']}]" for message in body["messages"])
            return httpx2.Response(200, json=self._answers.get("prompt", {"prompt": prompt}))
        return httpx2.Response(200, json=self._answers.get("tokens", {"tokens": [1, *map(ord, body["content"])]}))

    @property
    def transports(self) -> Transports:
        return Transports(self, httpx2.AsyncHTTPTransport())


def test_llamacpp_renders_and_tokenizes_as_its_chat_does() -> None:
    server = Llama()
    count = counter(server, counting="llamacpp")
    payload = {"messages": [{"role": "user", "content": "hi"}], "tools": TOOLS, "max_tokens": 5}
    assert count.count(payload) == count.count(payload) == Count(5, exact=True)
    assert count.count_text("hi") == Count(3, exact=True)
    assert server.asked == [
        ("/apply-template", {"model": "scripted", "messages": payload["messages"], "tools": TOOLS}),
        ("/tokenize", {"content": "[hi]", "add_special": True, "parse_special": True}),
        ("/tokenize", {"content": "hi", "add_special": False, "parse_special": True}),
    ]


@pytest.mark.parametrize("answers", [{"prompt": {"prompt": 7}}, {"tokens": {"tokens": "many"}}, {"tokens": []}])
def test_llamacpp_with_another_answer_is_estimated(answers: Any) -> None:
    assert counter(Llama(**answers), counting="llamacpp").count(PROMPT).exact is False


async def test_an_answer_longer_than_any_count_is_estimated() -> None:
    server = ScriptedServer(counts=[Said(error=NotAReply("more than 8 bytes")), Said(error=NotAReply("more"))])
    count = counter(server)
    assert count.count(PROMPT) == await count.acount(PROMPT) == estimated(PROMPT)
    assert count.count(PROMPT).exact is True
