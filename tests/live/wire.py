"""The wire to a real server, watched: every request that leaves and the status it comes back with."""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx2

from infra.llm.endpoint import Transports


@dataclass(frozen=True, slots=True)
class Sent:
    """One chat completion: its body, and the server's status."""

    body: dict[str, Any]
    status: int


@dataclass
class Wire(httpx2.AsyncBaseTransport, httpx2.BaseTransport):
    """The network, as a transport that keeps every chat completion."""

    sent: list[Sent] = field(default_factory=list[Sent])
    _blocking: httpx2.HTTPTransport = field(default_factory=httpx2.HTTPTransport)
    _awaiting: httpx2.AsyncHTTPTransport = field(default_factory=httpx2.AsyncHTTPTransport)

    @property
    def transports(self) -> Transports:
        return Transports(blocking=self, awaiting=self)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = self._blocking.handle_request(request)
        self._keep(request, response.status_code)
        return response

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._awaiting.handle_async_request(request)
        self._keep(request, response.status_code)
        return response

    def _keep(self, request: httpx2.Request, status: int) -> None:
        if request.url.path.endswith("/chat/completions"):
            self.sent.append(Sent(json.loads(request.content), status))

    def close(self) -> None:
        self._blocking.close()

    async def aclose(self) -> None:
        self._blocking.close()
        await self._awaiting.aclose()


def tokens_asked_for(url: str, sent: Sent) -> int:
    """Return prompt and longest reply of a request in tokens, the prompt as the server counts it."""
    body = {key: sent.body[key] for key in ("model", "messages", "tools") if key in sent.body}
    counted = httpx2.post(url.removesuffix("/v1") + "/tokenize", json=body, timeout=60)
    return int(counted.raise_for_status().json()["count"]) + int(sent.body["max_tokens"])
