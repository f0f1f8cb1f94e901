"""Counting with the model's own tokenizer: trusted once it counts as the server does, switched off when it does not."""

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Thread, current_thread, main_thread
from typing import Any

import httpx2
import pytest
from loguru import logger

from infra.llm import tokens
from infra.llm.counting import checked
from infra.llm.counting.estimates import measure
from infra.llm.counting.local import LocalTokens, open_local
from infra.llm.counting.messages import Unrenderable
from infra.llm.endpoint import Backend, Counting, Transports, open_clients
from infra.llm.tokens import Count, TokenCounter, chat_body
from tests.fakes import URL, ScriptedServer
from tests.infra.llm.model_folder import TEMPLATE, write_model

PROMPT: dict[str, Any] = {"messages": [{"role": "user", "content": "how many words are these"}]}
TOOLS: list[dict[str, Any]] = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"q": "é"}'}}


def counter(server: Any, tokenizer: Path, counting: Counting = "vllm") -> TokenCounter:
    clients = open_clients(server.transports, connect_seconds=1, call_seconds=1)
    backend = Backend("vllm", "scripted", "vllm", 32_768, URL, counting=counting, tokenizer=tokenizer)
    return TokenCounter(backend, clients)


class Tokenizing(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """A server that counts with the model's folder itself, and ``off`` tokens wrong."""

    def __init__(self, folder: Path, *, off: int = 0, status: int = 200, form: Any = "string") -> None:
        self.local, self.off, self.status, self.form = open_local(folder), off, status, form
        self.asked: list[dict[str, Any]] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.read())
        self.asked.append(body)
        return httpx2.Response(self.status, json={"count": self._count(body) + self.off})

    def _count(self, body: dict[str, Any]) -> int:
        try:
            return self.local.count_text(body["prompt"]) if "prompt" in body else self.local.count_chat(body, self.form)
        except Unrenderable:
            return 7

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        return self.handle_request(request)

    @property
    def transports(self) -> Transports:
        return Transports(self, self)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    seen: list[str] = []
    handler = logger.add(seen.append, level="WARNING", format="{message}")
    yield seen
    logger.remove(handler)


SHAPES: dict[str, dict[str, Any]] = {
    "plain": PROMPT,
    "system": {"messages": [{"role": "system", "content": "s"}, *PROMPT["messages"]]},
    "tools": PROMPT | {"tools": TOOLS},
    "calls": {
        "messages": [
            *PROMPT["messages"],
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "found <|im_end|>"},
        ]
    },
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": t} for t in "ab"], "name": "ann"}]},
    "options": PROMPT | {"extra_body": {"chat_template_kwargs": {"thinking": False}}},
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_each_shape_is_checked_once_and_then_counted_here(folder: Path, shape: str, warnings: list[str]) -> None:
    server = Tokenizing(folder)
    count = counter(server, folder)
    payload = SHAPES[shape]
    expected = Count(server.local.count_chat(chat_body(payload, "m"), "string"), exact=True)
    assert count.count(payload) == await count.acount(payload) == expected
    assert len(server.asked) == 1
    assert server.asked[0]["messages"] != payload["messages"]
    assert warnings == []


async def test_bare_text_is_counted_here(folder: Path) -> None:
    server = Tokenizing(folder)
    count = counter(server, folder)
    expected = Count(server.local.count_whole("the river <|im_end|>"), exact=True)
    assert await count.acount_text("the river <|im_end|>") == expected
    assert len(server.asked) == 1


def test_the_content_format_is_the_servers(folder: Path) -> None:
    template = TEMPLATE.replace("(m.content or '')", "(m.content | string)")
    server = Tokenizing(write_model(folder, template), form="openai")
    count = counter(server, folder)
    payload = SHAPES["parts"]
    assert (
        count.count(payload).tokens
        == server.local.count_chat(payload, "openai")
        != server.local.count_chat(payload, "string")
    )
    assert len(server.asked) == 1


@pytest.mark.parametrize("difference", [{"off": 1}, {"status": 400}])
def test_a_difference_switches_local_counts_off(folder: Path, warnings: list[str], difference: Any) -> None:
    server = Tokenizing(folder, **difference)
    count = counter(server, folder)
    server.status = difference.get("status", 200)
    if server.status == 200:
        assert count.count(PROMPT).tokens == server.local.count_chat(PROMPT, "string") + 1
    else:
        with pytest.raises(httpx2.HTTPStatusError):
            count.count(PROMPT)
        server.status = 200
    assert count.count(PROMPT | {"tools": TOOLS}).exact is True
    assert server.asked[-1]["tools"] == TOOLS
    [warning] = warnings
    assert "tokens of scripted are not counted with" in warning
    assert "words are these" not in warning


