"""The guard and the cache of calls: an identical call is not made again, and everything else is."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from infra.cache.calls import CallCache
from infra.errors import BackendError
from infra.llm.ask import Asker
from infra.llm.budget import Spent
from infra.llm.replay import key_of
from tests.fakes import Said, Script, ScriptedServer
from tests.infra.llm.bench import BACKEND, CITY, LOOK, WAYS, Bench, bench, chat_of, desk, limits, look, say
from tests.infra.llm.requests import REQUESTS


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[CallCache]:
    opened = CallCache(tmp_path / "calls.sqlite3")
    yield opened
    opened.close()


def written(keeper: CallCache) -> None:
    """Wait until what was put off is done, by asking for something after it."""
    done = Event()
    keeper._file.behind(done.set)
    assert done.wait(30)


def kept_bench(keeper: CallCache, script: Script, **changes: Any) -> Bench:
    """A bench whose calls are kept; ``changes`` are of its back end."""
    plain = bench(script)
    ours = desk(plain.server.transports, replace(BACKEND, **changes), ledger=plain.ledger, budget=plain.budget)
    return replace(plain, chat=chat_of(replace(ours, keeper=keeper)))


@pytest.mark.parametrize("first", WAYS)
async def test_a_call_is_made_once_whatever_way_it_is_asked(keeper: CallCache, first: str) -> None:
    b = kept_bench(keeper, [Said("two words"), Said("another")])
    said = [await _off_loop(b, way) for way in (first, *WAYS)]
    assert said == ["two words"] * 5
    assert len(b.server.chats) == 1


async def _off_loop(b: Bench, way: str) -> str:
    if way in ("invoke", "stream"):
        return await asyncio.to_thread(lambda: asyncio.run(say(b, way)))
    return await say(b, way)


async def test_a_repeated_call_costs_no_budget_and_stands_in_the_ledger(keeper: CallCache) -> None:
    b = kept_bench(keeper, ["two words"])
    await b.chat.ainvoke("q")
    spent = b.spent
    reply = await b.chat.ainvoke("q")
    assert b.spent == spent == Spent(7, 0, 1)
    made, again = b.calls
    assert (made.cached, made.tries, again.cached, again.tries, again.outcome) == (False, 1, True, 0, "ok")
    assert (again.prompt_tokens, again.completion_tokens, again.counted_tokens) == (0, 0, made.counted_tokens)
    assert reply.response_metadata["cached"] is True
    assert (reply.response_metadata["backend"], reply.response_metadata["finish_reason"]) == ("vllm", "stop")
    assert reply.usage_metadata
    assert reply.usage_metadata["total_tokens"] == 0


async def test_a_question_without_budget_may_still_have_what_is_kept(keeper: CallCache) -> None:
    b = kept_bench(keeper, ["two words"])
    await b.chat.ainvoke("q")
    poor = desk(b.server.transports, ledger=b.ledger, budget=limits(tokens=1_000, calls=1))
    chat = chat_of(replace(poor, keeper=keeper))
    assert (await chat.ainvoke("q")).text == "two words"


async def test_a_stream_is_given_again_in_one_piece(keeper: CallCache) -> None:
    b = kept_bench(keeper, ["a b c d"])
    assert len([piece async for piece in b.chat.astream("q") if piece.text]) == 4
    assert [piece.text async for piece in b.chat.astream("q") if piece.text] == ["a b c d"]


async def test_tool_calls_and_parsed_values_are_given_again(keeper: CallCache) -> None:
    class City(BaseModel):
        name: str

    b = kept_bench(keeper, [LOOK, CITY])
    calls = [(await b.vendor.bind_tools([look]).ainvoke("q")).tool_calls for _ in range(2)]
    assert calls[0] == calls[1]
    assert calls[0][0]["args"] == {"query": "x"}
    assert [await b.vendor.with_structured_output(City).ainvoke("q") for _ in range(2)] == [City(name="Paris")] * 2
    assert len(b.server.chats) == 2


async def test_many_askers_at_once_make_one_call_and_one_reservation(keeper: CallCache) -> None:
    b = kept_bench(keeper, lambda _: "a b c")
    replies = await asyncio.gather(*(b.chat.ainvoke("q") for _ in range(64)))
    assert {reply.text for reply in replies} == {"a b c"}
    assert (len(b.server.chats), b.spent.calls, len(b.calls)) == (1, 1, 64)
    assert sum(call.cached for call in b.calls) == 63


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(Said("cut", finish_reason="length"), id="cut"),
        pytest.param(Said("no", finish_reason="content_filter"), id="filtered"),
        pytest.param(Said("bad", status=400), id="refused"),
        pytest.param(Said("half a reply", finish_reason=None), id="broken"),
    ],
)
@pytest.mark.parametrize("way", ["ainvoke", "astream"])
async def test_what_is_no_whole_reply_is_not_given_again(keeper: CallCache, said: Said, way: str) -> None:
    server = ScriptedServer(lambda _: said)
    b = kept_bench(keeper, ())
    b = replace(b, server=server, chat=chat_of(replace(desk(server.transports), keeper=keeper)))
    arrived: list[int] = []
    for _ in range(2):
        with suppress(BackendError):
            await say(b, way)
        arrived.append(len(server.chats))
    assert arrived[1] > arrived[0] > 0  # no more than that: after five failures the server is left alone


@pytest.mark.parametrize("change", [{"provisional": True}, {"engine": "vllm 2"}, {"base_url": "http://127.0.0.1:1/v1"}])
async def test_another_server_or_provisional_facts_have_the_call_made(keeper: CallCache, change: Any) -> None:
    first = kept_bench(keeper, ["one"], **({} if "provisional" not in change else change))
    await first.chat.ainvoke("q")
    second = kept_bench(keeper, ["two"], **change)
    assert (await second.chat.ainvoke("q")).text == "two"


@pytest.mark.parametrize(
    "bound",
    [{"temperature": 0.5}, {"max_tokens": 7}, {"stop": ["x"]}, {"seed": 1}, {"n": 2}, {"extra_body": {"top_k": 3}}],
    ids=str,
)
async def test_what_is_asked_otherwise_is_another_call(keeper: CallCache, bound: dict[str, Any]) -> None:
    b = kept_bench(keeper, ["one", "two"])
    await b.chat.ainvoke("q")
    await b.chat.bind(**bound).ainvoke("q")
    assert len(b.server.chats) == 2


async def test_a_reply_that_its_asker_cannot_read_is_asked_for_anew(keeper: CallCache) -> None:
    class City(BaseModel):
        name: str

    b = kept_bench(keeper, ["no JSON at all", CITY, CITY])
    asker = Asker(b.chat)
    assert (await asker.ask([HumanMessage("q")], City, task="city")).repaired
    written(keeper)
    assert not (await asker.ask([HumanMessage("q")], City, task="city")).repaired
    assert len(b.server.chats) == 3
    await asker.ask([HumanMessage("q")], City, task="city")
    assert len(b.server.chats) == 3


KEYED = st.tuples(REQUESTS, st.fixed_dictionaries({"temperature": st.floats(0, 2), "max_tokens": st.integers(1, 9)}))


@given(KEYED, KEYED)
def test_equal_requests_have_one_key_and_others_have_others(one: Any, two: Any) -> None:
    first, second = one[0] | one[1], two[0] | two[1]
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (key_of(BACKEND, first) == key_of(BACKEND, second)) is same


def _turned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _turned(value[key]) for key in reversed(list(value))}
    return [_turned(item) for item in value] if isinstance(value, list) else value


@given(KEYED)
def test_the_order_of_fields_and_the_way_a_reply_travels_are_no_part_of_the_key(asked: Any) -> None:
    body = asked[0] | asked[1]
    way = {"stream": True, "stream_options": {"include_usage": True}, "timeout": 3}
    assert key_of(BACKEND, body) == key_of(BACKEND, _turned(body) | way)


@given(KEYED, st.data())
def test_a_change_of_any_field_changes_the_key(asked: Any, data: st.DataObject) -> None:
    body = asked[0] | asked[1]
    name = data.draw(st.sampled_from(sorted(body)))
    other = data.draw(st.sampled_from([None, "other", {"deep": [body[name]]}, [body[name]]]))
    assert key_of(BACKEND, body) != key_of(BACKEND, body | {name: other})
    assert key_of(BACKEND, body) != key_of(BACKEND, {key: body[key] for key in body if key != name})


@pytest.mark.parametrize("change", [{"model": "x"}, {"engine": "x"}, {"base_url": "http://x/v1"}])
def test_another_server_has_another_key(change: Any) -> None:
    assert key_of(BACKEND, {"messages": []}) != key_of(replace(BACKEND, **change), {"messages": []})


def test_what_is_no_plain_json_has_no_key() -> None:
    assert key_of(BACKEND, {"messages": [object()]}) == ""
