"""What goes over the wire: it is noted as it went, and can be sent again in the same order."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from types import SimpleNamespace

import httpx2
import pytest

from infra.measure.spans import covered, levels
from infra.measure.wire import ASKER, Recorder, Sent, client, replay
from tests.loopback import Answered, Asked, serving


class Pieces(httpx2.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"


class Echo(httpx2.AsyncBaseTransport):
    closed = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(418 if request.url.path == "/pot" else 200, stream=Pieces(), request=request)

    async def aclose(self) -> None:
        self.closed = True


async def test_a_request_is_noted_with_who_asked_and_passed_on_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.measure.wire.time", SimpleNamespace(perf_counter=count(0.0, 1.0).__next__))
    sent: list[Sent] = []

    async def asked(who: str, path: str) -> str:
        ASKER.set(who)
        return (await over.post(path, content=who.encode())).text

    async with httpx2.AsyncClient(transport=Recorder(Echo(), sent), base_url="http://server.invalid") as over:
        said = await asyncio.gather(asked("a", "/tea"), asked("b", "/pot"))
    assert said == ["one two", "one two"]
    assert {(one.asker, one.path, one.body, one.status) for one in sent} == {
        ("a", "/tea", b"a", 200),
        ("b", "/pot", b"b", 418),
    }
    assert all(one.span.end > one.span.start for one in sent)


async def test_a_reply_that_is_not_read_to_its_end_is_noted_once_when_it_is_closed() -> None:
    sent: list[Sent] = []
    inner = Echo()
    async with (
        httpx2.AsyncClient(transport=Recorder(inner, sent), base_url="http://server.invalid") as over,
        over.stream("GET", "/tea") as reply,
    ):
        assert await anext(reply.aiter_raw()) == b"one "
        assert sent == []
    assert [one.path for one in sent] == ["/tea"]
    assert inner.closed


@pytest.mark.parametrize("at_once", [1, 2])
async def test_requests_are_sent_again_in_the_order_of_each_asker_and_no_more_at_once(at_once: int) -> None:
    def answered(_: Asked) -> Answered:
        return Answered({})

    with serving(answered) as server:
        async with client(server.url) as over:
            sent = await replay(over, "/again", [[b"1", b"2"], [b"3"], [b"4", b"5"]], at_once)
        bodies = server.bodies("/again")
    assert sorted(bodies) == [1, 2, 3, 4, 5]
    assert bodies.index(1) < bodies.index(2)
    assert bodies.index(4) < bodies.index(5)
    assert max(levels(one.span for one in sent)) <= at_once
    assert covered(one.span for one in sent) > 0
    assert {one.status for one in sent} == {200}
