"""What an exception says of the server: a fault of our own says nothing."""

import asyncio
from dataclasses import replace

import httpx2
import pytest

from infra.errors import BackendUnavailable
from infra.llm.backends import Transports
from infra.llm.budget import Spent
from infra.llm.diagnose import diagnose
from tests.fakes import URL, Said
from tests.infra.llm.bench import BACKEND, WAYS, bench, chat_of, desk, say

FULL = Said(error=httpx2.PoolTimeout("all in use"))
DEAD = Said(error=httpx2.ConnectError("refused"))


@pytest.mark.parametrize("way", WAYS)
async def test_a_full_pool_of_our_own_never_has_the_server_left_alone(way: str) -> None:
    b = bench([FULL] * 3 + ["fine"], calls={"breaker_failures": 1})
    with pytest.raises(BackendUnavailable) as failed:
        await say(b, way)
    assert str(failed.value) == (
        f"vllm at {URL} was not asked: all connections to it are in use (PoolTimeout: all in use); ask less at once"
    )
    assert (b.call.tries, b.spent) == (3, Spent(0, 0, 1))
    assert (await say(b, way)).strip() == "fine"


async def test_nor_does_it_show_that_the_server_lives() -> None:
    b = bench([DEAD, FULL, DEAD], calls={"breaker_failures": 2})
    with pytest.raises(BackendUnavailable):
        await b.chat.ainvoke("q")
    with pytest.raises(BackendUnavailable, match="is left alone after 2 failed tries in a row"):
        await b.chat.ainvoke("q")


@pytest.mark.usefixtures("patient")
async def test_a_pool_that_is_full_is_told_from_a_server_that_is_slow() -> None:
    used, over = asyncio.Event(), asyncio.Event()

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        used.set()
        await over.wait()
        writer.close()

    async with await asyncio.start_server(hold, "127.0.0.1", 0) as server:
        backend = replace(BACKEND, base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        network = httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_connections=1), trust_env=False)
        times = {"first_token_seconds": 0.2, "stall_seconds": 0.2, "total_seconds": 0.2, "breaker_failures": 1}
        stands = desk(Transports(None, network), backend, calls=times)
        busy = asyncio.create_task(network.handle_async_request(httpx2.Request("GET", backend.base_url)))
        await used.wait()
        with pytest.raises(BackendUnavailable, match="was not asked: all connections to it are in use"):
            await chat_of(stands).ainvoke("q")
        assert not stands.breaker.is_open
        over.set()
        with pytest.raises(httpx2.RemoteProtocolError):
            await busy
        await stands.clients.aclose()


def test_what_the_vendors_exceptions_say_of_life() -> None:
    told = {
        httpx2.ConnectError("x"): False,
        httpx2.ConnectTimeout("x"): False,
        httpx2.ReadTimeout("x"): False,
        httpx2.ReadError("x"): False,
        httpx2.PoolTimeout("x"): None,
        httpx2.DecodingError("x"): False,
    }
    for error, alive in told.items():
        failure = diagnose(error)
        assert failure is not None
        assert failure.shows_life is alive, error
