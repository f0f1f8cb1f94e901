"""The engine as a Starlette app, for a port: every request, whatever its path, goes through ``Engine.handle``.

Gives the same bytes as the transports. Chunks are written when they are due; when the client goes away, the answer's
chunks are closed. No more of a body is kept than shows that it is too large. The rules run off the event loop. Who may
connect is the server's to say.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, closing

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from infra.engine.core import Engine
from infra.engine.exchange import MAX_BODY_BYTES, Answer, Request


def build_app(engine: Engine) -> Starlette:
    """Return the app that serves ``engine``."""
    return Starlette(routes=[Route("/{path:path}", _Door(engine))])


class _Door:
    """The only endpoint, as an ASGI app: unlike a function's, its route takes every method."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived = self._engine.clock.now()
        http = HttpRequest(scope, receive)
        try:
            body = await _bounded_body(http)
        except ClientDisconnect:
            return
        asked = Request(http.method, http.url.path, http.headers.get("content-type", ""), body, arrived)
        answer = await asyncio.to_thread(self._engine.handle, asked)
        with closing(answer.chunks):
            async with aclosing(self._written(answer, arrived)) as written:
                await StreamingResponse(written, answer.status, answer.headers)(scope, receive, send)

    async def _written(self, answer: Answer, arrived: float) -> AsyncGenerator[bytes, None]:
        clock = self._engine.clock
        for chunk in answer.chunks:
            await clock.wait_async(arrived + chunk.due_seconds - clock.now())
            if chunk.data:
                yield chunk.data


async def _bounded_body(http: HttpRequest) -> bytes:
    """Return the body, or one byte more than ``MAX_BODY_BYTES`` of it, which the engine refuses."""
    body = bytearray()
    async for piece in http.stream():
        body += piece[: MAX_BODY_BYTES + 1 - len(body)]
        if len(body) > MAX_BODY_BYTES:
            break
    return bytes(body)
