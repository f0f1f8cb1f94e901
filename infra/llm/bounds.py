"""What one request to a model server may take, whatever the server does: seconds, bytes and the form of its answer.

Gives `bounded_blocking` and `bounded_awaiting`, transports stacked over those that carry the requests; `timeout_of`,
the times a client waits; and exceptions that say what went wrong: `OutOfTime`, `NotAReply`, `StreamBroken`. Held here:
the total time of a request (also against a server that sends a byte now and then), the size of its answer, and that a
chat completion is JSON or an event stream. A compressed answer is not asked for and not taken: its size could not be
known. A refusal (status 400 and above) is known by its status: of its body, what can be had in these bounds is taken.

An awaiting caller is interrupted when the total is over. One that blocks cannot be, and notices with the next byte:
`bounded_blocking` is for what answers in process. The network is always awaited (`infra.llm.network`).
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing, contextmanager
from typing import Literal, cast

import httpx2

from infra.settings import CallSettings

MAX_JSON_BYTES = 8 * 2**20
MAX_EVENT_BYTES = 32 * 2**20
SETTING = "DOCMIND_CALLS__"
TOTAL = "total_seconds"  # a request's own, among its httpx2 extensions, in place of the settings'
Limit = Literal["first_token", "stall", "total"]
_SHOWN_BYTES = 200
_OK, _REFUSED = 200, 400
_PASSED: dict[Limit, str] = {"first_token": "no word within", "stall": "silent for", "total": "not done after"}
_JSON, _EVENTS = "application/json", "text/event-stream"


class OutOfTime(httpx2.ReadTimeout):
    """A server took longer than it may.

    Attributes:
        setting: name of the setting that decides.
    """

    def __init__(self, calls: CallSettings, limit: Limit) -> None:
        seconds = {
            "first_token": calls.first_token_seconds,
            "stall": calls.stall_seconds,
            "total": calls.total_seconds,
        }[limit]
        super().__init__(f"{_PASSED[limit]} {round(seconds, 2):g} s")
        self.setting = f"{SETTING}{limit.upper()}_SECONDS"


class NotAReply(httpx2.DecodingError):
    """An answer cannot be a chat completion: of another type, compressed, or too long."""


class StreamBroken(httpx2.RemoteProtocolError):
    """A stream ended without saying that it is finished."""


def timeout_of(calls: CallSettings, *, streamed: bool) -> httpx2.Timeout:
    """Return how long a chat completion waits; a reply that comes in one piece may be silent until it is whole.

    For one of our own connections it waits half of the time for the first word: when that is over, the server is not
    to blame, and it must not look as if it were.
    """
    silence = max(calls.first_token_seconds, calls.stall_seconds) if streamed else calls.total_seconds
    own = min(calls.first_token_seconds, calls.total_seconds) / 2
    return httpx2.Timeout(min(silence, calls.total_seconds), connect=calls.connect_seconds, pool=own)


def bounded_blocking(inner: httpx2.BaseTransport, calls: CallSettings) -> httpx2.BaseTransport:
    """Return a transport that carries over ``inner`` what keeps within ``calls``' total time and the size caps."""
    return _Blocking(inner, calls)


def bounded_awaiting(inner: httpx2.AsyncBaseTransport, calls: CallSettings) -> httpx2.AsyncBaseTransport:
    """Return a transport that carries over ``inner`` what keeps within ``calls``' total time and the size caps."""
    return _Awaiting(inner, calls)


