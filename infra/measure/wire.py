"""Requests as they go out, and sent again by a client that does nothing else.

`Recorder` stands before an awaiting transport and notes every request that it carries: its body, and when it left and
its last byte came. Whose it was says `ASKER`, which is set by whoever asks and goes along with its tasks. `replay`
sends recorded bodies at a server: as many askers at once, the requests of each in their order, no pause between. Its
`client` is opened apart, so that a clock can be started when it is open and its server is warm.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import cast

import httpx2

from infra.measure.spans import Span

ASKER: ContextVar[str] = ContextVar("ASKER", default="")
REPLAY_SECONDS = 120.0
"""How long one replayed request may take."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One request.

    Attributes:
        asker: whose it was.
        path: of the address.
        body: as it went out.
        status: HTTP status of the reply.
        span: from its start to the last byte of its reply; seconds of ``time.perf_counter``.
    """

    asker: str
    path: str
    body: bytes
    status: int
    span: Span


class Recorder(httpx2.AsyncBaseTransport):
    """Carries requests over ``inner``, and adds each to ``sent`` when its reply has been read or given up."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, sent: list[Sent]) -> None:
        self._inner, self._sent = inner, sent

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Carry one request."""
        began, asker = time.perf_counter(), ASKER.get()
        body = await request.aread()
        response = await self._inner.handle_async_request(request)

        def over() -> None:
            span = Span(began, time.perf_counter())
            self._sent.append(Sent(asker, request.url.path, body, response.status_code, span))

        response.stream = _Read(cast(httpx2.AsyncByteStream, response.stream), over)
        return response

    async def aclose(self) -> None:
        """Close what is below."""
        await self._inner.aclose()


class _Read(httpx2.AsyncByteStream):
    """A reply's bytes; ``over`` is called once, at their end."""

    def __init__(self, inner: httpx2.AsyncByteStream, over: Callable[[], None]) -> None:
        self._inner, self._over, self._told = inner, over, False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._inner:
            yield piece
        self._tell()

    async def aclose(self) -> None:
        await self._inner.aclose()
        self._tell()

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            self._over()


def client(base_url: str) -> httpx2.AsyncClient:
    """Return a client for `replay`, with no bound on its connections; to be entered."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx2.AsyncClient(base_url=base_url, timeout=REPLAY_SECONDS, trust_env=False, limits=limits)


async def replay(over: httpx2.AsyncClient, path: str, asked: Sequence[Sequence[bytes]], at_once: int) -> list[Sent]:
    """Send each asker's bodies one after the other, ``at_once`` askers at a time; return the requests as they ended.

    Raises:
        httpx2.HTTPError: the server cannot be reached, or breaks a reply off.
    """
    sent: list[Sent] = []
    free = asyncio.Semaphore(at_once)

    async def one(number: int, bodies: Sequence[bytes]) -> None:
        async with free:
            for body in bodies:
                began = time.perf_counter()
                reply = await over.post(path, content=body, headers={"content-type": "application/json"})
                span = Span(began, time.perf_counter())
                sent.append(Sent(str(number), path, body, reply.status_code, span))

    async with asyncio.TaskGroup() as group:
        for number, bodies in enumerate(asked):
            group.create_task(one(number, bodies))
    return sent
