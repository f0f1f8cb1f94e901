"""What is held of a stream: its words, whatever else a server sends; and what counts as a sign of life."""

import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from infra.errors import BackendUnavailable
from infra.llm import stream
from infra.llm.account import CallAccount
from infra.llm.bounds import OutOfTime
from infra.llm.request import Ask, Request
from infra.llm.stream import HeldReply, UnreadCalls
from infra.llm.tokens import Count
from infra.llm.window import Fitted
from infra.settings import CallSettings
from tests.fakes import Said
from tests.infra.llm.bench import WAYS, Bench, bench, say

FIRST, STALL = 300.0, 60.0
ROLE = {"role": "assistant", "content": ""}
WORDS = {"content": "42"}
THOUGHTS = [
    {"reasoning_content": "well"},
    {"reasoning": "well"},
    {"role": "assistant", "content": "", "reasoning": "a"},
]
NUMBERED = [{"index": n, "type": "text", "text": ""} for n in range(20)]


def event(delta: Mapping[str, Any] | None = None, **choice: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": 0, "delta": delta or {}, "finish_reason": None} | choice]}


def streamed(*events: dict[str, Any]) -> Bench:
    """Return a guarded model whose server sends these events and says that it is done."""
    lines = [f"data: {json.dumps(sent)}\n\n" for sent in (*events, event(finish_reason="stop"))]
    return bench([Said(body="".join([*lines, "data: [DONE]\n\n"]).encode(), content_type="text/event-stream")])


def call(arguments: str | None, index: int | None = 0, **more: Any) -> dict[str, Any]:
    return {"index": index, "id": "c", "function": {"name": "f", "arguments": arguments}} | more


async def pieces_of(b: Bench) -> list[AIMessageChunk]:
    return [piece async for piece in b.chat.astream("q")]


@pytest.mark.parametrize(
    "hostile",
    [
        event({"tool_calls": [call("", n) for n in range(20)]}),
        event({"tool_calls": [call("1", n, id=f"{n}") for n in range(20)]}),
        pytest.param(event({"content": NUMBERED}), marks=pytest.mark.filterwarnings("ignore:Pydantic serializer")),
        event({"function_call": {"name": "f", "arguments": "x", "more": NUMBERED}}),
        event({"content": ""}, logprobs={"content": NUMBERED}),
        event({"content": ""}, finish_reason="s" * 500),
    ],
    ids=["calls", "calls with names", "a list of parts", "an older call", "odds", "reasons"],
)
async def test_no_piece_holds_what_is_slow_to_put_together(hostile: dict[str, Any]) -> None:
    pieces = await pieces_of(streamed(event(ROLE), *[hostile] * 3, event(WORDS)))
    assert all(isinstance(piece.content, str) and not piece.tool_call_chunks for piece in pieces)
    assert all(not piece.additional_kwargs for piece in pieces)
    known = {"model_provider", "finish_reason", "model_name", "backend"}
    assert all(set(piece.response_metadata) <= known for piece in pieces)
    assert sum("finish_reason" in piece.response_metadata for piece in pieces) == 1
    assert "42" in "".join(piece.text for piece in pieces)


@pytest.mark.parametrize("way", WAYS)
async def test_the_arguments_of_calls_nobody_asked_for_are_words_of_the_reply(way: str) -> None:
    parts = [call('{"a"', 0), call('{"b"', 1), call(":1}", 0, id=None), call(":2}", 1, id=None), call(None, 2)]
    b = streamed(event(ROLE), event({"content": "so "}), *[event({"tool_calls": [part]}) for part in parts])
    assert await say(b, way) == 'so {"a":1}{"b":2}'


async def test_a_call_that_was_cut_is_not_completed() -> None:
    reply = await streamed(event({"tool_calls": [call('{"a": "hal')]})).chat.ainvoke("q")
    assert (reply.text, reply.tool_calls, reply.invalid_tool_calls) == ('{"a": "hal', [], [])


@pytest.mark.parametrize("role", ["user", "system", "tool", "function", "other"])
async def test_a_reply_is_the_models_whatever_role_the_server_gives_it(role: str) -> None:
    reply = await streamed(event({"role": role, "content": "hi", "name": "n", "tool_call_id": "1"})).chat.ainvoke("q")
    assert (type(reply), reply.text) == (AIMessage, "hi")


class Unread(UnreadCalls, ChatOpenAI):
    """The vendor's model, as it is mixed with ours."""


def converted(chunk: dict[str, Any], kind: type[ChatOpenAI] = Unread) -> ChatGenerationChunk | None:
    vendor = cast("Any", kind(model="m", api_key=SecretStr("none")))
    return vendor._convert_chunk_to_generation_chunk(chunk, AIMessageChunk, None)


def test_the_arguments_in_a_piece_are_not_read_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr("langchain_core.messages.ai.parse_partial_json", read.append)
    chunk = event({"content": "hi", "tool_calls": [call("{x" + "a" * 50_000, 3)]})
    piece = converted(json.loads(json.dumps(chunk)))
    assert piece is not None
    assert isinstance(piece.message, AIMessageChunk)
    (kept,) = piece.message.tool_call_chunks
    assert (piece.text, kept["args"], kept["index"], read) == ("hi", "{x" + "a" * 50_000, 3, [])
    converted(chunk, ChatOpenAI)
    assert len(read) == 1, "the vendor no longer reads them: UnreadCalls may go"


@pytest.mark.parametrize(
    "calls",
    [
        None,
        "x",
        {"a": 1},
        [None, 1, "x"],
        [{}],
        [{"function": None}, {"function": "x"}],
        [{"function": {"arguments": {"a": 1}}}],
    ],
)
def test_what_is_no_tool_call_is_passed_over(calls: object) -> None:
    piece = converted(event({"content": "hi", "tool_calls": calls}))
    assert piece is not None
    assert isinstance(piece.message, AIMessageChunk)
    assert (piece.text, piece.message.tool_call_chunks) == ("hi", [])


def test_a_call_whose_number_is_none_is_kept() -> None:
    piece = converted(event({"tool_calls": [call("{}", index=cast("Any", ["z"]))]}))
    assert piece is not None
    assert isinstance(piece.message, AIMessageChunk)
    assert [(kept["args"], kept["index"]) for kept in piece.message.tool_call_chunks] == [("{}", None)]


class Clock:
    """A clock that stands still until it is set; also the account that is told of the first word."""

    now = 0.0

    def __init__(self) -> None:
        self.spoke_at: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def used(self, _: object) -> None:
        """Take the figures of use."""

    def spoke(self) -> None:
        self.spoke_at.append(self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(stream, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.fixture
def held(clock: Clock) -> HeldReply:
    fitted = Fitted(messages=(), prompt_tokens=1, reply_tokens=8, dropped=(), cut_tokens=0)
    calls = CallSettings(first_token_seconds=FIRST, stall_seconds=STALL)
    return HeldReply(cast("CallAccount", clock), Request(Ask([], None, {}), fitted, Count(1, exact=True)), calls)


@pytest.fixture
def take(held: HeldReply) -> Callable[[dict[str, Any]], None]:
    def taken(chunk: dict[str, Any]) -> None:
        piece = converted(chunk)
        assert piece is not None
        held.take(piece)

    return taken


@pytest.mark.parametrize("thought", THOUGHTS)
def test_a_model_that_thinks_is_alive_from_its_second_piece_on(
    thought: dict[str, Any], clock: Clock, held: HeldReply, take: Callable[[dict[str, Any]], None]
) -> None:
    clock.now = 100
    take(event(thought))
    assert (held.patience, clock.spoke_at) == (FIRST - 100, [])
    clock.now = 110
    take(event(thought))
    assert (held.patience, clock.spoke_at) == (STALL, [110])
    clock.now = FIRST + 50
    take(event(thought))
    take(event(WORDS))
    assert (held.patience, clock.spoke_at) == (STALL, [110])


def test_a_role_alone_and_figures_alone_are_no_sign_of_life(
    clock: Clock, held: HeldReply, take: Callable[[dict[str, Any]], None]
) -> None:
    take(event(ROLE))
    for _ in range(3):
        take({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5}})
    clock.now = FIRST
    assert held.patience == 0
    with pytest.raises(OutOfTime, match="no word within 300 s"):
        take(event(WORDS))
    assert clock.spoke_at == []


@pytest.mark.parametrize("sign", [WORDS, {"tool_calls": [call("{")]}])
def test_a_first_piece_with_words_is_a_sign_of_life(
    sign: dict[str, Any], held: HeldReply, take: Callable[[dict[str, Any]], None]
) -> None:
    take(event(sign))
    assert held.patience == STALL


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("thought", THOUGHTS)
async def test_a_thought_is_no_word_of_the_reply(way: str, thought: dict[str, Any]) -> None:
    b = streamed(event(ROLE), event(thought), event(thought), event(WORDS))
    assert await say(b, way) == "42"
    assert b.call.first_token_seconds is not None


async def test_a_reason_that_is_no_word_does_not_end_a_reply() -> None:
    ended = f"data: {json.dumps(event(WORDS, finish_reason=['stop']))}\n\ndata: [DONE]\n\n".encode()
    b = bench([Said(body=ended, content_type="text/event-stream")] * 3)
    with pytest.raises(BackendUnavailable, match="without a finish reason"):
        await b.chat.ainvoke("q")
