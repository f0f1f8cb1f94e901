"""The guard: what leaves, what is left out, what is refused, and on whose account it goes."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from itertools import count
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.graph import START, MessagesState, StateGraph

from infra.errors import BackendError, BudgetExceeded
from infra.llm.budget import Budget, Limits, Spent
from infra.llm.ledger import Call, Scope
from infra.llm.tokens import Count, TokenCounter
from infra.text.blocks import block
from tests.fakes import Said, ScriptedServer, words_in
from tests.infra.llm.bench import CITY, LOOK, SCHEMA, SCOPE, bench, blocking, chat_of, desk, drain, look


async def test_what_is_bound_goes_out_on_the_wire() -> None:
    b = bench([LOOK, CITY])
    await b.vendor.bind_tools([look], parallel_tool_calls=False, tool_choice="look").ainvoke("q")
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}
    await b.chat.bind(response_format=form, stop=["x"], extra_body={"top_k": 1}).ainvoke("q")
    first, second = b.server.chats
    assert first["parallel_tool_calls"] is False
    assert first["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert first["tools"][0]["function"]["name"] == "look"
    assert (second["response_format"], second["stop"], second["top_k"]) == (form, ["x"], 1)


async def test_a_call_leaves_one_whole_ledger_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "infra.llm.account.time", SimpleNamespace(time=time.time, perf_counter=count(0.0, 0.5).__next__)
    )
    b = bench([Said("two words", cached_tokens=3)])
    reply = await b.chat.ainvoke("a question")
    assert reply.usage_metadata is not None
    assert b.calls == [
        Call(
            scope=SCOPE,
            backend="vllm",
            model="scripted",
            prompt_tokens=6,
            completion_tokens=2,
            cached_tokens=3,
            seconds=b.call.seconds,
            attempts=b.call.attempts,
            outcome="ok",
            counted_tokens=6,
            started=b.call.started,
            first_token_seconds=b.call.first_token_seconds,
            engine="vllm",
        )
    ]
    assert 0 < b.call.seconds < 5
    assert 0 < (b.call.first_token_seconds or 0) < b.call.seconds
    assert b.call.started > 1_700_000_000
    assert [attempt.failure for attempt in b.call.attempts] == [None]


@pytest.mark.parametrize("key", ["max_tokens", "max_completion_tokens"])
async def test_a_caller_may_ask_for_less_but_not_for_more(key: str) -> None:
    b = bench(["a", "b"])
    await b.chat.bind(**{key: 7}).ainvoke("q")
    await b.chat.bind(**{key: 7_000}).ainvoke("q")
    assert [body["max_tokens"] for body in b.server.chats] == [7, 3_000]
    assert not any("max_completion_tokens" in body for body in b.server.chats)


def evidence(*words: int) -> str:
    return "\n".join(block("source", " ".join(["w"] * n), id=f"E{i}") for i, n in enumerate(words, start=1))


@pytest.mark.parametrize("streamed", [False, True])
async def test_passages_that_do_not_fit_are_left_out_and_reported(streamed: bool) -> None:
    b = bench(["hi"], window=1_024)
    prompt = f"{evidence(300, 300, 300)}\nquestion"
    reply = await (drain(b.chat.astream(prompt)) if streamed else b.chat.ainvoke(prompt))
    assert reply.response_metadata["dropped"] == ["E3"]
    assert b.call.dropped == ("E3",)
    (sent,) = b.server.chats
    assert sent["messages"][0]["content"] == f"{evidence(300, 300)}\nquestion"
    assert b.call.counted_tokens == b.call.prompt_tokens == words_in(sent)
    assert words_in(sent) + sent["max_tokens"] + 128 <= 1_024


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_long_text_is_cut_and_what_was_cut_is_reported(streamed: bool) -> None:
    b = bench(["hi"], window=1_024)
    long = " ".join(f"w{n}" for n in range(3_000))
    reply = await (drain(b.chat.astream(long)) if streamed else b.chat.ainvoke(long))
    assert reply.response_metadata["cut_tokens"] == b.call.cut_tokens > 2_000
    assert b.call.counted_tokens == b.call.prompt_tokens == words_in(b.server.chats[0])
    assert (b.call.exact, b.call.dropped) == (True, ())
    assert any("prompt" in seen.body for seen in b.server.requests if seen.path == "/tokenize")


async def test_a_call_that_fits_says_nothing_of_dropping() -> None:
    assert "dropped" not in (await bench(["hi"]).chat.ainvoke("q")).response_metadata


@pytest.mark.parametrize("shape", ["invoke", "ainvoke", "stream", "astream"])
async def test_a_call_that_does_not_fit_never_leaves(shape: str) -> None:
    b = bench(["never"], window=1_024)
    long = [("system", " ".join(["w"] * 1_000)), ("user", "q")]
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "invoke": lambda: blocking(lambda: b.chat.invoke(long)),
        "ainvoke": lambda: b.chat.ainvoke(long),
        "stream": lambda: drain(b.chat.stream(long)),
        "astream": lambda: drain(b.chat.astream(long)),
    }
    with pytest.raises(BudgetExceeded) as refused:
        await calls[shape]()
    assert (refused.value.needed, refused.value.available) == (1_009 + 128 + 1, 1_024)
    assert refused.value.setting == "DOCMIND_VLLM__CONTEXT_WINDOW"
    assert set(b.server.paths) == {"/tokenize"}
    assert (b.call.outcome, b.call.tries, b.call.error) == ("refused", 0, str(refused.value))
    assert b.spent == Spent(0, 0, 0)


async def test_a_question_without_budget_is_refused_before_the_call_leaves() -> None:
    b = bench(["a b c"], budget=Budget(Limits(question_tokens=3_010, question_calls=9)))
    await b.chat.ainvoke("q")
    with pytest.raises(BudgetExceeded) as refused:
        await b.chat.ainvoke("q")
    assert (refused.value.needed, refused.value.available) == (3_005, 3_002)
    assert refused.value.setting == "DOCMIND_BUDGET__QUESTION_TOKENS"
    assert len(b.server.chats) == 1
    assert [c.outcome for c in b.calls] == ["ok", "refused"]


async def test_parallel_branches_share_a_budget_without_overshoot() -> None:
    b = bench(lambda _: "a b c d e", budget=Budget(Limits(question_tokens=6_020, question_calls=99)))
    replies = await asyncio.gather(*(b.chat.ainvoke("q") for _ in range(8)), return_exceptions=True)
    sent = [reply for reply in replies if isinstance(reply, AIMessage)]
    assert [type(reply) for reply in replies if not isinstance(reply, AIMessage)] == [BudgetExceeded] * (8 - len(sent))
    assert len(sent) == len(b.server.chats) >= 2
    assert b.spent == Spent(10 * len(sent), 0, len(sent))
    assert b.spent.used_tokens <= 6_020


async def test_scoped_copies_share_clients_ledger_and_budget() -> None:
    b = bench(["a", "b"])
    other = b.chat.scoped(Scope("q1", "t1", "validator"))
    await b.chat.ainvoke("q")
    await other.ainvoke("q")
    assert [c.scope.agent for c in b.calls] == ["synthesizer", "validator"]
    assert b.spent.calls == 2
    assert other.root_async_client is b.chat.root_async_client
    assert other.ledger is b.chat.ledger is b.ledger


async def test_a_model_without_a_scope_takes_it_from_the_run() -> None:
    b = bench(["a", "b"])
    free = b.chat.model_copy()
    free._scope = None

    async def node(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await free.ainvoke(state["messages"])]}

    builder: Any = StateGraph(MessagesState)
    graph = builder.add_node("router", node).add_edge(START, "router").compile()
    await graph.ainvoke(
        {"messages": [HumanMessage("q")]}, {"configurable": {"thread_id": "t9"}, "metadata": {"question_id": "q9"}}
    )
    assert [c.scope for c in b.ledger.calls("q9")] == [Scope("q9", "t9", "router")]
    await free.ainvoke("q", {"metadata": {"question_id": "q8"}})
    assert [c.scope for c in b.ledger.calls("q8")] == [Scope("q8", "", "model")]


async def test_calls_outside_any_question_are_each_their_own() -> None:
    b = bench(lambda _: "a", budget=Budget(Limits(question_tokens=3_100, question_calls=1)))
    free = b.chat.model_copy()
    free._scope = None
    await free.ainvoke("q")
    await free.ainvoke("q")
    assert len(b.server.chats) == 2


@pytest.mark.parametrize("way", ["ainvoke", "invoke"])
@pytest.mark.parametrize("key", ["functions", "prediction", "web_search_options", "model", "extra_query", "anything"])
async def test_an_option_that_the_guard_does_not_know_is_refused(key: str, way: str) -> None:
    b = bench()
    asked: Any = b.chat.bind(**{key: "x"})
    with pytest.raises(ValueError, match=rf"^the guard could not count a call with {key}; it takes .*max_tokens"):
        await (asked.ainvoke("q") if way == "ainvoke" else blocking(lambda: asked.invoke("q")))
    assert b.server.requests == []


SMUGGLED = [
    *("messages", "model", "tools", "functions", "n", "best_of", "max_tokens", "max_completion_tokens", "stream"),
    *("prompt", "documents", "echo", "chat_template", "chat_template_kwargs", "mm_processor_kwargs", "anything"),
    *("add_special_tokens", "add_generation_prompt", "continue_final_message", "truncate_prompt_tokens"),
]


@pytest.mark.parametrize("key", SMUGGLED)
async def test_what_changes_a_prompt_or_a_reply_unseen_is_refused(key: str) -> None:
    b = bench()
    with pytest.raises(ValueError, match=rf"a call with extra_body\.{key}; it takes") as refused:
        await b.chat.bind(extra_body={key: 1, "top_k": 1}).ainvoke("q")
    assert "\n" not in str(refused.value)
    assert b.server.requests == []
    assert (b.call.outcome, b.call.tries, b.spent.calls) == ("failed", 0, 0)


async def test_a_lone_surrogate_is_sent_as_a_question_mark() -> None:
    b = bench(["fine"])
    called = AIMessage("", tool_calls=[{"name": "look", "args": {"query": "\ud800é"}, "id": "1"}])
    await b.chat.ainvoke([HumanMessage("a\ud800b"), called, ToolMessage("x", tool_call_id="1"), HumanMessage("q")])
    first, second, *_ = b.server.chats[0]["messages"]
    assert first["content"] == "a?b"
    assert json.loads(second["tool_calls"][0]["function"]["arguments"]) in ({"query": "?é"}, {"query": "\ud800é"})


async def test_a_reply_without_usage_counts_its_whole_reservation() -> None:
    b = bench([Said("a b", usage=False)])
    await b.chat.ainvoke("q")
    assert (b.call.prompt_tokens, b.call.completion_tokens, b.call.counted_tokens) == (0, 0, 5)
    assert b.spent == Spent(3_005, 0, 1)


async def test_a_stream_that_the_caller_leaves_is_settled_and_entered() -> None:
    b = bench(["one two three four"])
    stream: Any = b.chat.astream("q")
    async with aclosing(stream):
        async for _ in stream:
            break
    assert (b.call.outcome, b.call.tries) == ("ok", 1)
    assert b.spent == Spent(5 + 4, 0, 1)


async def test_langchains_own_counts_ask_the_server() -> None:
    b = bench()
    assert b.chat.get_num_tokens("one two") == 2
    assert (await b.chat.acount_text("one two")).tokens == 2
    with_tools = b.chat.get_num_tokens_from_messages([HumanMessage("one two")], [look])
    assert with_tools > b.chat.get_num_tokens_from_messages([HumanMessage("one two")]) == 6
    assert set(b.server.paths) == {"/tokenize"}


async def test_the_counter_hears_what_the_server_says_a_call_took() -> None:
    class Hearing(TokenCounter):
        heard: ClassVar[list[tuple[int, int]]] = []

        def reported(self, counted: Count, prompt_tokens: int) -> None:
            self.heard.append((counted.tokens, prompt_tokens))

    server = ScriptedServer(["a", Said("b", usage=False), Said("no", status=400)])
    stands = desk(server.transports)
    chat = chat_of(replace(stands, counter=Hearing(stands.backend, stands.clients)))
    await chat.ainvoke("one two")
    await chat.ainvoke("one two")
    with pytest.raises(BackendError):
        await chat.ainvoke("one two")
    assert Hearing.heard == [(6, 6)]


async def test_closing_closes_the_transports() -> None:
    b = bench()
    async with b.chat:
        await b.chat.aclose()
    assert b.server.closed == 2
