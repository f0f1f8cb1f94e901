"""Nothing of the environment reaches a request, whatever the vendors' packages would read from it."""

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from langchain_openai import ChatOpenAI
from openai.types.chat import ChatCompletionChunk
from pydantic import SecretStr

from infra.llm.backends import build_budget, build_desk, chat_over
from infra.llm.endpoint import open_clients
from infra.llm.ledger import Ledger, Scope
from infra.llm.sdk import sdk_clients
from infra.settings import load_settings
from tests.fakes import ScriptedServer
from tests.infra.llm.bench import BACKEND, WAYS, Bench, look, say

NASTY = "x-leaked: somebody's\nAuthorization: Bearer somebody's\nHost: elsewhere.example\nContent-Length: 3\nX-Ü: ü"
ELSEWHERE = "http://127.0.0.1:1/v1"
# openai 3.52 (lib/_client_auth, _client), langchain-openai 1.7 (ChatOpenAI's fields and validator, _client_utils),
# langchain-core (utils/_gateway, language_models.chat_models) and httpx2 read these.
ENVIRONMENT = {
    "OPENAI_API_KEY": "somebody's",
    "OPENAI_ADMIN_KEY": "somebody's",
    "OPENAI_ORG_ID": "somebody's",
    "OPENAI_ORGANIZATION": "somebody's",
    "OPENAI_PROJECT_ID": "somebody's",
    "OPENAI_WEBHOOK_SECRET": "somebody's",
    "OPENAI_CUSTOM_HEADERS": NASTY,
    "OPENAI_BASE_URL": ELSEWHERE,
    "OPENAI_API_BASE": ELSEWHERE,
    "OPENAI_PROXY": ELSEWHERE,
    "OPENAI_API_TYPE": "azure",
    "OPENAI_API_VERSION": "somebody's",
    "AZURE_OPENAI_ENDPOINT": ELSEWHERE,
    "AZURE_OPENAI_API_KEY": "somebody's",
    "AZURE_OPENAI_AD_TOKEN": "somebody's",
    "LANGSMITH_GATEWAY": ELSEWHERE,
    "LANGSMITH_GATEWAY_API_KEY": "somebody's",
    "LANGSMITH_API_KEY": "somebody's",
    "LANGCHAIN_OPENAI_TCP_KEEPALIVE": "0",
    "LANGCHAIN_OPENAI_STREAM_CHUNK_TIMEOUT_S": "0.000001",
    "LC_OUTPUT_VERSION": "v1",
    **{name: ELSEWHERE for way in ("HTTP", "HTTPS", "ALL") for name in (f"{way}_PROXY", f"{way.lower()}_proxy")},
    "SSL_CERT_FILE": "/nowhere",
    "SSL_CERT_DIR": "/nowhere",
    "NETRC": "/nowhere",
}
SENT = {
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "user-agent",
    "x-stainless-raw-response",
    "x-stainless-read-timeout",
    "x-stainless-retry-count",
}


def guarded(answers: int, key: str = "ours") -> Bench:
    server, ledger = ScriptedServer(["fine"] * answers), Ledger()
    settings = load_settings(vllm={"api_key": key})
    budget = build_budget(settings)
    desk = build_desk(replace(BACKEND, context_window=8_192), settings, ledger, budget, server.transports)
    chat = chat_over(desk, settings)
    return Bench(chat.scoped(Scope("q1", "t", "a")), server, ledger, budget)


@pytest.mark.parametrize("way", WAYS)
async def test_no_request_carries_anything_of_the_environment(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = guarded(1)
    await say(plain, way)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    b = guarded(1)
    assert (await say(b, way)).strip() == "fine"
    assert [(seen.path, seen.body, seen.headers) for seen in b.server.requests] == [
        (seen.path, seen.body, seen.headers) for seen in plain.server.requests
    ]
    for seen in b.server.requests:
        assert set(seen.headers) <= SENT
        assert (seen.headers["authorization"], seen.headers["host"]) == ("Bearer ours", "127.0.0.1:8000")


async def test_nor_does_a_call_with_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    b = guarded(2)
    for reply in (await b.vendor.bind_tools([look]).ainvoke("q"), b.vendor.bind_tools([look]).invoke("q")):
        assert reply.content == "fine"
    assert all(set(seen.headers) <= SENT for seen in b.server.requests)


async def test_a_key_that_is_empty_is_not_taken_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    b = guarded(1, key="")
    await b.chat.ainvoke("q")
    assert [seen.headers.get("authorization") for seen in b.server.requests] == [None, "Bearer none"]


words = st.none() | st.text(max_size=3)
deltas = st.fixed_dictionaries({}, optional={"content": words, "role": st.sampled_from([None, "assistant", "user"])})
choices = st.fixed_dictionaries({"delta": deltas}, optional={"finish_reason": words, "logprobs": st.none()})
names = dict.fromkeys(["id", "model", "system_fingerprint", "service_tier", "more"], words)
plain = st.fixed_dictionaries({"choices": choices.map(lambda choice: [choice])}, optional={**names, "usage": st.none()})

clients = open_clients(None, connect_seconds=1, call_seconds=1)
roots = sdk_clients(ELSEWHERE, "", clients)
vendor = cast("Any", ChatOpenAI(model="m", api_key=SecretStr("none")))


def processed(piece: object, root: str = "root_client") -> Any:
    return roots[root]._process_response_data(data=piece, cast_to=ChatCompletionChunk, response=cast("Any", None))


@given(plain)
def test_a_piece_says_the_same_typed_or_as_it_came(piece: dict[str, Any]) -> None:
    def read(chunk: dict[str, Any]) -> Any:
        return vendor._convert_chunk_to_generation_chunk(chunk, AIMessageChunk, {})

    typed = ChatCompletionChunk.construct(**piece).model_dump(warnings=False)
    assert read(processed(piece) if piece["choices"][0]["delta"] else typed) == read(typed)


@pytest.mark.parametrize("root", ["root_client", "root_async_client"])
def test_a_piece_of_plain_words_is_not_typed(root: str) -> None:
    piece = {"choices": [{"index": 0, "delta": {"content": "a"}}]}
    assert processed(piece, root) is piece


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": [{"delta": {"content": ["a"]}}]},
        {"choices": [{"delta": {"content": "a", "tool_calls": [{}]}}]},
        {"choices": [{"delta": {"content": "a", "function_call": {}, "role": 3}}]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {"content": "a"}}] * 2},
        {"choices": ["a"]},
        {"choices": {"delta": {"content": "a"}}},
        {"choices": [{"delta": {"content": "a"}}], "usage": {"prompt_tokens": 1}},
        {"choices": [{"delta": {"content": "a"}, "logprobs": {"content": []}}]},
        {"choices": [{"delta": {"content": "a"}, "finish_reason": 3}]},
        {},
    ],
)
def test_a_piece_of_any_other_form_goes_the_sdks_way(odd: dict[str, Any]) -> None:
    for root in ("root_client", "root_async_client"):
        assert isinstance(processed(odd, root), ChatCompletionChunk)
