"""The network, for callers in any event loop and in none.

Gives `PerLoop`, an awaiting transport that may be used in several event loops, and `blocking_over`, which carries a
blocking caller's requests over an awaiting transport, in a loop that runs in a thread of its own. A connection belongs
to the loop that opened it, so each loop has its own; they are closed as the loop ends. What awaits can be ended at any
moment: a blocking read cannot, its timeout begins anew with each byte. So blocking callers wait, too, no longer than
the time that `infra.llm.bounds` gives the awaiting transport, the resolving of names included.
"""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from contextlib import suppress
from functools import partial
from threading import Lock, Thread
from typing import Any, TypeVar, cast

import httpx2

from infra.llm.background import awaited, in_background

MAX_LOOPS = 32
CLOSE_SECONDS = 1.0

Made = TypeVar("Made")


class PerLoop(httpx2.AsyncBaseTransport):
    """Carries each event loop's requests over a transport of that loop.

    Args:
        build: makes one; called on a loop's first request.
    """

    def __init__(self, build: Callable[[], httpx2.AsyncBaseTransport]) -> None:
        self._build = build
        self._open: dict[asyncio.AbstractEventLoop, AsyncGenerator[httpx2.AsyncBaseTransport]] = {}
        self._transports: dict[asyncio.AbstractEventLoop, httpx2.AsyncBaseTransport] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Carry one request."""
        loop = asyncio.get_running_loop()
        if loop not in self._transports:
            self._forget()
            opened = _until_the_loop_ends(self._build(), partial(self._drop, loop))
            self._transports[loop] = await anext(opened)
            self._open[loop] = opened
        return await self._transports[loop].handle_async_request(request)

    async def aclose(self) -> None:
        """Close what this loop opened; other loops close theirs as they come to it."""
        mine = self._open.get(asyncio.get_running_loop())
        for loop in list(self._open):
            self._drop(loop)
        if mine is not None:
            await mine.aclose()

    def _forget(self) -> None:
        """Let go of loops that have ended; of those that stand still when there are too many."""
        for loop in list(self._open):
            if loop.is_closed() or (len(self._open) >= MAX_LOOPS and not loop.is_running()):
                self._drop(loop)

    def _drop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let go of a loop's transport: it is closed there when nobody holds its generator any more (PEP 525)."""
        self._transports.pop(loop, None)
        self._open.pop(loop, None)


async def _until_the_loop_ends(
    transport: httpx2.AsyncBaseTransport, ended: Callable[[], None]
) -> AsyncGenerator[httpx2.AsyncBaseTransport]:
    """Hold a transport; whoever ends a loop properly (`asyncio.run`) ends its generators first, and so closes it."""
    try:
        yield transport
    finally:
        ended()
        await transport.aclose()


def blocking_over(inner: httpx2.AsyncBaseTransport) -> httpx2.BaseTransport:
    """Return a transport for blocking callers; ``inner`` decides how long each of its steps may take."""
    return _Blocking(inner)


class _Blocking(httpx2.BaseTransport):
    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = _done(self._inner.handle_async_request(request))
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Body(response.stream)
        return response

    def close(self) -> None:
        _closed(self._inner.aclose())


class _Body(httpx2.SyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner
        self._pieces = cast("AsyncGenerator[bytes]", aiter(inner))

    def __iter__(self) -> Iterator[bytes]:
        while (piece := _done(_next(self._pieces))) is not None:
            yield piece

    def close(self) -> None:
        _closed(self._end())

    async def _end(self) -> None:
        with suppress(RuntimeError):  # a read that was given up may be ending them itself
            await self._pieces.aclose()
        await self._inner.aclose()


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    return await anext(pieces, None)


def _done(work: Coroutine[Any, Any, Made], seconds: float | None = None) -> Made:
    """Return what ``work`` comes to in the loop of blocking callers; who stops waiting for it ends it."""
    future = asyncio.run_coroutine_threadsafe(work, _loops.running())
    try:
        return future.result(seconds)
    except BaseException:
        future.cancel()
        raise
    finally:
        del future  # it knows the exception, whose traceback knows this frame


def _closed(closing: Coroutine[Any, Any, None]) -> None:
    """Close something, without waiting for one that holds on: at the program's end nobody answers any more."""
    with suppress(TimeoutError):
        _done(closing, CLOSE_SECONDS)


class _Loop(asyncio.SelectorEventLoop):
    """A loop whose names are resolved in threads that nobody waits for; asyncio's hold up the program's end."""

    async def getaddrinfo(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the socket module's
        return await awaited(in_background(partial(socket.getaddrinfo, *args, **kwargs)))


class _Loops:
    """The one loop of all blocking callers: begun with the first of them, and anew in a forked process."""

    def __init__(self) -> None:
        self._forked()
        os.register_at_fork(after_in_child=self._forked)

    def running(self) -> asyncio.AbstractEventLoop:
        """Return the loop."""
        with self._lock:
            if self._loop is None:
                self._loop = _Loop()
                Thread(target=self._loop.run_forever, daemon=True, name="docmind-network").start()
            return self._loop

    def _forked(self) -> None:
        self._lock = Lock()
        self._loop: _Loop | None = None


_loops = _Loops()
