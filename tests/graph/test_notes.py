"""Notes in the graph: a rolling one of the conversation, one a stage, and a model only where one is named for it."""

# langgraph's own overloads are partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from graph.build import build
from graph.notes import COMPRESSION
from infra.engine.tokenizer import encode
from infra.settings import SupervisorMode
from tests.fakes import Said, ScriptedServer
from tests.graph.desk import SmallDesk, SmallSearch
from tools.compress import Count, Note

THREAD: RunnableConfig = {"configurable": {"thread_id": "t"}}
PRICES = ", ".join(f"{n:,}" for n in range(1000, 1100, 3))
COMPOUND = f"For which of {PRICES} dollars was the mill sold, and who opened the bakery?"
LOOKUP = f"For which of {PRICES} dollars was the mill sold?"
MILL = {
    "mill.txt": " ".join(
        f"The mill in Ham was sold for {n:,} dollars by Bob Stone, its owner of old." for n in range(1000, 1100)
    )
}
TURNS = [message for n in range(3) for message in (HumanMessage(f"Is price {n} set?"), AIMessage(f"It is {n}."))]
NOTE = "The mill in Ham was sold for 1,000 dollars by Bob Stone."


async def test_the_router_is_told_of_a_turn_that_was_long_ago() -> None:
    desk = SmallDesk()
    graph = build(desk, checkpointer=InMemorySaver())
    said = [HumanMessage("Who is Zoe Quill?"), AIMessage("A singer.")]
    await graph.ainvoke({"messages": [*said, *TURNS, HumanMessage("When did Ann Miller open the bakery?")]}, THREAD)
    state = (await graph.aget_state(THREAD)).values
    [question] = state["questions"].values()
    assert question["history"][0] == {"role": "earlier", "text": "user: Who is Zoe Quill?\nassistant: A singer."}
    [earlier] = state["earlier"].values()
    assert earlier["note"] == question["history"][0]["text"]
    assert state["answer"]["compression"][0]["stage"] == "history"


def task_of(body: dict[str, Any]) -> str:
    return body.get("response_format", {}).get("json_schema", {}).get("name", "")


def scripted(note: str | Said, kind: str = "compound") -> tuple[ScriptedServer, Callable[[], list[dict[str, Any]]]]:
    """Return a model server that decides, drafts and notes as told, and what it was asked to note."""

    def answer(body: dict[str, Any]) -> Said | str:
        task = task_of(body)
        if not task:
            return Said("The policy may choose.")
        asked = COMPOUND if kind == "compound" else LOOKUP
        steps = [{"id": f"q{n}", "question": part} for n, part in enumerate((LOOKUP, "Who opened the bakery?"), 1)]
        if task == "note":
            return note
        return json.dumps(
            {
                "route": {"question": asked, "kind": kind, "steps": steps if kind == "compound" else []},
                "plan": {"steps": steps},
                "draft": {"claims": [{"text": MILL["mill.txt"].split(". ")[0] + ".", "marks": ["E1"]}]},
                "judge": {"judgements": []},
            }[task]
        )

    server = ScriptedServer(answer)
    return server, lambda: [body for body in server.chats if task_of(body) == "note"]


def desk_of(server: ScriptedServer, **settings: Any) -> SmallDesk:
    return SmallDesk(SmallSearch(texts=dict(MILL)), server=server.transports, **settings)


async def answered(desk: SmallDesk, question: str) -> dict[str, Any]:
    answer: dict[str, Any] = (await build(desk).ainvoke({"messages": [HumanMessage(question)]}))["answer"]
    return answer


def retrieval_of(answer: dict[str, Any]) -> dict[str, Any]:
    return next(entry for entry in answer["compression"] if entry["stage"] == "retrieval")


NAMED = {"compression": "vllm"}


async def test_a_named_model_writes_the_note_that_choosing_does_not_make_short_enough() -> None:
    server, noted = scripted(json.dumps({"note": NOTE}))
    answer = await answered(desk_of(server, models=NAMED), COMPOUND)
    entry = retrieval_of(answer)
    assert len(noted()) >= 1
    assert (entry["method"], entry["llm_calls"]) == ("model", len(noted()))
    assert entry["retained"] == entry["needed"] > 0
    [line] = [visit for visit in answer["trail"] if visit["agent"] == COMPRESSION]
    assert line["llm_calls"] == len(noted())
    assert answer["usage"]["llm_calls"] == len(server.chats)


@pytest.mark.parametrize(
    ("settings", "kind", "question"),
    [({}, "compound", COMPOUND), ({"models": NAMED}, "lookup", LOOKUP)],
    ids=["no model is named", "look-up"],
)
async def test_no_model_is_asked_for_a_note(settings: dict[str, Any], kind: str, question: str) -> None:
    server, noted = scripted(json.dumps({"note": NOTE}), kind)
    answer = await answered(desk_of(server, **settings), question)
    entry = retrieval_of(answer)
    assert noted() == []
    assert (entry["method"], entry["llm_calls"]) == ("extract", 0)
    assert entry["retained"] == entry["needed"] > 0
    assert entry["tokens_after"] < entry["tokens_before"]


