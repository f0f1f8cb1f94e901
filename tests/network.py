"""Several fake servers on one network, by port, without a socket; and the engine's rules as a script for them."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from infra.engine.core import Engine
from infra.engine.protocol import MODEL_ID
from infra.engine.transport import BASE_URL, EngineTransport
from infra.llm.endpoint import Transports
from infra.settings import EngineSettings
from tests.fakes import Said


class Net(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """A network of servers by port; nobody else is there."""

    def __init__(self, servers: Mapping[int, Any]) -> None:
        self.servers = dict(servers)

    @property
    def transports(self) -> Transports:
        return Transports(blocking=self, awaiting=self)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return self._server(request).handle_request(request)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self._server(request).handle_async_request(request)

    def _server(self, request: httpx2.Request) -> Any:
        if request.url.port not in self.servers:
            raise httpx2.ConnectError("refused", request=request)
        return self.servers[request.url.port]


def by_rules() -> Callable[[dict[str, Any]], Said]:
    """Return a script that answers as the embedded engine does."""
    client = httpx2.Client(transport=EngineTransport(Engine(EngineSettings())))

    def answer(body: dict[str, Any]) -> Said:
        asked = {key: value for key, value in body.items() if key not in ("stream", "stream_options")}
        answered = client.post(f"{BASE_URL}/chat/completions", json=asked | {"model": MODEL_ID}).json()
        choice = answered["choices"][0]
        calls = [call["function"] for call in choice["message"].get("tool_calls") or ()]
        named = [(call["name"], json.loads(call["arguments"])) for call in calls]
        return Said(choice["message"]["content"] or "", named, choice["finish_reason"])

    return answer
