"""Both transports under stock clients: every kind of call, chunk by chunk, ended when nobody reads on."""

from typing import Any

import httpx2
import openai
import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from infra.engine.protocol import MODEL_ID
from infra.engine.reply import WHO_I_AM
from infra.engine.transport import BASE_URL, EngineAsyncTransport, EngineTransport
from tests.infra.engine.desk import CHAT, HELLO, Counting, ask, make_engine, metric, model, same_names

URL = f"{BASE_URL}/chat/completions"
STREAMED = {"messages": HELLO, "stream": True}


class City(BaseModel):
    """A place."""

    name: str
    people: int


@tool
def look(query: str) -> str:
    """Look something up."""
    return query


@tool
def weigh(what: str) -> str:
    """Weigh something."""
    return what


def total(parts: list[AIMessageChunk]) -> AIMessageChunk:
    whole = parts[0]
    for part in parts[1:]:
        whole += part
    return whole


def test_a_blocking_call_brings_text_usage_and_the_engine_s_name():
    reply = model(make_engine()).invoke("hello")
    assert reply.content == WHO_I_AM
    assert reply.usage_metadata["input_tokens"] == 10
    assert reply.usage_metadata["output_tokens"] == 49
    assert reply.response_metadata["model_name"] == MODEL_ID
    assert reply.response_metadata["finish_reason"] == "stop"


async def test_an_awaited_call_brings_the_same():
    engine = make_engine()
    awaited, blocking = await model(engine).ainvoke("hello"), model(engine).invoke("hello")
    assert (awaited.content, awaited.usage_metadata) == (blocking.content, blocking.usage_metadata)


def test_a_stream_adds_up_to_the_whole_reply_with_its_usage():
    engine = make_engine()
    streamed, whole = total(list(model(engine).stream("hello"))), model(engine).invoke("hello")
    assert (streamed.content, streamed.usage_metadata) == (whole.content, whole.usage_metadata)


async def test_an_awaited_stream_adds_up_to_the_whole_reply():
    engine = make_engine()
    streamed = total([part async for part in model(engine).astream("hello")])
    assert streamed.content == WHO_I_AM
    assert streamed.usage_metadata == model(engine).invoke("hello").usage_metadata


async def test_a_schema_brings_an_object_of_it_in_both_ways():
    asking = model(make_engine()).with_structured_output(City, method="json_schema")
    assert asking.invoke("Paris?") == await asking.ainvoke("Paris?") == City(name="", people=0)


async def test_bound_tools_are_called_whole_and_streamed():
    bound = model(make_engine()).bind_tools([look, weigh])
    called = [("look", {"query": "the moon?"})]
    for reply in (
        bound.invoke("the moon?"),
        await bound.ainvoke("the moon?"),
        total(list(bound.stream("the moon?"))),
        total([part async for part in bound.astream("the moon?")]),
    ):
        assert [(call["name"], call["args"]) for call in reply.tool_calls] == called


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_asked_for_in_parallel_are_called_in_one_message(streamed: bool):
    bound = model(make_engine()).bind_tools([look, weigh], tool_choice="required", parallel_tool_calls=True)
    reply = total(list(bound.stream("the moon?"))) if streamed else bound.invoke("the moon?")
    assert [(call["name"], call["args"]) for call in reply.tool_calls] == [
        ("look", {"query": "the moon?"}),
        ("weigh", {"what": "the moon?"}),
    ]
    assert len({call["id"] for call in reply.tool_calls}) == 2


def test_a_refusal_reaches_the_client_as_vllm_s():
    with pytest.raises(openai.BadRequestError) as caught:
        model(make_engine()).invoke([HumanMessage("hello")], max_tokens=99_999)
    assert caught.value.param == "max_completion_tokens"


def test_the_transport_carries_the_core_s_bytes():
    engine = make_engine()
    with httpx2.Client(transport=EngineTransport(engine)) as client:
        got = client.post(URL, json={"messages": HELLO})
    wanted = ask(make_engine(), CHAT, {"messages": HELLO})
    assert (got.status_code, same_names(got.content)) == (200, same_names(wanted.content))
    assert got.headers["content-length"] == str(len(got.content))


