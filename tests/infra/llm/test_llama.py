"""LlamaIndex's eight ways to a model are calls of the guarded model, each in the ledger."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from llama_index.core.base.llms.types import (
    ChatMessage,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from infra.errors import BackendError, BudgetExceeded
from infra.llm.llama import GuardedLLM, from_langchain, to_langchain
from tests.fakes import Said
from tests.infra.llm.bench import LOOK, Bench, bench, limits

MESSAGES = [ChatMessage("Be brief.", role=MessageRole.SYSTEM), ChatMessage("Where is Paris?")]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


def llm_of(bench: Bench) -> GuardedLLM:
    return GuardedLLM(bench.chat, model="scripted", context_window=32_768, reply_tokens=3_000)


def last(responses: Iterator[Any]) -> Any:
    return list(responses)[-1]


async def alast(responses: AsyncIterator[Any]) -> Any:
    return [response async for response in responses][-1]


WAYS: dict[str, Callable[[GuardedLLM], Awaitable[Any] | Any]] = {
    "chat": lambda llm: llm.chat(MESSAGES),
    "achat": lambda llm: llm.achat(MESSAGES),
    "stream_chat": lambda llm: last(llm.stream_chat(MESSAGES)),
    "complete": lambda llm: llm.complete("Where is Paris?"),
    "acomplete": lambda llm: llm.acomplete("Where is Paris?"),
    "stream_complete": lambda llm: last(llm.stream_complete("Where is Paris?")),
}


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_is_one_call_in_the_ledger_whose_tokens_are_told(way: str):
    a_bench = bench(["In France."])
    found = WAYS[way](llm_of(a_bench))
    response = await found if isinstance(found, Awaitable) else found
    text = response.text if way.endswith("complete") else response.message.content
    assert text.strip() == "In France."
    assert (a_bench.call.outcome, a_bench.call.scope.agent) == ("ok", "synthesizer")
    assert response.additional_kwargs == {
        "dropped": [],
        "prompt_tokens": a_bench.call.prompt_tokens,
        "completion_tokens": 2,
        "total_tokens": a_bench.call.prompt_tokens + 2,
    }
    assert a_bench.spent.used_tokens == a_bench.call.prompt_tokens + 2


@pytest.mark.parametrize("way", ["astream_chat", "astream_complete"])
async def test_awaited_streams_grow_to_the_whole_reply(way: str):
    a_bench = bench(["In the north of France."])
    stream = await getattr(llm_of(a_bench), way)(MESSAGES if way == "astream_chat" else "Where is Paris?")
    responses = [response async for response in stream]
    texts = [getattr(r, "text", None) or getattr(getattr(r, "message", None), "content", "") or "" for r in responses]
    assert "".join(response.delta for response in responses) == texts[-1]
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    assert texts[-1].strip() == "In the north of France."
    assert a_bench.call.outcome == "ok"


def test_llama_index_is_told_the_window_and_at_most_a_quarter_of_it_for_the_reply():
    a_bench = bench()
    metadata = llm_of(a_bench).metadata
    assert (metadata.context_window, metadata.num_output, metadata.model_name) == (32_768, 3_000, "scripted")
    assert metadata.is_chat_model
    small = GuardedLLM(a_bench.chat, model="scripted", context_window=2_048, reply_tokens=3_000)
    assert small.metadata.num_output == 512


def test_messages_of_every_role_are_sent_as_langchains():
    call = ToolCallBlock(tool_call_id="c1", tool_name="look", tool_kwargs={"query": "x"})
    as_text = ToolCallBlock(tool_call_id="c2", tool_name="look", tool_kwargs='{"query": "y"}')
    assert to_langchain(
        [
            ChatMessage("rules", role=MessageRole.DEVELOPER),
            ChatMessage("one", role=MessageRole.USER),
            ChatMessage(role=MessageRole.ASSISTANT, blocks=[ThinkingBlock(content="hm"), TextBlock(text="two"), call]),
            ChatMessage("found", role=MessageRole.TOOL, additional_kwargs={"tool_call_id": "c1"}),
            ChatMessage(role=MessageRole.MODEL, blocks=[as_text]),
            ChatMessage(role=MessageRole.USER),
        ]
    ) == [
        SystemMessage("rules"),
        HumanMessage("one"),
        AIMessage("two", tool_calls=[{"name": "look", "args": {"query": "x"}, "id": "c1"}]),
        ToolMessage("found", tool_call_id="c1"),
        AIMessage("", tool_calls=[{"name": "look", "args": {"query": "y"}, "id": "c2"}]),
        HumanMessage(""),
    ]


def test_a_reply_goes_there_and_back_unchanged():
    reply = AIMessage("see", tool_calls=[{"name": "look", "args": {"query": "x"}, "id": "c1"}])
    assert to_langchain([from_langchain(reply)]) == [reply]


def test_what_is_not_text_is_refused_before_it_leaves():
    a_bench = bench(["never"])
    with pytest.raises(ValueError, match="a ImageBlock cannot be sent"):
        llm_of(a_bench).chat([ChatMessage(role=MessageRole.USER, blocks=[ImageBlock(image=b"png")])])
    assert (a_bench.server.chats, a_bench.calls) == ([], [])


async def test_known_options_are_passed_on_and_others_refused():
    a_bench = bench(["fine", LOOK])
    llm = llm_of(a_bench)
    await llm.achat(MESSAGES, max_tokens=7, temperature=0.5, stop=["\n"])
    body = a_bench.server.chats[0]
    assert (body["max_tokens"], body["temperature"], body["stop"]) == (7, 0.5, ["\n"])
    response = await llm.achat(MESSAGES, tools=[TOOL], tool_choice="auto")
    assert [b.tool_name for b in response.message.blocks if isinstance(b, ToolCallBlock)] == ["look"]
    with pytest.raises(ValueError, match=r"unknown option extra_body, n; a call takes max_tokens, .*"):
        llm.complete("Where?", n=100, extra_body={"messages": []})
    assert len(a_bench.server.chats) == 2


async def test_failures_are_ours_and_in_the_ledger():
    a_bench = bench([Said("no such model", status=404)], budget=limits(calls=1))
    llm = llm_of(a_bench)
    with pytest.raises(BackendError, match="no such model"):
        await llm.achat(MESSAGES)
    with pytest.raises(BudgetExceeded):
        llm.chat(MESSAGES)
    assert [call.outcome for call in a_bench.calls] == ["failed", "refused"]


async def test_evidence_left_out_is_told():
    sources = "".join(f'<source id="S{n}">\n{"word " * 300}\n</source>\n' for n in range(1, 9))
    a_bench = bench(["fine"], window=2_048)
    response = await llm_of(a_bench).achat([ChatMessage(f"{sources}\nWhat?")])
    assert response.additional_kwargs["dropped"] == list(a_bench.call.dropped) != []
