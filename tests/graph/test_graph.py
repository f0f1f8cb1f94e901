"""One question's way through the whole graph, with the embedded engine and a small search."""

# langgraph's own overloads are partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from collections import Counter
from itertools import count
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from graph.build import build
from graph.policy import AGENTS
from infra.errors import QuestionError
from infra.settings import RetrievalSettings, SupervisorMode
from infra.text.blocks import find_blocks
from tests.fakes import ScriptedServer
from tests.graph.desk import TEXTS, SmallDesk, SmallSearch

MODES: tuple[SupervisorMode, ...] = ("policy", "llm")
LOOKUP = "When did Ann Miller open the bakery?"
COMPOUND = "When did Ann Miller open the bakery and when did Bob Stone repair the old mill?"


@pytest.fixture(autouse=True)
def _running(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time goes on whenever it is asked for: what began later says so, on the quickest machine."""
    monkeypatch.setattr("time.time", count(1e9, 0.01).__next__)


class Histories(BaseCallbackHandler):
    """Keeps every history that was sent to a chat model, the supervisor's own among them."""

    def __init__(self) -> None:
        self.sent: list[list[BaseMessage]] = []

    def on_chat_model_start(self, serialized: dict[str, Any], messages: list[list[BaseMessage]], **kwargs: Any) -> None:
        self.sent += messages


def unanswered_or_twice(history: list[BaseMessage]) -> list[str]:
    """Return the ids of tool calls that are not answered exactly once, right after the message that makes them."""
    calls = Counter(str(c["id"]) for m in history if isinstance(m, AIMessage) for c in m.tool_calls)
    answers = Counter(m.tool_call_id for m in history if isinstance(m, ToolMessage))
    wrong = [i for i in {*calls, *answers} if calls[i] != 1 or answers[i] != 1]
    open_calls: set[str] = set()
    for message in history:
        if isinstance(message, ToolMessage):
            wrong += [message.tool_call_id] if message.tool_call_id not in open_calls else []
            open_calls.discard(message.tool_call_id)
        elif open_calls:
            wrong += sorted(open_calls)
            open_calls.clear()
        if isinstance(message, AIMessage):
            open_calls.update(str(c["id"]) for c in message.tool_calls)
    return wrong + sorted(open_calls)


async def ask(graph: Any, question: str, config: RunnableConfig | None = None) -> dict[str, Any]:
    result = await graph.ainvoke({"messages": [HumanMessage(question, id=str(uuid4()))]}, config)
    return result["answer"]


def visited(answer: dict[str, Any]) -> list[str]:
    return [visit["agent"] for visit in answer["trail"] if visit["agent"] != "supervisor"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_lookup_is_answered_with_a_verbatim_quote(mode: SupervisorMode) -> None:
    answer = await ask(build(SmallDesk(mode=mode)), LOOKUP)
    assert not answer["abstained"]
    assert "May 2021" in answer["answer"]
    assert {c["doc"] for c in answer["citations"]} == {"ann.txt"}
    for c in answer["citations"]:
        assert TEXTS[c["doc"]][c["start"] : c["end"]] == c["quote"]
        assert f"[{c['label']}]" in answer["answer"]


async def test_a_lookup_visits_four_agents_in_order_and_asks_no_model_to_supervise() -> None:
    answer = await ask(build(SmallDesk()), LOOKUP)
    assert [v["agent"] for v in answer["trail"]] == ["router", "retrieval", "synthesizer", "validator"]
    assert answer["usage"]["llm_calls"] == sum(v["llm_calls"] for v in answer["trail"])
    assert answer["usage"]["prompt_tokens"] > 0


@pytest.mark.parametrize("mode", MODES)
async def test_independent_steps_are_searched_at_the_same_time(mode: SupervisorMode) -> None:
    both = Barrier(2, timeout=60)  # passes only when two searches wait in it together

    def meet(_: str) -> None:
        both.wait()

    answer = await ask(build(SmallDesk(SmallSearch(before=meet), mode=mode)), COMPOUND)
    assert visited(answer) == ["router", "retrieval", "retrieval", "synthesizer", "validator"]
    first, second = (v for v in answer["trail"] if v["agent"] == "retrieval")
    assert second["started"] < first["started"] + first["seconds"]
    assert {c["doc"] for c in answer["citations"]} == {"ann.txt", "bob.txt"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("question", [LOOKUP, COMPOUND])
async def test_every_history_sent_to_a_model_answers_each_tool_call_once(mode: SupervisorMode, question: str) -> None:
    histories = Histories()
    await ask(build(SmallDesk(mode=mode)), question, {"callbacks": [histories]})
    assert len(histories.sent) > len(AGENTS)
    assert [unanswered_or_twice(history) for history in histories.sent] == [[]] * len(histories.sent)


async def test_a_plain_lookup_takes_one_model_call_and_a_compound_question_two() -> None:
    graph = build(SmallDesk())
    assert (await ask(graph, LOOKUP))["usage"]["llm_calls"] == 1
    assert (await ask(graph, COMPOUND))["usage"]["llm_calls"] == 2


@pytest.mark.parametrize("mode", MODES)
async def test_the_planner_is_asked_where_the_router_gave_no_steps(mode: SupervisorMode) -> None:
    answer = await ask(build(SmallDesk(mode=mode, agents={"route_with_plan": False})), COMPOUND)
    assert visited(answer) == ["router", "planner", "retrieval", "retrieval", "synthesizer", "validator"]
    assert [step["id"] for step in answer["plan"]["steps"]] == ["q1", "q2"]


async def test_a_run_that_was_interrupted_before_the_planner_goes_on_there() -> None:
    saver, config = InMemorySaver(), RunnableConfig(configurable={"thread_id": "t"})
    before = build(SmallDesk(agents={"route_with_plan": False}), checkpointer=saver)
    await before.ainvoke({"messages": [HumanMessage(COMPOUND)]}, config, interrupt_before=["planner"])
    answer = (await build(SmallDesk(), checkpointer=saver).ainvoke(None, config))["answer"]
    assert visited(answer) == ["router", "planner", "retrieval", "retrieval", "synthesizer", "validator"]
    assert {c["doc"] for c in answer["citations"]} == {"ann.txt", "bob.txt"}


async def test_without_parallel_tools_the_same_steps_run_one_after_the_other() -> None:
    answer = await ask(build(SmallDesk(agents={"parallel_tools": False})), COMPOUND)
    assert visited(answer) == ["router", "retrieval", "retrieval", "synthesizer", "validator"]
    first, second = (v for v in answer["trail"] if v["agent"] == "retrieval")
    assert second["started"] >= first["started"] + first["seconds"] - 0.001


async def test_what_the_documents_do_not_hold_is_said_and_nothing_is_cited() -> None:
    answer = await ask(build(SmallDesk()), "Which submarine crossed the Pacific underwater?")
    assert answer["abstained"]
    assert answer["citations"] == []
    assert answer["answer"].startswith("I could not find an answer to this in your documents.")


async def test_from_what_was_found_for_a_part_without_an_answer_nothing_is_claimed() -> None:
    question = "When did Ann Miller open the bakery, and which old submarine crossed the wide Pacific underwater?"
    desk = SmallDesk(SmallSearch(TEXTS | {"sub.txt": "An old submarine of the navy rusts in the port."}))
    histories = Histories()
    answer = await ask(build(desk), question, {"callbacks": [histories]})
    prompts = [str(message.content) for history in histories.sent for message in history]
    shown = {source.attrs["doc"] for prompt in prompts for source in find_blocks(prompt, "source")}
    assert shown == {"ann.txt", "cat.txt"}
    assert [c["doc"] for c in answer["citations"]] == ["ann.txt"]
    assert "Not answered: " in answer["answer"]


async def test_what_the_clear_passages_do_not_answer_is_answered_from_all() -> None:
    said = "The cat of the bakery is called Whiskers."
    server = ScriptedServer(['{"claims": []}', json.dumps({"claims": [{"text": said, "marks": ["E2"]}]})])
    desk = SmallDesk(server=server.transports, retrieval=RetrievalSettings(clear_tokens=1))
    answer = await ask(build(desk), LOOKUP)
    shown = [[b.attrs["doc"] for b in find_blocks(c["messages"][-1]["content"], "source")] for c in server.chats]
    assert shown == [["ann.txt"], ["ann.txt", "cat.txt"]]
    assert [c["doc"] for c in answer["citations"]] == ["cat.txt"]


async def test_a_greeting_needs_no_documents() -> None:
    desk = SmallDesk()
    answer = await ask(build(desk), "Hello!")
    assert answer["route"]["kind"] == "direct"
    assert not answer["abstained"]
    assert desk.search.queries == []


@pytest.mark.parametrize("mode", MODES)
async def test_a_thread_keeps_questions_and_answers_and_nothing_else(mode: SupervisorMode) -> None:
    graph = build(SmallDesk(mode=mode), checkpointer=InMemorySaver())
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    await ask(graph, LOOKUP, config)
    await ask(graph, "What is the cat of the bakery called?", config)
    state = await graph.aget_state(config)
    assert [m.type for m in state.values["messages"]] == ["human", "ai", "human", "ai"]
    keys = [key for kind in ("findings", "drafts", "verdicts", "trail") for key in state.values[kind]]
    assert {key.split("-")[0] for key in keys} == {"000002"}


async def test_a_follow_up_cites_what_its_standalone_form_cites() -> None:
    graph = build(SmallDesk(), checkpointer=InMemorySaver())
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    await ask(graph, "Who is Bob Stone and what did he repair?", config)
    answer = await ask(graph, "When did he repair it?", config)
    assert {c["doc"] for c in answer["citations"]} == {"bob.txt"}
    assert "Bob Stone" in answer["route"]["question"]


@pytest.mark.parametrize("agent", ["retrieval", "synthesizer"])
async def test_a_run_can_be_interrupted_before_an_agent_and_resumed(agent: str) -> None:
    graph = build(SmallDesk(), checkpointer=InMemorySaver())
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    question = {"messages": [HumanMessage(LOOKUP)]}
    await graph.ainvoke(question, config, interrupt_before=[agent])
    assert (await graph.aget_state(config)).next == (agent,)
    result = await graph.ainvoke(None, config)
    assert "May 2021" in result["answer"]["answer"]


async def test_each_agent_is_streamed_as_an_update() -> None:
    seen: list[str] = []
    graph = build(SmallDesk(agents={"route_with_plan": False}))
    async for update in graph.astream({"messages": [HumanMessage(COMPOUND)]}, stream_mode="updates"):
        seen += list(update)
    assert set(seen) == {"receive", "recall", "supervisor", "compress", "deliver", *AGENTS}
    assert seen.count("retrieval") == 2


async def test_a_stage_that_says_much_is_compressed_to_a_note() -> None:
    long = {
        f"{n}.txt": f"Ann Miller opened the bakery number {n}. " + "Bread is baked every day. " * 150 for n in range(4)
    }
    answer = await ask(build(SmallDesk(SmallSearch(texts=long))), LOOKUP)
    stage = next(c for c in answer["compression"] if c["stage"] == "retrieval")
    assert stage["tokens_before"] > 1000
    assert stage["tokens_after"] <= 0.3 * stage["tokens_before"]


@pytest.mark.parametrize("text", ["", "  \n"])
async def test_an_empty_question_is_refused(text: str) -> None:
    with pytest.raises(QuestionError, match="The question is empty"):
        await ask(build(SmallDesk()), text)


async def test_a_question_of_a_megabyte_is_refused_with_the_setting_that_decides() -> None:
    with pytest.raises(QuestionError, match="1,000,000 characters, 20,000 are allowed; DOCMIND_MAX_QUESTION_CHARS"):
        await ask(build(SmallDesk()), "a" * 1_000_000)


def test_input_and_output_are_narrow() -> None:
    graph = build(SmallDesk())
    assert list(graph.get_input_jsonschema()["properties"]) == ["messages"]
    assert list(graph.get_output_jsonschema()["properties"]) == ["messages", "answer"]


async def test_a_step_that_needs_another_is_searched_with_what_was_found_for_it() -> None:
    desk = SmallDesk()
    await ask(build(desk), "Who is the neighbour of the person who repaired the old mill?")
    assert desk.search.queries == [
        "Who repaired the old mill?",
        f"Who is the neighbour of the person who repaired the old mill? {TEXTS['bob.txt']}",
    ]
