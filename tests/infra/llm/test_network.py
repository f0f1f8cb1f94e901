"""One model in many event loops and in none, on real sockets: each has its own connections, and all are closed."""

import asyncio
import gc
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from threading import Event, Semaphore, Thread

import httpx2
import pytest

from infra.errors import BackendUnavailable
from infra.llm import backends, network
from infra.llm.backends import choose
from infra.llm.endpoint import open_clients
from infra.llm.guard import GuardedChat
from infra.llm.network import PerLoop, blocking_over
from infra.llm.servers.probe import Probe
from infra.settings import load_settings
from tests.fakes import ScriptedServer
from tests.infra.llm.bench import BACKEND, chat_of, desk
from tests.infra.llm.faulty import WORDS, Faulty

SAID = "".join(WORDS)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Connections:
    """A server that answers each request with an object, and knows which of its connections have ended."""

    def __init__(self) -> None:
        self.opened, self.ended = 0, Semaphore(0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1/models"

    @contextmanager
    def serving(self) -> Generator["Connections"]:
        Thread(target=self._accept, daemon=True).start()
        try:
            yield self
        finally:
            self._listener.close()

    def have_ended(self, number: int) -> bool:
        return all(self.ended.acquire(timeout=60) for _ in range(number))

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.opened += 1
                Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while connection.recv(65_536):
                connection.sendall(OK)
        self.ended.release()


@pytest.fixture
def undivided(patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole time is left to the first request."""
    monkeypatch.setattr(backends, "Probe", partial(Probe, clock=lambda: 0.0))


@pytest.fixture
def server() -> Generator[Connections]:
    with Connections().serving() as serving:
        yield serving


def chat_at(url: str) -> GuardedChat:
    return chat_of(desk(None, replace(BACKEND, base_url=url)))


def test_one_model_answers_in_one_loop_after_another_and_in_none() -> None:
    with Faulty({"x": ()}).serving() as faulty:
        chat = chat_at(faulty.url)
        said = [asyncio.run(chat.ainvoke("x")).text for _ in range(3)]
        assert [*said, chat.invoke("x").text] == [SAID] * 4
        asyncio.run(chat.aclose())


async def test_one_model_answers_in_several_loops_at_once() -> None:
    with Faulty({"x": ()}).serving() as faulty:
        async with chat_at(faulty.url) as chat:
            assert (await chat.ainvoke("x")).text == SAID
            assert (await asyncio.to_thread(asyncio.run, chat.ainvoke("x"))).text == SAID
            assert (await asyncio.to_thread(chat.invoke, "x")).text == SAID
            assert chat.invoke("x").text == SAID  # a blocking call inside a loop holds that loop only
            assert (await chat.ainvoke("x")).text == SAID


def test_a_loop_keeps_its_connection_and_closes_it_as_it_ends(server: Connections) -> None:
    clients = open_clients(None, connect_seconds=60, call_seconds=60)

    async def ask() -> None:
        for _ in range(3):
            assert (await clients.awaiting.get(server.url)).text == "{}"

    for number in (1, 2):
        asyncio.run(ask())
        assert server.have_ended(1)
        assert server.opened == number
    clients.close()


async def test_closing_closes_the_connections_of_every_loop(server: Connections) -> None:
    clients = open_clients(None, connect_seconds=60, call_seconds=60)
    other = asyncio.new_event_loop()
    running = Thread(target=other.run_forever)
    running.start()
    asked = [
        await clients.awaiting.get(server.url),
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(clients.awaiting.get(server.url), other)),
        await asyncio.to_thread(clients.blocking.get, server.url),
    ]
    assert [reply.text for reply in asked] == ["{}"] * 3
    await clients.aclose()
    assert await asyncio.to_thread(server.have_ended, 3)
    await clients.aclose()
    other.call_soon_threadsafe(other.stop)
    await asyncio.to_thread(running.join)
    other.close()
    assert server.opened == 3


class Counted(httpx2.AsyncBaseTransport):
    """A loop's transport."""

    closed = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200)

    async def aclose(self) -> None:
        Counted.closed += 1


def test_loops_that_stand_still_or_were_closed_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "MAX_LOOPS", 3)
    monkeypatch.setattr(Counted, "closed", 0)
    transport, request = PerLoop(Counted), httpx2.Request("GET", "http://x")
    loops = [asyncio.new_event_loop() for _ in range(5)]
    for loop in loops:
        assert loop.run_until_complete(transport.handle_async_request(request)).status_code == 200
        assert len(transport._open) <= 3
    loops[0].run_until_complete(transport.handle_async_request(request))  # it may come back
    for loop in loops:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    gc.collect()
    assert transport._open == {}
    assert Counted.closed >= 4


