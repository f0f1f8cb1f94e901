"""Every way to call the guarded model: counted, fitted, reserved and entered, one to one with requests on the wire."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from infra.llm.budget import Spent
from tests.fakes import Said, words_in
from tests.infra.llm.bench import CITY, LOOK, SCHEMA, SCOPE, Bench, City, bench, blocking, drain, look

Shape = tuple[list[Said | str], Callable[[Bench], Awaitable[Any]]]
SHAPES: dict[str, Shape] = {
    "invoke": (["hi"], lambda b: blocking(lambda: b.chat.invoke("q"))),
    "ainvoke": (["hi"], lambda b: b.chat.ainvoke("q")),
    "stream": (["hi"], lambda b: drain(b.chat.stream("q"))),
    "astream": (["hi"], lambda b: drain(b.chat.astream("q"))),
    "batch": (["a", "b"], lambda b: blocking(lambda: b.chat.batch(["q", "r"]))),
    "abatch": (["a", "b"], lambda b: b.chat.abatch(["q", "r"])),
    "generate": (["hi"], lambda b: blocking(lambda: b.chat.generate([[HumanMessage("q")]]))),
    "agenerate": (["hi"], lambda b: b.chat.agenerate([[HumanMessage("q")]])),
    "two choices": (["hi"], lambda b: b.chat.bind(n=2).ainvoke("q")),
    "tools": ([LOOK], lambda b: b.vendor.bind_tools([look], parallel_tool_calls=True).ainvoke("q")),
    "tools blocking": ([LOOK], lambda b: blocking(lambda: b.vendor.bind_tools([look]).invoke("q"))),
    "tools streamed": ([LOOK], lambda b: drain(b.vendor.bind_tools([look], tool_choice="any").astream("q"))),
    "structured": ([CITY], lambda b: b.vendor.with_structured_output(City).ainvoke("q")),
    "structured blocking": ([CITY], lambda b: blocking(lambda: b.vendor.with_structured_output(City).invoke("q"))),
    "structured streamed": ([CITY], lambda b: alast(b.vendor.with_structured_output(City).astream("q"))),
    "structured by schema": ([CITY], lambda b: b.vendor.with_structured_output(SCHEMA).ainvoke("q")),
    "structured by tool": (
        [Said(tool_calls=[("City", {"name": "Paris"})])],
        lambda b: b.vendor.with_structured_output(City, method="function_calling").ainvoke("q"),
    ),
    "structured by mode": ([CITY], lambda b: b.vendor.with_structured_output(City, method="json_mode").ainvoke("q")),
    "in a streaming graph": (["hi"], lambda b: in_graph(b)),
    "as events": (["hi"], lambda b: alast(b.chat.astream_events("q", version="v2"))),
}


async def alast(stream: Any) -> Any:
    return [item async for item in stream][-1]


async def in_graph(b: Bench) -> list[Any]:
    async def node(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await b.chat.ainvoke(state["messages"])]}

    builder: Any = StateGraph(MessagesState)
    graph = builder.add_node("agent", node).add_edge(START, "agent").compile()
    return [item async for item in graph.astream({"messages": [HumanMessage("q")]}, stream_mode="messages")]


@pytest.mark.parametrize("shape", SHAPES)
async def test_every_call_shape_is_counted_and_entered_one_to_one(shape: str) -> None:
    script, call = SHAPES[shape]
    b = bench(script)
    await call(b)
    assert len(b.server.chats) == len(b.calls) == len(script)
    assert [c.counted_tokens for c in b.calls] == [c.prompt_tokens for c in b.calls]
    assert sorted(c.prompt_tokens for c in b.calls) == sorted(words_in(body) for body in b.server.chats)
    assert b.spent == Spent(sum(c.prompt_tokens + c.completion_tokens for c in b.calls), 0, len(script))
    assert all(c.outcome == "ok" and c.tries == 1 and c.scope == SCOPE for c in b.calls)
    assert all(body["max_tokens"] == 3_000 and body["temperature"] == 0 for body in b.server.chats)


async def test_tool_calls_and_several_replies_come_in_one_piece_and_all_else_is_streamed() -> None:
    b = bench(["a", "b", "c", LOOK, LOOK])
    await b.chat.ainvoke("q")
    await drain(b.chat.astream("q"))
    await drain(b.chat.bind(n=2).astream("q"))
    await drain(b.vendor.bind_tools([look]).astream("q"))
    await b.vendor.bind_tools([look]).ainvoke("q")
    assert [bool(body.get("stream")) for body in b.server.chats] == [True, True, False, False, False]
    assert [c.first_token_seconds is not None for c in b.calls] == [True, True, False, False, False]


async def test_the_shapes_bring_what_chat_openai_brings() -> None:
    parsed = await bench([CITY]).vendor.with_structured_output(City).ainvoke("q")
    streamed = await alast(bench([CITY]).vendor.with_structured_output(City).astream("q"))
    by_schema = await bench([CITY]).vendor.with_structured_output(SCHEMA).ainvoke("q")
    assert (parsed, streamed, by_schema) == (City(name="Paris"), City(name="Paris"), {"name": "Paris"})
    reply = await bench([LOOK]).vendor.bind_tools([look]).ainvoke("q")
    assert [(c["name"], c["args"]) for c in reply.tool_calls] == [("look", {"query": "x"})]
    whole = await drain(bench(["one two"]).chat.astream("q"))
    assert whole.text == "one two"