def test_a_busy_server_checks_nothing_and_is_asked_again(folder: Path, warnings: list[str]) -> None:
    server = Tokenizing(folder, status=503)
    count = counter(server, folder)
    with pytest.raises(httpx2.HTTPStatusError):
        count.count(PROMPT)
    server.status = 200
    assert [count.count(PROMPT).exact, count.count(PROMPT).exact, len(server.asked), warnings] == [True, True, 2, []]


@pytest.mark.parametrize(
    "template", ["{{ raise_exception('no') }}", "{% if messages | length > 1 %}{{ 1 / 0 }}{% endif %}x"]
)
def test_what_the_template_refuses_is_left_to_the_server(folder: Path, template: str, warnings: list[str]) -> None:
    server = ScriptedServer()
    count = counter(server, write_model(folder, template))
    assert [count.count(PROMPT).exact, count.count(PROMPT).exact] == [True, True]
    assert [seen.body["messages"] for seen in server.requests] == [PROMPT["messages"]]
    assert warnings == []


@pytest.mark.parametrize(
    "payload",
    [
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]},
        PROMPT | {"extra_body": {"chat_template": "x"}},
        {"messages": [{"role": "developer", "content": "x"}]},
    ],
)
def test_what_cannot_be_counted_here_the_server_counts(
    folder: Path, payload: dict[str, Any], warnings: list[str]
) -> None:
    server = Tokenizing(folder)
    count = counter(server, folder)
    assert count.count(payload) == Count(7, exact=True)
    assert server.asked[-1]["messages"] == payload["messages"]
    assert count.count(PROMPT).exact is True
    assert server.asked[-1]["messages"] != PROMPT["messages"]
    assert warnings == []


def test_a_template_without_an_end_switches_local_counts_off(
    folder: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.llm.counting.rendering.RENDER_SECONDS", 0.3)
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    count = counter(ScriptedServer(), write_model(folder, endless))
    assert [count.count(PROMPT).exact, count.count(PROMPT | {"tools": TOOLS}).exact] == [True, True]
    assert len(warnings) == 1
    assert "did not end in" in warnings[0]


def test_a_folder_that_cannot_be_read_is_said_once(tmp_path: Path, warnings: list[str]) -> None:
    count = counter(ScriptedServer(), tmp_path)
    assert [count.count(PROMPT).exact, count.count_text("a").exact] == [True, True]
    assert len(warnings) == 1
    assert "tokenizer.json cannot be read" in warnings[0]


def test_a_report_against_a_local_count_switches_it_off(folder: Path, warnings: list[str]) -> None:
    server = Tokenizing(folder)
    count = counter(server, folder)
    counted = count.count(PROMPT)
    count.reported(counted, counted.tokens)
    assert warnings == []
    count.reported(counted, counted.tokens + 3)
    count.reported(counted, counted.tokens + 3)
    assert len(warnings) == 1
    assert count.count(PROMPT).exact is True
    assert server.asked[-1]["messages"] == PROMPT["messages"]


def test_a_server_that_does_not_count_confirms_local_counts_by_its_reports(folder: Path, warnings: list[str]) -> None:
    server = ScriptedServer()
    count = counter(server, folder, counting="none")
    true = open_local(folder).count_chat(PROMPT, "string")
    first = count.count(PROMPT)
    assert (first.tokens, first.exact) == (measure(PROMPT).bound, False)
    count.reported(first, true)
    assert count.count(PROMPT) == Count(true, exact=True)
    other = count.count(PROMPT | {"tools": TOOLS})
    assert other.exact is False
    count.reported(other, 1)
    assert count.count(PROMPT) == first
    assert (len(warnings), server.requests) == (1, [])


@pytest.mark.parametrize("counting", ["vllm", "none"])
async def test_nothing_is_rendered_tokenized_or_measured_on_the_event_loop(
    folder: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[Thread] = []

    def seen(of: Any, name: str) -> None:
        work = getattr(of, name)
        monkeypatch.setattr(of, name, lambda *given: (threads.append(current_thread()), work(*given))[1])

    for of, name in (
        (LocalTokens, "count_chat"),
        (LocalTokens, "count_text"),
        (checked, "open_local"),
        (tokens, "measure"),
    ):
        seen(of, name)
    count = counter(ScriptedServer(), folder, counting=counting)
    for payload in SHAPES.values():
        await count.acount(payload)
    await count.acount_text("short")
    assert threads
    assert main_thread() not in threads


def test_the_memory_of_shapes_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked, "MAX_SHAPES", 1)
    server = Tokenizing(folder)
    count = counter(server, folder)
    for payload in (PROMPT, PROMPT | {"tools": TOOLS}, PROMPT | {"tools": TOOLS}):
        assert count.count(payload).exact is True
    assert [body["messages"] == PROMPT["messages"] for body in server.asked] == [False, True]
