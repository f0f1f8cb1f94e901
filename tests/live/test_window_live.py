"""From a tenth of the window to twenty times it, through the graph: the server never refuses or shortens a call."""

# langgraph's own overloads are partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any, Literal

import httpx2
import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from graph.build import build
from infra.settings import SupervisorMode
from tests.graph.desk import SmallDesk, SmallSearch
from tests.live.wire import Wire, tokens_asked_for

pytestmark = pytest.mark.live
FACTORS = (0.1, 0.5, 0.9, 1.0, 1.1, 2.0, 5.0, 20.0)
SENTENCE = "Ann Miller opened the bakery in May 2021 and sells {n} loaves on day {n} of the year. "
SENTENCE_TOKENS = 40  # about, to this tokenizer; what is thrown at the window need not be exact
Part = Literal["evidence", "question", "history"]


def words(tokens: float, first: int = 0) -> str:
    return "".join(SENTENCE.format(n=first + n) for n in range(max(1, int(tokens / SENTENCE_TOKENS))))


def thrown(part: Part, tokens: float) -> tuple[list[AnyMessage], SmallSearch]:
    """Return a conversation and a search of which ``part`` is about so many tokens long."""
    question = "When did Ann Miller open the bakery, and how many loaves does she sell?"
    texts = {"ann.txt": words(40)}
    history: list[AnyMessage] = []
    if part == "evidence":
        texts = {f"{n}.txt": words(tokens / 10, n * 1000) for n in range(10)}
    elif part == "question":
        question = words(tokens) + question
    else:
        turns = [(HumanMessage(words(tokens / 40)), AIMessage(words(tokens / 40))) for _ in range(20)]
        history = [message for turn in turns for message in turn]
    return [*history, HumanMessage(question)], SmallSearch(texts=texts, most=10)


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("mode", ["policy", "llm"])
@pytest.mark.parametrize("part", ["evidence", "question", "history"])
async def test_no_call_is_too_long_for_the_server(
    live_url: str, monkeypatch: pytest.MonkeyPatch, mode: SupervisorMode, part: Part, *, streaming: bool
) -> None:
    window = int(httpx2.get(f"{live_url}/models").json()["data"][0]["max_model_len"])
    monkeypatch.setenv("DOCMIND_VLLM__BASE_URL", live_url)
    monkeypatch.setenv("DOCMIND_MAX_QUESTION_CHARS", "1000000")
    async with Wire() as wire:
        for factor in FACTORS:
            messages, search = thrown(part, factor * window)
            desk = SmallDesk(search, mode=mode, server=wire.transports, budget={"reserve_tokens": 64})
            answer = await _answer(build(desk), messages, streaming=streaming)
            assert answer["abstained"] == (answer["citations"] == [])
    assert len(wire.sent) > len(FACTORS)
    assert {sent.status for sent in wire.sent} == {200}
    longest = max(tokens_asked_for(live_url, sent) for sent in wire.sent)
    assert window / 2 < longest <= window


async def _answer(graph: Any, messages: list[AnyMessage], *, streaming: bool) -> dict[str, Any]:
    if not streaming:
        return (await graph.ainvoke({"messages": messages}))["answer"]
    answer: dict[str, Any] = {}
    async for kind, value in graph.astream({"messages": messages}, stream_mode=["messages", "values"]):
        answer = value.get("answer", answer) if kind == "values" else answer
    return answer
