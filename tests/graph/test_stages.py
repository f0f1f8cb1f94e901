"""Our own nodes: what a question sees of the conversation before it, and what a note replaces."""

# langgraph's own overloads are partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from graph import notes
from graph.build import build
from graph.notes import MAX_TURNS
from graph.stages import Context, asked
from infra.errors import BackendError, BackendUnavailable, QuestionError
from infra.settings import BackendName
from infra.text.blocks import find_blocks
from tests.fakes import Said, ScriptedServer
from tests.graph.desk import SmallDesk, SmallSearch

THREAD: RunnableConfig = {"configurable": {"thread_id": "t"}}
LOOKUP = "When did Ann Miller open the bakery?"
LONG = {"ann.txt": "Ann Miller opened the bakery in May 2021. " + "Bread is baked there every day. " * 100}
DRAFTED = {"claims": [{"text": "Ann Miller opened the bakery in May 2021.", "marks": ["E1"]}]}


def task_of(body: dict[str, Any]) -> str:
    return body.get("response_format", {}).get("json_schema", {}).get("name", "")


def model(body: dict[str, Any]) -> str:
    return json.dumps({"route": {"kind": "lookup", "question": LOOKUP}, "draft": DRAFTED}[task_of(body)])


def histories(server: ScriptedServer) -> list[list[str]]:
    """Return the lines of the conversation in each prompt to the router."""
    prompts = [body["messages"][-1]["content"] for body in server.chats if task_of(body) == "route"]
    return [[line for b in find_blocks(prompt, "history") for line in b.body.split("\n")] for prompt in prompts]


def test_a_lone_surrogate_in_a_question_becomes_a_question_mark() -> None:
    assert asked([HumanMessage("Who \ud800 is Ann?")], 100) == "Who ? is Ann?"


async def test_what_a_failed_run_left_behind_is_cleared_and_is_no_part_of_the_history() -> None:
    broken = iter([Said("no such model", status=404)])
    server = ScriptedServer(lambda body: next(broken, model(body)) if task_of(body) == "draft" else model(body))
    desk = SmallDesk(server=server.transports, agents={"route_by_rules": False})
    graph = build(desk, checkpointer=InMemorySaver())
    with pytest.raises(BackendError):
        await graph.ainvoke({"messages": [HumanMessage(LOOKUP)]}, THREAD)
    result = await graph.ainvoke({"messages": [HumanMessage("And when was that?")]}, THREAD)
    assert [m.type for m in result["messages"]] == ["human", "human", "ai"]
    assert histories(server) == [[], [f"user: {LOOKUP}"]]


async def test_a_question_that_was_refused_stays_in_no_conversation() -> None:
    server = ScriptedServer(model)
    desk = SmallDesk(server=server.transports, agents={"route_by_rules": False})
    graph = build(desk, checkpointer=InMemorySaver())
    for refused in ("x" * 20_001, "  "):
        with pytest.raises(QuestionError):
            await graph.ainvoke({"messages": [HumanMessage(refused)]}, THREAD)
    result = await graph.ainvoke({"messages": [HumanMessage(LOOKUP)]}, THREAD)
    assert [m.text for m in result["messages"]] == [LOOKUP, result["messages"][-1].text]
    assert histories(server) == [[]]


async def test_what_a_client_says_was_answered_is_part_of_the_conversation_whatever_its_name() -> None:
    server = ScriptedServer(model)
    graph = build(SmallDesk(server=server.transports), checkpointer=InMemorySaver())
    said = [HumanMessage("Who is Ann?"), AIMessage("A baker.", name="assistant"), AIMessage("x", name="supervisor")]
    result = await graph.ainvoke({"messages": [*said, HumanMessage(LOOKUP)]}, THREAD)
    assert [m.text for m in result["messages"]][:-1] == ["Who is Ann?", "A baker.", LOOKUP]
    assert histories(server) == [["user: Who is Ann?", "assistant: A baker."]]


async def test_while_a_question_is_worked_on_there_is_no_answer_of_another() -> None:
    graph = build(SmallDesk(), checkpointer=InMemorySaver())
    await graph.ainvoke({"messages": [HumanMessage(LOOKUP)]}, THREAD)
    second = {"messages": [HumanMessage("Who repaired the old mill?")]}
    assert (await graph.ainvoke(second, THREAD, interrupt_before=["synthesizer"]))["answer"] == {}
    assert (await graph.ainvoke(None, THREAD))["answer"]["citations"][0]["doc"] == "bob.txt"


async def test_the_account_of_a_finished_question_is_dropped() -> None:
    desk = SmallDesk()
    state = await build(desk, checkpointer=InMemorySaver()).ainvoke({"messages": [HumanMessage(LOOKUP)]}, THREAD)
    [question] = desk.forgotten
    assert state["answer"]["usage"]["llm_calls"] > 0
    assert desk.ledger.calls(question) == []


async def test_notes_are_counted_as_the_runs_back_end_counts_and_only_after_a_model_was_asked() -> None:
    desk = SmallDesk(SmallSearch(texts=LONG), server=ScriptedServer(model).transports, agents={"route_by_rules": False})
    await build(desk).ainvoke({"messages": [HumanMessage(LOOKUP)]}, context=Context(backend="vllm"))
    assert desk.counted_for == ["vllm", "vllm"]  # what retrieval said, and the note of it
    talk = SmallDesk()
    result = await build(talk).ainvoke({"messages": [HumanMessage("Hello!")]})
    assert talk.counted_for == []
    assert result["answer"]["compression"][0]["tokens_before"] > 0


