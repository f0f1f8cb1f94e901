"""The served app over real sockets: the transports' bytes, replies ended with their reader, many readers at once."""

import asyncio
import socket
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
import uvicorn

from infra.engine.app import build_app
from infra.engine.core import Engine
from infra.engine.exchange import MAX_BODY_BYTES, Answer, Chunk, Request
from infra.engine.pace import SystemClock
from infra.engine.transport import BASE_URL, EngineTransport
from infra.settings import EngineSettings
from tests.infra.engine.desk import CHAT, HELLO, StillClock, make_engine, metric, same_names, tool

READERS = 64
PATIENCE_SECONDS = 60.0


@contextmanager
def served(engine: Engine) -> Generator[str, None, None]:
    """Serve ``engine`` on a free loopback port; gives the address."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2 * READERS)
    server = uvicorn.Server(uvicorn.Config(build_app(engine), log_level="critical", ws="none", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)
        listener.close()
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(make_engine(context_window=4_096, prefix_cache=False)) as base:
        yield base


REQUESTS: dict[str, tuple[str, str, Any]] = {
    "whole": ("POST", CHAT, {"messages": HELLO}),
    "streamed": ("POST", CHAT, {"messages": HELLO, "stream": True, "stream_options": {"include_usage": True}}),
    "call": ("POST", CHAT, {"messages": HELLO, "tools": [tool("look")], "stream": True}),
    "refused": ("POST", CHAT, {"messages": HELLO, "max_tokens": 5_000}),
    "no shape": ("POST", CHAT, {"messages": 1}),
    "count": ("POST", "/tokenize", {"messages": HELLO, "tools": [tool("look")]}),
    "text": ("POST", "/detokenize", {"tokens": [1, 2]}),
    "models": ("GET", "/v1/models", None),
    "version": ("GET", "/version", None),
    "health": ("GET", "/health", None),
    "no path": ("GET", "/v1/models/", None),
    "no method": ("PUT", CHAT, None),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_port_gives_the_transport_s_bytes(address: str, name: str):
    method, path, body = REQUESTS[name]
    inside = httpx2.Client(transport=EngineTransport(make_engine(context_window=4_096, prefix_cache=False)))
    wanted = inside.request(method, f"{BASE_URL.removesuffix('/v1')}{path}", json=body)
    got = httpx2.request(method, f"{address}{path}", json=body, timeout=PATIENCE_SECONDS)
    assert got.status_code == wanted.status_code
    assert same_names(got.content) == same_names(wanted.content)
    assert {k: v for k, v in got.headers.items() if k in wanted.headers} == dict(wanted.headers)


def test_a_query_does_not_change_the_path(address: str):
    assert httpx2.get(f"{address}/health?deep=1", timeout=PATIENCE_SECONDS).status_code == 200


def test_the_metrics_carry_vllm_s_names(address: str):
    answer = httpx2.get(f"{address}/metrics", timeout=PATIENCE_SECONDS)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    for name in (
        "prefix_cache_queries_total",
        "prefix_cache_hits_total",
        "kv_cache_usage_perc",
        "prompt_tokens_total",
        "prompt_tokens_cached_total",
        "generation_tokens_total",
        "time_to_first_token_seconds_bucket",
        "inter_token_latency_seconds_bucket",
        "request_time_per_output_token_seconds_bucket",
        "num_requests_running",
        "num_requests_waiting",
        "num_preemptions_total",
        "cache_config_info",
    ):
        assert f"\nvllm:{name}{{" in answer.text


class Watched(Engine):
    """An engine on the machine's clock that says when an answer has ended."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(EngineSettings.model_validate(settings))
        self.began, self.ended = threading.Event(), threading.Event()

    def handle(self, request: Request) -> Answer:
        answer = super().handle(request)
        return Answer(answer.status, answer.headers, self._watched(answer))

    def _watched(self, answer: Answer) -> Generator[Chunk, None, None]:
        try:
            self.began.set()
            yield from answer.chunks
        finally:
            self.ended.set()


def test_a_reader_that_goes_away_ends_the_reply():
    engine = Watched(decode_tokens_per_second=0.01)
    with served(engine) as base, httpx2.Client(timeout=PATIENCE_SECONDS) as client:
        with client.stream("POST", f"{base}{CHAT}", json={"messages": HELLO, "stream": True}) as response:
            chunks = response.iter_raw()  # kept: dropping it closes the connection
            assert b'"role":"assistant"' in next(chunks)
            assert not engine.ended.is_set()
        assert engine.ended.wait(PATIENCE_SECONDS)
    assert metric(engine, "num_requests_running") == 0
    assert metric(engine, "generation_tokens_total") == 1


def test_a_reader_that_tires_of_a_whole_reply_ends_it_too():
    engine = Watched(decode_tokens_per_second=0.01)
    with served(engine) as base, socket.create_connection(("127.0.0.1", int(base.rsplit(":", 1)[1]))) as reader:
        body = b'{"messages":[{"role":"user","content":"hello"}]}'
        head = (
            f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        reader.sendall(head.encode() + body)
        assert engine.began.wait(PATIENCE_SECONDS)
        reader.close()
        assert engine.ended.wait(PATIENCE_SECONDS)


class GatedClock(SystemClock):
    """Lets nobody pass until all readers wait."""

    def __init__(self) -> None:
        self.gate = asyncio.Barrier(READERS)

    async def wait_async(self, seconds: float) -> None:
        await self.gate.wait()


async def test_sixty_four_readers_are_answered_at_the_same_time():
    engine = Engine(EngineSettings(prefix_cache=False), GatedClock())
    with served(engine) as base:
        limits = httpx2.Limits(max_connections=READERS)
        async with httpx2.AsyncClient(timeout=PATIENCE_SECONDS, limits=limits) as client:
            questions = [{"messages": [{"role": "user", "content": f"hello {n}"}]} for n in range(READERS)]
            answers = await asyncio.gather(*(client.post(f"{base}{CHAT}", json=body) for body in questions))
    assert [answer.status_code for answer in answers] == [200] * READERS
    assert len({answer.json()["id"] for answer in answers}) == READERS
    assert metric(engine, "generation_tokens_total") == READERS * 49


SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "POST",
    "path": CHAT,
    "query_string": b"",
    "headers": [(b"content-type", b"application/json")],
}


async def test_no_more_of_a_body_is_read_than_shows_that_it_is_too_large():
    piece = bytes(2**20)
    given = 0
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        nonlocal given
        given += 1
        return {"type": "http.request", "body": piece, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    await build_app(make_engine())({**SCOPE, "asgi": {"spec_version": "2.4"}}, receive, send)
    assert given == MAX_BODY_BYTES // len(piece) + 1
    assert sent[0]["status"] == 413


async def test_a_client_that_goes_away_while_it_asks_gets_nothing():
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await build_app(Engine(EngineSettings(), StillClock()))(SCOPE, receive, send)
    assert sent == []
