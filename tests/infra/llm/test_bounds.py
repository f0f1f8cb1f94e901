"""What one exchange with a server may take: seconds, bytes, and the form of its answer."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count
from types import SimpleNamespace

import httpx2
import pytest

from infra.llm.bounds import (
    MAX_EVENT_BYTES,
    MAX_JSON_BYTES,
    TOTAL,
    NotAReply,
    OutOfTime,
    bounded_awaiting,
    bounded_blocking,
    timeout_of,
)
from infra.settings import CallSettings

CHAT = "http://127.0.0.1:1/v1/chat/completions"
MODELS = "http://127.0.0.1:1/v1/models"
CALLS = CallSettings(first_token_seconds=30, stall_seconds=6, total_seconds=90, connect_seconds=2)


class Server(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Answers every request alike, piece by piece; an exception among the pieces is raised."""

    def __init__(self, *pieces: bytes | Exception, status: int = 200, **headers: str) -> None:
        self._pieces, self._status = pieces, status
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.seen: list[httpx2.Request] = []
        self.closed = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.seen.append(request)
        return httpx2.Response(self._status, headers=self._headers, content=self._said())

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.seen.append(request)
        return httpx2.Response(self._status, headers=self._headers, content=self._awaited())

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1

    def _said(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def _awaited(self) -> AsyncIterator[bytes]:
        for piece in self._said():
            yield piece


async def get(
    server: Server,
    url: str = CHAT,
    *,
    blocking: bool,
    calls: CallSettings = CALLS,
    own: dict[str, float] | None = None,
) -> httpx2.Response:
    timeout = timeout_of(calls, streamed=True)
    if blocking:
        with httpx2.Client(transport=bounded_blocking(server, calls), timeout=timeout) as client:
            return client.post(url, extensions=own)
    async with httpx2.AsyncClient(transport=bounded_awaiting(server, calls), timeout=timeout) as client:
        return await client.post(url, extensions=own)


both = pytest.mark.parametrize("blocking", [True, False])


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second goes by whenever the time is asked for."""
    monkeypatch.setattr("infra.llm.bounds.time", SimpleNamespace(monotonic=count(0.0, 1.0).__next__))


@both
@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "text/event-stream"])
async def test_what_keeps_within_its_bounds_passes_unchanged(blocking: bool, kind: str) -> None:
    server = Server(b"a", b"b", content_type=kind)
    reply = await get(server, blocking=blocking)
    assert (reply.status_code, reply.content, reply.headers["content-type"]) == (200, b"ab", kind)
    assert server.closed == 1


@both
@pytest.mark.parametrize(
    ("server", "said"),
    [
        (Server(b"<html>Welcome", content_type="text/html"), "text/html: <html>Welcome"),
        (Server(b"\xff", content_type="application/octet-stream"), "application/octet-stream: \ufffd"),
        (Server(b"x"), "no content type: x"),
        (Server(content_type="text/plain"), "text/plain: an empty body"),
        (Server(b"\x1f", content_type="application/json", content_encoding="gzip"), "a compressed answer: \x1f"),
        (
            Server(b"{", content_type="application/json", content_length=str(MAX_JSON_BYTES + 1)),
            "8,388,609 bytes, more than 8,388,608: {",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_a_chat_completion_is_said_with_its_first_bytes(
    server: Server, said: str, blocking: bool
) -> None:
    with pytest.raises(NotAReply) as refused:
        await get(server, blocking=blocking)
    assert str(refused.value) == said


@both
async def test_only_chat_completions_that_worked_must_be_of_the_right_type(blocking: bool) -> None:
    assert (await get(Server(b"x", content_type="text/html"), MODELS, blocking=blocking)).text == "x"
    assert (await get(Server(b"x", status=502, content_type="text/html"), blocking=blocking)).text == "x"


@both
@pytest.mark.parametrize(
    ("server", "text"),
    [
        (Server(b"\x1f\x8bno gzip", status=503, content_type="application/json", content_encoding="gzip"), ""),
        (Server(b"no br", status=400, content_encoding="br"), ""),
        (Server(b"{", httpx2.ReadError("reset"), status=400), "{"),
        (Server(b"{", httpx2.RemoteProtocolError("no chunk"), status=503), "{"),
        (Server(b"{", httpx2.ReadTimeout("silence"), status=429), "{"),
        (Server(b"{", TimeoutError(), status=500), "{"),
        (Server(b"{", status=404, content_length=str(MAX_JSON_BYTES + 1)), "{"),
    ],
)
async def test_a_refusal_keeps_its_status_whatever_its_body_is(server: Server, text: str, blocking: bool) -> None:
    reply = await get(server, blocking=blocking)
    assert (reply.status_code, reply.text) == (server._status, text)
    assert "content-encoding" not in reply.headers


@both
async def test_the_body_of_a_refusal_is_cut_at_its_cap(blocking: bool) -> None:
    piece = b"x" * 2**20
    reply = await get(Server(*[piece] * 20, status=500, content_type="text/plain"), blocking=blocking)
    assert (reply.status_code, len(reply.content)) == (500, MAX_JSON_BYTES)


@both
async def test_a_request_may_have_a_total_of_its_own(blocking: bool, running: None) -> None:
    with pytest.raises(OutOfTime, match="not done after 0 s"):
        await get(Server(b"x", content_type="text/event-stream"), blocking=blocking, own={TOTAL: 1e-9})


@both
@pytest.mark.parametrize(
    ("kind", "most"), [("application/json", MAX_JSON_BYTES), ("text/event-stream", MAX_EVENT_BYTES)]
)
async def test_a_body_that_goes_on_is_left_at_its_cap(kind: str, most: int, blocking: bool) -> None:
    piece = b"x" * 2**20
    whole = Server(*[piece] * (most // 2**20), content_type=kind)
    assert len((await get(whole, blocking=blocking)).content) == most
    with pytest.raises(NotAReply, match=f"more than {most:,} bytes"):
        await get(Server(*[piece] * (most // 2**20), b"x", content_type=kind), blocking=blocking)


@both
async def test_no_compression_is_asked_for(blocking: bool) -> None:
    server = Server(b"{}", content_type="application/json")
    await get(server, blocking=blocking)
    assert server.seen[0].headers["accept-encoding"] == "identity"


@both
@pytest.mark.parametrize(
    ("pieces", "url", "setting", "said"),
    [
        ([], CHAT, "FIRST_TOKEN", "no word within 30 s"),
        ([b"data: x\n\n"], CHAT, "STALL", "silent for 6 s"),
        ([], MODELS, "STALL", "silent for 6 s"),
    ],
)
async def test_a_silence_is_named_after_the_setting_that_decides(
    pieces: list[bytes], url: str, setting: str, said: str, blocking: bool
) -> None:
    server = Server(*pieces, httpx2.ReadTimeout("timed out"), content_type="text/event-stream")
    with pytest.raises(OutOfTime) as late:
        await get(server, url, blocking=blocking)
    assert (late.value.setting, str(late.value)) == (f"DOCMIND_CALLS__{setting}_SECONDS", said)


@both
async def test_the_total_is_over_whatever_still_comes(blocking: bool, running: None) -> None:
    over = CallSettings(first_token_seconds=30, total_seconds=1e-9)
    with pytest.raises(OutOfTime) as late:
        await get(Server(b"x", content_type="application/json"), blocking=blocking, calls=over)
    assert late.value.setting == "DOCMIND_CALLS__TOTAL_SECONDS"


async def test_an_awaiting_caller_is_interrupted_when_the_total_is_over() -> None:
    class Silent(Server):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            await asyncio.Event().wait()
            raise AssertionError("nobody answers here")

    class Endless(Server):
        async def _awaited(self) -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.Event().wait()

    for server in (Silent(), Endless(content_type="application/json")):
        with pytest.raises(OutOfTime, match=r"not done after 0\.01 s"):
            await get(server, blocking=False, calls=CallSettings(total_seconds=0.01))


def test_a_stream_waits_for_the_longer_silence_and_a_whole_reply_for_the_total() -> None:
    streamed, whole = timeout_of(CALLS, streamed=True), timeout_of(CALLS, streamed=False)
    assert (streamed.read, streamed.connect, whole.read, whole.connect) == (30, 2, 90, 2)
    assert timeout_of(CallSettings(total_seconds=5), streamed=True).read == 5


@pytest.mark.parametrize("streamed", [True, False])
def test_a_connection_of_our_own_is_given_up_before_the_server_looks_late(streamed: bool) -> None:
    for calls in (CALLS, CallSettings(), CallSettings(total_seconds=5), CallSettings(stall_seconds=900)):
        pool = timeout_of(calls, streamed=streamed).pool
        assert pool is not None
        assert pool < min(calls.first_token_seconds, calls.total_seconds)