async def test_what_stays_whole_by_far_is_counted_by_estimate_and_no_server_is_asked() -> None:
    desk = SmallDesk()
    result = await build(desk).ainvoke({"messages": [HumanMessage(LOOKUP)]})
    assert desk.counted_for == []
    assert all(0 < made["tokens_before"] <= notes.CAP_TOKENS / 2 for made in result["answer"]["compression"])


async def test_a_note_that_is_over_the_cap_by_the_servers_count_is_made_by_that_count() -> None:
    class Strict(SmallDesk):
        async def count(self, text: str, backend: BackendName | None = None) -> int:
            self.counted_for.append(backend)
            return len(text.split()) if len(text) > 3_000 else 2 * len(text.split())

    desk = Strict(SmallSearch(texts=LONG), server=ScriptedServer(model).transports, agents={"route_by_rules": False})
    answer = (await build(desk).ainvoke({"messages": [HumanMessage(LOOKUP)]}))["answer"]
    [entry] = [entry for entry in answer["compression"] if entry["stage"] == "retrieval"]
    assert len(desk.counted_for) > 2
    assert 0 < entry["tokens_after"] <= notes.CAP_TOKENS


async def test_a_count_that_fails_costs_no_answer() -> None:
    class Forgetful(SmallDesk):
        async def count(self, text: str, backend: BackendName | None = None) -> int:
            self.counted_for.append(backend)
            raise BackendUnavailable("gone")

    server = ScriptedServer(model)
    desk = Forgetful(SmallSearch(texts=LONG), server=server.transports, agents={"route_by_rules": False})
    answer = (await build(desk).ainvoke({"messages": [HumanMessage(LOOKUP)]}))["answer"]
    [entry] = [entry for entry in answer["compression"] if entry["stage"] == "retrieval"]
    assert answer["answer"] == "Ann Miller opened the bakery in May 2021. [E1]"
    assert len(desk.counted_for) == 1  # and never again
    assert 0 < entry["tokens_after"] < entry["tokens_before"]


async def test_the_router_sees_the_last_turns_without_their_sources() -> None:
    server = ScriptedServer(model)
    graph = build(SmallDesk(server=server.transports), checkpointer=InMemorySaver())
    for n in range(MAX_TURNS):
        await graph.ainvoke({"messages": [HumanMessage(f"{n}: {LOOKUP}")]}, THREAD)
    last = histories(server)[-1]
    assert last[:-MAX_TURNS] == [
        f"earlier: user: 0: {LOOKUP}",
        "earlier: assistant: Ann Miller opened the bakery in May 2021.",
        f"earlier: user: 1: {LOOKUP}",
        "earlier: assistant: Ann Miller opened the bakery in May 2021.",
    ]
    assert last[-2:] == [
        f"user: {MAX_TURNS - 2}: {LOOKUP}",
        "assistant: Ann Miller opened the bakery in May 2021. [E1]",
    ]


async def test_the_conversation_carries_the_note_in_place_of_what_was_said() -> None:
    long = {"ann.txt": "Ann Miller opened the bakery in 2021. " + "Bread is baked every day. " * 400}
    graph = build(SmallDesk(SmallSearch(texts=long)), checkpointer=InMemorySaver())
    await graph.ainvoke({"messages": [HumanMessage(LOOKUP)]}, THREAD, interrupt_before=["synthesizer"])
    messages = (await graph.aget_state(THREAD)).values["messages"]
    [said] = [m for m in messages if isinstance(m, AIMessage) and m.name == "retrieval" and not m.tool_calls]
    assert len(said.text) < 2_000
    assert "Ann Miller opened the bakery in 2021." in said.text


@pytest.mark.parametrize(
    ("context", "said"),
    [({"backend": "gpt"}, "backend: Input should be"), ({"roots": "docs"}, "roots: Input should be")],
)
async def test_a_context_that_cannot_be_used_is_refused(context: dict[str, Any], said: str) -> None:
    with pytest.raises(QuestionError, match=f"The run's context cannot be used \\({said}"):
        await build(SmallDesk()).ainvoke({"messages": [HumanMessage(LOOKUP)]}, context=Context(**context))


async def test_a_run_may_choose_its_back_end_and_the_conversation_goes_on() -> None:
    server = ScriptedServer(model)
    desk = SmallDesk(server=server.transports, agents={"route_by_rules": False})
    graph = build(desk, checkpointer=InMemorySaver())
    names: list[str] = []
    for backend in ("vllm", "engine", "vllm"):
        result = await graph.ainvoke({"messages": [HumanMessage(LOOKUP)]}, THREAD, context=Context(backend=backend))
        names.append(result["answer"]["backend"]["name"])
    assert names == ["vllm", "engine", "vllm"]
    assert [m.type for m in result["messages"]] == ["human", "ai"] * 3
    assert len(histories(server)) == 2
    assert len(histories(server)[-1]) == 4
