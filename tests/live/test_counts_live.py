"""Counts before the call against a real vLLM's usage after it: here, and at /tokenize, on 1,000 generated requests."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from loguru import logger

from graph.bench import counting
from infra.llm.counting.shapes import shape_of
from infra.llm.endpoint import Backend, Clients, open_clients
from infra.llm.tokens import Count, TokenCounter, chat_body
from tests.infra.llm.requests import REQUESTS

pytestmark = pytest.mark.live
WANTED = 1_000
GENERATED = 1_300  # some are longer than the server's window: their counts are compared, but nothing reports them
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Counted:
    """One request: counted here, counted at /tokenize, and as reported (None: refused as too long)."""

    request: dict[str, Any]
    local: Count
    server: Count
    used: int | None


@dataclass(frozen=True, slots=True)
class Live:
    """The server, one counter with its model's folder and one without."""

    clients: Clients
    backend: Backend
    local: TokenCounter
    server: TokenCounter

    def counted(self, request: dict[str, Any]) -> Counted:
        return Counted(request, self.local.count(request), self.server.count(request), self.used(request))

    def used(self, request: dict[str, Any]) -> int | None:
        sent = {"model": self.backend.model, "max_tokens": 1, **request}
        response = self.clients.blocking.post(f"{self.backend.base_url}/chat/completions", json=sent)
        if response.status_code == 400 and "maximum context length" in response.text:
            return None
        return response.raise_for_status().json()["usage"]["prompt_tokens"]


@pytest.fixture(scope="module")
def live(live_url: str) -> Iterator[Live]:
    clients = open_clients(None, connect_seconds=5, call_seconds=60)
    [model] = clients.blocking.get(f"{live_url}/models").raise_for_status().json()["data"]
    facts = ("vllm", model["id"], "vllm", model["max_model_len"], live_url)
    with_folder = Backend(*facts, tokenizer=Path(model["root"]))
    yield Live(clients, with_folder, TokenCounter(with_folder, clients), TokenCounter(Backend(*facts), clients))
    clients.close()


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    seen: list[str] = []
    handler = logger.add(seen.append, level="WARNING", format="{message}")
    yield seen
    logger.remove(handler)


def generated() -> list[dict[str, Any]]:
    """Return the same requests every time."""
    requests: list[dict[str, Any]] = []

    @settings(
        max_examples=GENERATED,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(REQUESTS)
    def collect(request: dict[str, Any]) -> None:
        requests.append(request)

    run: Callable[[], None] = collect
    run()
    return requests


def test_every_count_is_what_the_server_reports(live: Live, warnings: list[str]) -> None:
    requests = generated()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(live.counted, requests))
    wrong = [each for each in results if not each.local.exact or not each.server.exact]
    wrong += [each for each in results if each.local.tokens != each.server.tokens]
    wrong += [each for each in results if each.used is not None and each.used != each.local.tokens]
    wrong += [each for each in results if each.used is None and each.local.tokens < live.backend.context_window]
    assert min(wrong, key=lambda each: len(json.dumps(each.request)), default=None) is None
    assert len([each for each in results if each.used is not None]) >= WANTED
    assert all(each.local.basis.local == each.local.tokens for each in results), "all were counted here"
    assert {8, 0} <= {len(each.request.get("tools", [])) for each in results}
    assert len({shape_of(chat_body(each.request, "m")) for each in results}) >= 10
    assert warnings == []


@pytest.mark.parametrize(
    "options",
    [
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"add_generation_prompt": False},
        {"add_generation_prompt": False, "continue_final_message": True},
        {"reasoning_effort": "low"},
    ],
)
@pytest.mark.parametrize("last", [{"role": "user", "content": "x"}, {"role": "developer", "content": "y"}])
def test_template_options_and_other_roles_are_counted_too(live: Live, options: Any, last: dict[str, Any]) -> None:
    request = {"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}, last]}
    counted = live.counted(request | options)
    assert (counted.local.tokens, counted.server.tokens, counted.local.exact) == (counted.used, counted.used, True)


def test_an_empty_text_and_a_text_of_special_tokens_are_counted_alike(live: Live) -> None:
    for text in ("", " ", "<|im_start|><|im_end|><tool_call>", "\x00", "e\u0301 \U0001f469\u200d\U0001f469"):
        assert live.local.count_text(text) == live.server.count_text(text)


def test_counting_is_measured_against_this_server(live: Live) -> None:
    figures = counting.run(live.backend.tokenizer, live.backend.base_url, 20_000)
    assert figures["exact"] is True
    assert figures["server_round_trip_ms"] > figures["warm_ms"]