async def test_what_a_loop_closes_itself_is_closed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counted, "closed", 0)
    transport = PerLoop(Counted)
    await transport.handle_async_request(httpx2.Request("GET", "http://x"))
    await transport.aclose()
    assert Counted.closed == 1


def trickling(piece: bytes) -> tuple[socket.socket, Event]:
    """Listen, and answer every connection with the head of an answer that has no end."""
    listener, over = socket.create_server(("127.0.0.1", 0)), Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65_536)
            connection.sendall(piece)
            while not over.wait(0.02):
                connection.sendall(b"x")

    def accept() -> None:
        with suppress(OSError):
            while True:
                Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    Thread(target=accept, daemon=True).start()
    return listener, over


@pytest.fixture(params=[b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b""])
def trickler(request: pytest.FixtureRequest) -> Generator[str]:
    listener, over = trickling(request.param)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    over.set()
    listener.close()


@pytest.mark.usefixtures("undivided")
def test_a_server_that_trickles_its_answers_holds_nobody_who_asks_what_it_is(trickler: str) -> None:
    settings = load_settings(vllm={"base_url": trickler}, calls={"connect_seconds": 0.3})
    began = time.monotonic()
    with pytest.raises(BackendUnavailable, match=r"not done after 0\.3 s"):
        choose(settings, ScriptedServer().transports, name="vllm")
    assert time.monotonic() - began < 3


@pytest.mark.usefixtures("patient")
def test_a_server_that_trickles_its_answers_holds_no_blocking_caller(trickler: str) -> None:
    calls = load_settings(calls={"total_seconds": 0.3, "stall_seconds": 0.2, "first_token_seconds": 0.2}).calls
    clients = open_clients(None, connect_seconds=5, call_seconds=0.2, calls=calls)
    began = time.monotonic()
    with pytest.raises(httpx2.ReadTimeout, match=r"not done after 0\.3 s"):
        clients.blocking.get(f"{trickler}/models")
    assert time.monotonic() - began < 3
    clients.close()


def test_closing_does_not_wait_for_what_holds_on_but_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Event()

    class Holding(Counted):
        async def aclose(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

    monkeypatch.setattr(network, "CLOSE_SECONDS", 0.05)
    blocking_over(Holding()).close()
    assert ended.wait(60)


def test_an_answer_may_be_closed_while_it_is_read() -> None:
    reading, closed = Event(), asyncio.Event()

    class Answer(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            reading.set()
            await closed.wait()
            yield b"the rest"

        async def aclose(self) -> None:
            closed.set()

    class Answering(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, stream=Answer())

    response = blocking_over(Answering()).handle_request(httpx2.Request("GET", "http://127.0.0.1/"))
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(response.iter_raw().__next__)
        assert reading.wait(60)
        try:
            response.close()
        finally:  # or a failing test would wait for its thread
            network._loops.running().call_soon_threadsafe(closed.set)
        assert read.result(60) == b"the rest"


@pytest.mark.usefixtures("patient")
def test_names_that_are_not_resolved_hold_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved, threads = Event(), list[str]()

    def resolve(*_: object, **__: object) -> None:
        threads.append(threading.current_thread().name)
        resolved.wait(60)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    settings = load_settings(vllm={"base_url": "http://name.invalid/v1"}, calls={"connect_seconds": 0.2})
    began = time.monotonic()
    with pytest.raises(BackendUnavailable):
        choose(settings, ScriptedServer().transports, name="vllm")
    assert time.monotonic() - began < 3
    resolved.set()
    assert threads == ["docmind-background"]  # asyncio's would hold the end of the program


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_a_loop_of_its_own(server: Connections) -> None:
    def asks() -> bool:
        clients = open_clients(None, connect_seconds=60, call_seconds=60)
        with clients.blocking as client:
            return client.get(server.url).text == "{}"

    assert asks()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os._exit(0 if asks() else 1)
    assert os.waitpid(child, 0)[1] == 0