async def test_each_compression_is_entered_in_the_ledger() -> None:
    server, _ = scripted("", "lookup")
    desk = desk_of(server)
    graph = build(desk, checkpointer=InMemorySaver())
    await graph.ainvoke({"messages": [HumanMessage(LOOKUP)]}, THREAD, interrupt_before=["synthesizer"])
    [question] = (await graph.aget_state(THREAD)).values["questions"]
    [remark] = [r for r in desk.ledger.remarks(question) if r.kind == "compression"]
    assert re.fullmatch(
        r"retrieval: [\d,]+ tokens to [\d,]+ \(extract\), (\d+) of \1 facts kept, 0\.\d{3} s, 0 model calls",
        remark.detail,
    )


async def test_a_note_before_any_model_was_asked_is_counted_by_the_embedded_engine() -> None:
    asked = "For which dollars was the mill sold?"
    server, _ = scripted("", "lookup")
    desk = desk_of(server)
    graph = build(desk, checkpointer=InMemorySaver())
    await graph.ainvoke({"messages": [HumanMessage(asked)]}, THREAD, interrupt_before=["synthesizer"])
    state = (await graph.aget_state(THREAD)).values
    [note] = [m.text for m in state["messages"] if m.name == "retrieval" and m.type == "ai" and not m.tool_calls]
    entry = list(state["compressions"].values())[-1]
    assert (server.chats, desk.counted_for) == ([], [])
    assert entry["tokens_before"] > entry["tokens_after"] == len(encode(note))


async def test_one_note_that_cannot_be_read_is_one_fallback_and_no_matter_of_the_answers() -> None:
    server, noted = scripted("no JSON at all")
    answer = await answered(desk_of(server, models=NAMED), COMPOUND)
    assert len(noted()) == 2  # asked once more
    assert answer["faults"]["fallbacks"] == 1
    assert not any(COMPRESSION in note for note in answer["notes"])


@pytest.mark.parametrize("reply", [Said("no such model", status=404), "no JSON at all", json.dumps({"note": " "})])
async def test_a_model_that_fails_costs_the_note_alone(reply: Said | str) -> None:
    server, noted = scripted(reply)
    answer = await answered(desk_of(server, models=NAMED), COMPOUND)
    entry = retrieval_of(answer)
    assert len(noted()) >= 1
    assert entry["method"] == "fallback"
    assert entry["retained"] == entry["needed"] > 0
    assert not answer["abstained"]
    assert answer["ended_by"] is None


async def test_a_budget_that_refuses_the_note_is_told_and_ends_nothing() -> None:
    server, noted = scripted(json.dumps({"note": NOTE}))
    desk = desk_of(server, models=NAMED, budget={"question_calls": 1})
    graph = build(desk, checkpointer=InMemorySaver())
    await graph.ainvoke({"messages": [HumanMessage(COMPOUND)]}, THREAD, interrupt_before=["synthesizer"])
    state = (await graph.aget_state(THREAD)).values
    assert noted() == []
    assert [entry["method"] for entry in state["compressions"].values()][-1] == "fallback"
    assert state.get("ended", {}) == {}
    [question] = state["questions"]
    assert "budget" in {r.kind for r in desk.ledger.remarks(question) if r.scope.agent == COMPRESSION}


async def test_what_later_stages_read_is_left_as_it_is() -> None:
    server, _ = scripted(json.dumps({"note": NOTE}))
    graph = build(desk_of(server, models=NAMED), checkpointer=InMemorySaver())
    await graph.ainvoke({"messages": [HumanMessage(COMPOUND)]}, THREAD, interrupt_before=["synthesizer"])
    state = (await graph.aget_state(THREAD)).values
    texts = {passage["text"] for finding in state["findings"].values() for passage in finding["passages"]}
    assert texts == set(MILL.values())
    said = [
        m.text for m in state["messages"] if isinstance(m, AIMessage) and m.name == "retrieval" and not m.tool_calls
    ]
    assert any(text.startswith(NOTE) for text in said)


@pytest.mark.parametrize("mode", ["policy", "llm"])
async def test_no_prompt_changes_by_a_note(mode: SupervisorMode, monkeypatch: pytest.MonkeyPatch) -> None:
    async def left_whole(text: str, question: str, count: Count, **_: object) -> Note:
        return Note(text, await count(text), await count(text))

    async def prompts() -> list[Any]:
        server, _ = scripted("")
        await answered(desk_of(server, mode=mode), COMPOUND)
        return [body["messages"] for body in server.chats]

    noted = await prompts()
    monkeypatch.setattr("graph.notes.compress", left_whole)
    assert await prompts() == noted != []