class _Watch:
    """One exchange: when it began, what has come, what is allowed."""

    def __init__(self, request: httpx2.Request, calls: CallSettings) -> None:
        request.headers["Accept-Encoding"] = "identity"
        if (total := request.extensions.get(TOTAL)) is not None:
            calls = calls.model_copy(update={TOTAL: total})
        self._calls = calls
        self._is_chat = request.url.path.endswith("/chat/completions")
        self._silence: float = request.extensions.get("timeout", {}).get("read") or calls.total_seconds
        self._deadline = time.monotonic() + calls.total_seconds
        self._most = MAX_JSON_BYTES
        self._received = 0
        self._problem = ""
        self._refused = self._packed = False

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return max(0.0, self._deadline - time.monotonic())

    def began(self, response: httpx2.Response) -> httpx2.Response:
        """Look at the head of the answer; what is wrong is said with its first bytes."""
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        self._most = MAX_EVENT_BYTES if kind == _EVENTS else MAX_JSON_BYTES
        self._refused = response.status_code >= _REFUSED
        self._packed = response.headers.get("content-encoding", "identity").lower() != "identity"
        if self._refused:
            response.headers.pop("content-encoding", None)  # or httpx2 would fail to unpack it
        elif self._packed:
            self._problem = "a compressed answer"
        elif self._is_chat and response.status_code == _OK and kind not in (_JSON, _EVENTS):
            self._problem = kind or "no content type"
        elif _length(response) > self._most:
            self._problem = f"{_length(response):,} bytes, more than {self._most:,}"
        return response

    def took(self, piece: bytes) -> bytes:
        """Take a part of the answer's body. Raises OutOfTime and NotAReply."""
        self._received += len(piece)
        if self._problem:
            raise NotAReply(f"{self._problem}: {piece[:_SHOWN_BYTES].decode('utf-8', 'replace')}")
        if self._received > self._most:
            raise NotAReply(f"more than {self._most:,} bytes")
        if not self.left:
            raise self._late()
        return b"" if self._packed else piece

    def ended(self) -> None:
        """Note the body's end. Raises NotAReply."""
        if self._problem and not self._received:
            raise NotAReply(f"{self._problem}: an empty body")

    @contextmanager
    def named(self) -> Generator[None]:
        """Say of every silence that is too long which setting decides; the rest of a refusal's body is left."""
        try:
            yield
        except (httpx2.HTTPError, TimeoutError) as error:
            if self._refused:  # its status says more than how its body ended
                return
            if isinstance(error, OutOfTime):
                raise
            if isinstance(error, TimeoutError):
                raise self._late() from error
            if isinstance(error, httpx2.ReadTimeout | httpx2.WriteTimeout):
                raise self._silent() from error
            raise

    def _late(self) -> OutOfTime:
        return OutOfTime(self._calls, "total")

    def _silent(self) -> OutOfTime:
        if self._silence >= self._calls.total_seconds:
            return self._late()
        return OutOfTime(self._calls, "first_token" if self._is_chat and not self._received else "stall")


def _length(response: httpx2.Response) -> int:
    """Return the length that an answer gives itself; 0 where it gives none that can be read."""
    told = response.headers.get("content-length", "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 20 else 0  # noqa: PLR2004 - digits of 2**64


class _Blocking(httpx2.BaseTransport):
    def __init__(self, inner: httpx2.BaseTransport, calls: CallSettings) -> None:
        self._inner, self._calls = inner, calls

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        watch = _Watch(request, self._calls)
        with watch.named():
            response = watch.began(self._inner.handle_request(request))
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Body(response.stream, watch)
        return response

    def close(self) -> None:
        self._inner.close()


class _Awaiting(httpx2.AsyncBaseTransport):
    def __init__(self, inner: httpx2.AsyncBaseTransport, calls: CallSettings) -> None:
        self._inner, self._calls = inner, calls

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        watch = _Watch(request, self._calls)
        with watch.named():
            async with asyncio.timeout(watch.left):
                response = watch.began(await self._inner.handle_async_request(request))
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _AwaitedBody(response.stream, watch)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Body(httpx2.SyncByteStream):
    def __init__(self, inner: httpx2.SyncByteStream, watch: _Watch) -> None:
        self._inner, self._watch = inner, watch

    def __iter__(self) -> Iterator[bytes]:
        with self._watch.named():
            for piece in self._inner:
                yield self._watch.took(piece)
        self._watch.ended()

    def close(self) -> None:
        self._inner.close()


class _AwaitedBody(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, watch: _Watch) -> None:
        self._inner, self._watch = inner, watch

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(cast("AsyncGenerator[bytes]", aiter(self._inner))) as pieces:
            while True:
                taken = None
                with self._watch.named():
                    async with asyncio.timeout(self._watch.left):
                        piece = await anext(pieces, None)
                    taken = None if piece is None else self._watch.took(piece)
                if taken is None:
                    break
                yield taken
        self._watch.ended()

    async def aclose(self) -> None:
        await self._inner.aclose()
