"""Nothing of the environment reaches a request, whatever the vendors' packages would read from it."""

from dataclasses import replace

import pytest

from infra.llm.backends import build_budget, build_desk, chat_over
from infra.llm.ledger import Ledger, Scope
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
