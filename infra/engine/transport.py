"""The engine in process, as a transport: ``httpx2.Client(transport=EngineTransport(engine))``, and the async twin.

Chunks are passed on as they become due; closing a response, or cancelling its reader, ends the reply there. A reply
that lets its reader wait longer than the client's read timeout fails with ``httpx2.ReadTimeout``, as over a socket. The
address does not matter: ``BASE_URL`` is one that resolves nowhere.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx2

from infra.engine.core import Engine
from infra.engine.exchange import Answer, Chunk, Request

BASE_URL = "http://engine.invalid/v1"


class EngineTransport(httpx2.BaseTransport):
    """Carries requests of a synchronous client to ``engine``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        arrived = self._engine.clock.now()
        request.read()
        asked = _request_of(request, arrived)
        answer = self._engine.handle(asked)
        stream = _Stream(self._engine, answer, _Patience(request, arrived))
        return httpx2.Response(answer.status, headers=answer.headers, stream=stream, request=request)


class EngineAsyncTransport(httpx2.AsyncBaseTransport):
    """Carries requests of an asynchronous client to ``engine``; the rules run off the event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        arrived = self._engine.clock.now()
        await request.aread()
        asked = _request_of(request, arrived)
        answer = await asyncio.to_thread(self._engine.handle, asked)
        stream = _AsyncStream(self._engine, answer, _Patience(request, arrived))
        return httpx2.Response(answer.status, headers=answer.headers, stream=stream, request=request)


class _Patience:
    """How long the reader waits for bytes: at most its read timeout from when it began to wait for them."""

    def __init__(self, request: httpx2.Request, arrived: float) -> None:
        self._request = request
        self._longest: float | None = request.extensions.get("timeout", {}).get("read")
        self._arrived = arrived
        self._since = arrived

    def wait_for(self, chunk: Chunk, now: float) -> float:
        """Return the seconds until ``chunk`` is due. Raises ReadTimeout where that is later than the reader waits."""
        due = self._arrived + chunk.due_seconds
        if self._longest is not None and due - self._since > self._longest:
            raise httpx2.ReadTimeout("The engine's next token is due after the read timeout", request=self._request)
        return due - now

    def came_back(self, now: float) -> None:
        """Note that the reader took bytes and waits for more."""
        self._since = now


class _Stream(httpx2.SyncByteStream):
    def __init__(self, engine: Engine, answer: Answer, patience: _Patience) -> None:
        self._clock, self._answer, self._patience = engine.clock, answer, patience

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._answer.chunks:
            self._clock.wait(self._patience.wait_for(chunk, self._clock.now()))
            if chunk.data:
                yield chunk.data
                self._patience.came_back(self._clock.now())

    def close(self) -> None:
        """End the reply where it is."""
        self._answer.chunks.close()


class _AsyncStream(httpx2.AsyncByteStream):
    def __init__(self, engine: Engine, answer: Answer, patience: _Patience) -> None:
        self._clock, self._answer, self._patience = engine.clock, answer, patience

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._answer.chunks:
            await self._clock.wait_async(self._patience.wait_for(chunk, self._clock.now()))
            if chunk.data:
                yield chunk.data
                self._patience.came_back(self._clock.now())

    async def aclose(self) -> None:
        """End the reply where it is."""
        self._answer.chunks.close()


def _request_of(request: httpx2.Request, arrived: float) -> Request:
    kind = request.headers.get("content-type", "")
    return Request(request.method.upper(), request.url.path, kind, request.content, arrived)
