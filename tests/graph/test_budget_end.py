"""A budget that is used up ends the model's part, not the answer: rules finish it, and the answer says so."""

# langgraph's own overloads are partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig

from graph.build import build
from infra.settings import SupervisorMode
from tests.fakes import Said, ScriptedServer
from tests.graph.desk import TEXTS, SmallDesk

LOOKUP = "When did Ann Miller open the bakery?"
COMPOUND = "When did Ann Miller open the bakery and when did Bob Stone repair the old mill?"
DRAFTED = {"claims": [{"text": "The bakery was opened by Ann in May 2021.", "marks": ["E1"]}]}


def model(body: dict[str, Any]) -> str:
    task = body.get("response_format", {}).get("json_schema", {}).get("name", "")
    return json.dumps({"route": {"kind": "lookup", "question": LOOKUP}, "draft": DRAFTED}.get(task, {}))


WRITTEN = {"claims": [{"text": "Ann Miller opened the bakery in May 2021.", "marks": ["E1"]}]}


def verbatim(body: dict[str, Any]) -> str:
    return json.dumps(WRITTEN) if '"draft"' in json.dumps(body) else model(body)


async def ask(server: ScriptedServer, mode: SupervisorMode = "policy", **budget: int) -> dict[str, Any]:
    graph = build(SmallDesk(server=server.transports, mode=mode, budget=budget))
    return (await graph.ainvoke({"messages": [HumanMessage(LOOKUP)]}))["answer"]


@pytest.mark.parametrize("mode", ["policy", "llm"])
@pytest.mark.parametrize(
    ("setting", "budget"),
    [
        ("QUESTION_CALLS", {"question_calls": 1}),
        ("QUESTION_TOKENS", {"question_tokens": 1000}),
        ("AGENT_TOKENS", {"agent_tokens": 256}),
        ("CALL_TOKENS", {"call_tokens": 256}),
        ("THREAD_TOKENS", {"thread_tokens": 1000}),
    ],
)
async def test_the_answer_is_finished_by_rules_and_names_the_budget(
    mode: SupervisorMode, setting: str, budget: dict[str, int]
) -> None:
    server = ScriptedServer(model)
    desk = SmallDesk(server=server.transports, mode=mode, budget=budget)
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    result = await build(desk).ainvoke({"messages": [HumanMessage(LOOKUP)]}, config)
    answer = result["answer"]
    assert answer["ended_by"]["setting"] == f"DOCMIND_BUDGET__{setting}"
    assert answer["notes"][0].startswith("A budget ended the model's part")
    assert answer["notes"][0] in result["messages"][-1].text
    assert not answer["abstained"]
    assert [TEXTS[c["doc"]][c["start"] : c["end"]] for c in answer["citations"]] == [
        c["quote"] for c in answer["citations"]
    ]
    assert "May 2021" in answer["answer"]
    assert answer["backend"]["name"] == "engine"
    assert len(server.chats) <= budget.get("question_calls", 0)


async def test_a_draft_that_can_no_longer_be_judged_is_not_shown() -> None:
    answer = await ask(ScriptedServer(model), question_calls=1)
    assert answer["ended_by"]["setting"] == "DOCMIND_BUDGET__QUESTION_CALLS"
    assert "opened by Ann" not in answer["answer"]
    assert "Ann Miller opened the bakery in May 2021." in answer["answer"]
    assert answer["usage"]["llm_calls"] == 1


async def test_a_checked_answer_is_its_models_though_the_budget_ended_with_the_judge() -> None:
    claims = [*WRITTEN["claims"], {"text": "Forty loaves a day are sold by her.", "marks": ["E1"]}]

    def script(body: dict[str, Any]) -> str:
        return json.dumps({"claims": claims}) if '"draft"' in json.dumps(body) else model(body)

    answer = await ask(ScriptedServer(script), question_calls=1)
    assert answer["answer"] == "Ann Miller opened the bakery in May 2021. [E1]"
    assert answer["backend"]["name"] == "vllm"
    assert "rules did the rest" not in answer["notes"][0]
    assert answer["notes"][1] == "1 sentence was not supported and left out."


async def test_a_budget_that_refuses_the_supervisor_ends_the_models_part_and_is_named() -> None:
    def script(body: dict[str, Any]) -> Said | str:
        if not body.get("tools"):
            return verbatim(body)
        return Said(tool_calls=[("transfer_to_router", {"task": "x"})])

    server = ScriptedServer(script)
    answer = await ask(server, "llm", agent_tokens=3_200)
    assert answer["ended_by"]["setting"] == "DOCMIND_BUDGET__AGENT_TOKENS"
    assert [e["kind"] for v in answer["trail"] if v["agent"] == "supervisor" for e in v["events"]] == ["budget"]
    assert {"tools" in body for body in server.chats} == {True}  # the supervisor, and nobody more
    assert answer["answer"] == "Ann Miller opened the bakery in May 2021. [E1]"


async def test_parallel_questions_of_one_thread_share_its_budget_without_overshoot() -> None:
    desk = SmallDesk(
        server=ScriptedServer(verbatim).transports, budget={"thread_tokens": 4_000}
    )  # for three, one after the other
    graph = build(desk)
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    inputs = [{"messages": [HumanMessage(LOOKUP)]}] * 6
    answers = [result["answer"] for result in await graph.abatch(inputs, config)]
    used = sum(a["usage"]["prompt_tokens"] + a["usage"]["completion_tokens"] for a in answers)
    assert 0 < used <= 4_000
    assert any(a["ended_by"] for a in answers)
    assert all(not a["abstained"] for a in answers)
