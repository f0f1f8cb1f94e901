"""The embedded engine counts beforehand what it reports afterwards."""

from typing import Any

from hypothesis import given, settings

from infra.engine.core import Engine
from infra.engine.transport import EngineAsyncTransport, EngineTransport
from infra.llm.backends import Transports, choose
from infra.llm.endpoint import open_clients
from infra.llm.tokens import TokenCounter
from infra.settings import load_settings
from tests.infra.llm.requests import REQUESTS

SETTINGS = load_settings(backend="engine", engine={"context_window": 131_072})
ENGINE = Engine(SETTINGS.engine)
TRANSPORTS = Transports(EngineTransport(ENGINE), EngineAsyncTransport(ENGINE))
BACKEND = choose(SETTINGS, TRANSPORTS)
CLIENTS = open_clients(TRANSPORTS, connect_seconds=1, call_seconds=60)
COUNTER = TokenCounter(BACKEND, CLIENTS)


@settings(max_examples=300, deadline=None)
@given(REQUESTS)
def test_every_count_is_what_the_engine_says_it_used(request: dict[str, Any]) -> None:
    counted = COUNTER.count(request)
    sent = {"model": BACKEND.model, "max_tokens": 1, **request}
    said = CLIENTS.blocking.post(f"{BACKEND.base_url}/chat/completions", json=sent).raise_for_status().json()
    assert (counted.exact, counted.tokens) == (True, said["usage"]["prompt_tokens"])