def test_chunks_arrive_one_by_one_each_when_it_is_due():
    engine = make_engine(prefill_tokens_per_second=10, decode_tokens_per_second=4)
    seen = Counting(engine)
    clock: Any = engine.clock
    with (
        httpx2.Client(transport=EngineTransport(engine)) as client,
        client.stream("POST", URL, json=STREAMED) as response,
    ):
        assert (seen.taken, clock.now()) == ([0], 100.0)
        chunks = response.iter_raw()
        assert b'"role":"assistant"' in next(chunks)
        assert (seen.taken, clock.now()) == ([1], pytest.approx(101.0))
        assert b'"content":"I"' in next(chunks)
        assert (seen.taken, clock.now()) == ([2], pytest.approx(101.0))
        assert b'"content":" am"' in next(chunks)
        assert (seen.taken, clock.now()) == ([3], pytest.approx(101.25))


async def test_awaited_chunks_arrive_one_by_one_each_when_it_is_due():
    engine = make_engine(prefill_tokens_per_second=10, decode_tokens_per_second=4)
    seen = Counting(engine)
    clock: Any = engine.clock
    async with (
        httpx2.AsyncClient(transport=EngineAsyncTransport(engine)) as client,
        client.stream("POST", URL, json=STREAMED) as response,
    ):
        chunks = response.aiter_raw()
        assert b'"role":"assistant"' in await anext(chunks)
        assert (seen.taken, clock.now()) == ([1], pytest.approx(101.0))
        await anext(chunks)
        assert b'"content":" am"' in await anext(chunks)
        assert (seen.taken, clock.now()) == ([3], pytest.approx(101.25))


def test_closing_a_stream_ends_the_reply_there():
    engine = make_engine()
    seen = Counting(engine)
    parts = model(engine).stream("hello")
    next(parts)
    assert (seen.ended, metric(engine, "num_requests_running")) == ([False, True], 1)
    parts.close()
    assert (seen.ended[0], metric(engine, "num_requests_running")) == (True, 0)
    assert seen.taken[0] < 5


async def test_closing_an_awaited_stream_ends_the_reply_there():
    engine = make_engine()
    seen = Counting(engine)
    async with (
        httpx2.AsyncClient(transport=EngineAsyncTransport(engine)) as client,
        client.stream("POST", URL, json=STREAMED) as response,
    ):
        chunks = response.aiter_raw()
        await anext(chunks)
        assert (seen.taken, seen.ended) == ([1], [False])
    assert (seen.taken, seen.ended) == ([1], [True])
    assert metric(engine, "generation_tokens_total") == 0


def test_a_reader_s_patience_holds_for_the_next_bytes_not_for_the_whole_stream():
    engine = make_engine(prefill_tokens_per_second=10, decode_tokens_per_second=1)
    with httpx2.Client(transport=EngineTransport(engine), timeout=2.0) as client:
        response = client.post(URL, json=STREAMED)
    assert response.content.endswith(b"data: [DONE]\n\n")
    assert engine.clock.now() == pytest.approx(149.0)


@pytest.mark.parametrize("speed", ["prefill_tokens_per_second", "decode_tokens_per_second"])
def test_a_reply_that_is_due_after_the_read_timeout_times_out_and_ends(speed: str):
    engine = make_engine(**{speed: 4})
    seen = Counting(engine)
    with (
        httpx2.Client(transport=EngineTransport(engine), timeout=2.0) as client,
        pytest.raises(httpx2.ReadTimeout, match="due after the read timeout"),
    ):
        client.post(URL, json={"messages": HELLO})
    assert seen.ended == [True]


async def test_an_awaited_reply_that_is_due_too_late_times_out_and_ends():
    engine = make_engine(prefill_tokens_per_second=1)
    seen = Counting(engine)
    async with httpx2.AsyncClient(transport=EngineAsyncTransport(engine), timeout=2.0) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.post(URL, json=STREAMED)
    assert seen.ended == [True]


def test_prefill_and_decode_together_count_for_a_reply_that_comes_whole():
    engine = make_engine(prefill_tokens_per_second=10, decode_tokens_per_second=40)
    with (
        httpx2.Client(transport=EngineTransport(engine), timeout=2.0) as client,
        pytest.raises(httpx2.ReadTimeout),
    ):
        client.post(URL, json={"messages": HELLO})
