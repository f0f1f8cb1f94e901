"""Models that answer nonsense, choose badly or fail: a checked answer, an abstention or a clear error."""

# langgraph's own overloads are partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from graph.build import build
from infra.errors import BackendError
from tests.fakes import Said, ScriptedServer
from tests.graph.desk import TEXTS, SmallDesk

LOOKUP = "When did Ann Miller open the bakery?"
ROUTE = {"kind": "lookup", "question": LOOKUP, "reply": ""}


async def ask(server: ScriptedServer, *, mode: str = "policy") -> dict[str, Any]:
    agents = {"route_by_rules": False}
    graph = build(SmallDesk(server=server.transports, mode="llm" if mode == "llm" else "policy", agents=agents))
    result = await graph.ainvoke({"messages": [HumanMessage(LOOKUP)]})
    return result["answer"]


def by_task(replies: dict[str, Any], otherwise: Said | str = "?") -> ScriptedServer:
    """Return a server that answers by the schema's title, and ``otherwise`` without a schema."""

    def script(body: dict[str, Any]) -> Said | str:
        task = body.get("response_format", {}).get("json_schema", {}).get("name", "")
        reply = replies.get(task, otherwise)
        return reply if isinstance(reply, str | Said) else json.dumps(reply)

    return ScriptedServer(script)


@pytest.mark.parametrize("garbage", ["", "I think so!", "{", "[]", "null", "\x00\x1b[31m", "<tool_call>{</tool_call>"])
async def test_rules_stand_in_for_a_model_that_answers_garbage_and_the_answer_says_so(garbage: str) -> None:
    answer = await ask(ScriptedServer(lambda _: garbage))
    assert "Ann Miller opened the bakery in May 2021. [E1]" in answer["answer"]
    assert [TEXTS[c["doc"]][c["start"] : c["end"]] for c in answer["citations"]] == [
        c["quote"] for c in answer["citations"]
    ]
    assert answer["notes"] == ["The model's reply could not be used; rules stood in for: router, synthesizer."]
    assert (answer["faults"]["repairs"], answer["faults"]["fallbacks"]) == (2, 2)
    assert answer["backend"]["name"] == "engine"


async def test_an_invented_answer_gets_one_more_round_and_then_abstains() -> None:
    invented = {"claims": [{"text": "Ann sold it to a bank.", "marks": ["E1"], "quotes": ["to a bank"]}], "missing": ""}
    answer = await ask(by_task({"route": ROUTE, "draft": invented}))
    assert answer["abstained"]
    assert [v["agent"] for v in answer["trail"]][2:] == ["synthesizer", "validator"] * 2
    assert answer["verdict"]["unsupported"][0]["text"] == "Ann sold it to a bank."


async def test_what_is_not_supported_is_taken_out_and_the_rest_stands() -> None:
    true = {"text": "Ann Miller opened the bakery in May 2021.", "marks": ["E1"]}
    drafted = {"claims": [true, {"text": "She has nine cats.", "marks": ["E1"]}], "missing": ""}
    answer = await ask(by_task({"route": ROUTE, "draft": drafted}))
    assert answer["answer"] == "Ann Miller opened the bakery in May 2021. [E1]"
    assert not answer["abstained"]


@pytest.mark.parametrize(
    "choice",
    [
        Said("I am done."),
        Said(tool_calls=[("transfer_to_validator", {"task": "check"})]),
        Said(tool_calls=[("transfer_to_nobody", {})]),
        Said(tool_calls=[("forward_message", {"from_agent": "router"})]),
        Said(tool_calls=[("transfer_to_retrieval", {"task": "x"}), ("transfer_to_router", {"task": "y"})]),
    ],
    ids=["stops at once", "skips ahead", "an agent that is not there", "forwards too early", "two at once"],
)
async def test_a_supervising_model_that_chooses_badly_still_comes_to_a_checked_answer(choice: Said) -> None:
    drafted = {"claims": [{"text": "Ann Miller opened the bakery in May 2021.", "marks": ["E1"]}], "missing": ""}
    answer = await ask(by_task({"route": ROUTE, "draft": drafted}, choice), mode="llm")
    assert answer["answer"] == "Ann Miller opened the bakery in May 2021. [E1]"
    assert [v["agent"] for v in answer["trail"] if v["agent"] != "supervisor"][-1] == "validator"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (Said("boom", status=500), "500"),
        (Said(body=b"<html>It works!</html>", content_type="text/html"), "DOCMIND_VLLM__BASE_URL"),
        (Said(body=b'{"choices": "none"}'), "DOCMIND_VLLM__BASE_URL"),
        (Said("no such key", status=401), "DOCMIND_VLLM__API_KEY"),
    ],
    ids=["500", "a web page", "garbage JSON", "a wrong key"],
)
async def test_a_server_that_fails_ends_the_run_with_one_clear_line(said: Said, message: str) -> None:
    with pytest.raises(BackendError, match=message) as caught:
        await ask(ScriptedServer(lambda _: said))
    assert "\n" not in str(caught.value)
