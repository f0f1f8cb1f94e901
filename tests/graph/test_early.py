"""Sentences that are shown before the answer is whole stay in it, or are taken back plainly."""

# langgraph's own overloads are partly untyped
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from collections.abc import AsyncIterator
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import HumanMessage

from graph.build import build
from graph.early import CHANGED, REWRITTEN
from infra.settings import BudgetSettings
from tests.fakes import Said, ScriptedServer
from tests.graph.desk import SmallDesk, SmallSearch

QUESTION = "When did Ann Miller open the bakery?"
FIRST, SECOND = "Ann Miller opened the bakery in May 2021.", "She sells forty loaves a day."
JUDGED = "Forty loaves are sold by her each day."


def reply(*texts: str, mark: str = "E1") -> str:
    return json.dumps({"claims": [{"text": text, "marks": [mark]} for text in texts]})


def unreadable(text: str) -> str:
    """Return a draft whose second claim names no source."""
    return json.dumps({"claims": [{"text": text, "marks": ["E1"]}, {"text": "So it is."}]})


class Model:
    """A model server of which the drafts are scripted; it judges every claim as told."""

    def __init__(self, *drafts: Said | str, supported: bool = True) -> None:
        self._drafts, self._supported = iter(drafts), supported
        self.seen: list[str] = []
        self.shown_when_judging: int | None = None
        self.judged = ""
        self.events: list[dict[str, Any]] = []

    def __call__(self, body: dict[str, Any]) -> Said | str:
        form: dict[str, Any] = (body.get("response_format") or {}).get("json_schema", {})
        self.seen.append(form.get("name", ""))
        if form.get("name") == "judge":
            self.shown_when_judging = len(self.events)
            self.judged = body["messages"][-1]["content"]
            return json.dumps({"judgements": [{"claim": str(n), "supported": self._supported} for n in range(1, 9)]})
        return next(self._drafts)


async def run(model: Model, **settings: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Ask the question; return the events of the custom stream and the answer."""
    desk = SmallDesk(SmallSearch(most=1), server=ScriptedServer(model).transports, **settings)
    answer: dict[str, Any] = {}
    asked = {"messages": [HumanMessage(QUESTION, id=str(uuid4()))]}
    stream: AsyncIterator[Any] = build(desk).astream(asked, stream_mode=["updates", "custom"])
    async for mode, value in stream:
        if mode == "custom":
            model.events.append(value)
        elif "deliver" in value:
            answer = value["deliver"]["answer"]
    return model.events, answer


def standing(events: list[dict[str, Any]]) -> str:
    """Return what a reader of the events has before them at the end; positions must count from 1."""
    texts: list[str] = []
    for event in events:
        if event["event"] == "withdrawn":
            texts.clear()
        else:
            texts.append(event["text"])
            assert event["position"] == len(texts)
    return "".join(texts)


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events]


async def test_a_copied_sentence_is_shown_with_its_citation_before_a_later_one_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.time", count(1e9, 0.01).__next__)
    model = Model(reply(FIRST, JUDGED))
    events, answer = await run(model)
    assert [event["text"] for event in events] == [f"{FIRST} [E1]"]
    assert events[0]["citations"] == answer["citations"][:1]
    assert model.shown_when_judging == 1
    assert answer["answer"].split("\n") == [f"{FIRST} [E1]", f"{JUDGED} [E1]"]
    assert 0 < answer["seconds"]["first_sentence"] < answer["seconds"]["total"]


async def test_a_sentence_is_shown_while_the_next_one_is_still_written() -> None:
    whole = reply(FIRST, SECOND)
    written = whole.index(SECOND)
    cut = len(whole[:written].split()) + 2
    model = Model(Said(whole, breaks_after=cut), reply(FIRST, SECOND))
    events, answer = await run(model)
    assert kinds(events) == ["sentence", "sentence"], "the same words, written again, are shown once"
    assert standing(events) == answer["answer"]


async def test_a_copied_sentence_is_shown_while_its_own_claim_is_still_written() -> None:
    claim = json.dumps({"claims": [{"marks": ["E1"], "text": f"{FIRST} {SECOND}"}]})
    cut = len(claim[: claim.index("forty")].split()) + 1
    events, _ = await run(Model(Said(claim, breaks_after=cut), reply(SECOND)))
    assert kinds(events) == ["sentence", "withdrawn", "sentence"]
    assert events[0]["text"] == f"{FIRST} [E1]", "before the reply broke"


async def test_sentences_of_one_claim_stand_on_one_line() -> None:
    events, answer = await run(Model(reply(f"{FIRST} {SECOND}")))
    assert [event["text"] for event in events] == [f"{FIRST} [E1]", f" {SECOND} [E1]"]
    assert standing(events) == answer["answer"]


async def test_what_follows_a_copied_sentence_in_its_claim_is_judged_with_it() -> None:
    model = Model(reply(f"{FIRST} {JUDGED}"))
    events, answer = await run(model)
    assert [event["text"] for event in events] == [f"{FIRST} [E1]"]
    assert answer["answer"] == f"{FIRST} [E1] {JUDGED} [E1]"
    assert f"{FIRST} {JUDGED}" in model.judged, "the judge sees whom it speaks of"


async def test_what_is_refused_leaves_the_copied_sentence_before_it() -> None:
    events, answer = await run(Model(reply(f"{FIRST} {JUDGED}"), supported=False))
    assert standing(events) == answer["answer"] == f"{FIRST} [E1]"


async def test_nothing_after_a_sentence_that_waits_for_its_judge_is_shown_before_it() -> None:
    events, answer = await run(Model(reply(JUDGED, FIRST)))
    assert (events, answer["seconds"]["first_sentence"]) == ([], None)
    assert answer["answer"].split("\n") == [f"{JUDGED} [E1]", f"{FIRST} [E1]"]


async def test_a_reply_that_breaks_and_comes_otherwise_takes_back_what_was_shown() -> None:
    model = Model(Said(reply(FIRST, SECOND), breaks_after=14), reply(SECOND))
    events, answer = await run(model)
    assert kinds(events) == ["sentence", "withdrawn", "sentence"]
    assert events[1]["reason"] == REWRITTEN
    assert standing(events) == answer["answer"] == f"{SECOND} [E1]"


async def test_a_reply_that_cannot_be_read_in_the_end_takes_back_what_was_shown() -> None:
    events, answer = await run(Model(unreadable(FIRST), reply(SECOND)))
    assert answer["faults"]["repairs"] == 1
    assert kinds(events) == ["sentence", "withdrawn", "sentence"]
    assert standing(events) == f"{SECOND} [E1]"


async def test_rules_that_stand_in_for_the_model_take_back_what_it_was_shown_to_say() -> None:
    events, answer = await run(Model(unreadable(SECOND), "no JSON"))
    assert answer["faults"]["fallbacks"] == 1
    assert kinds(events)[:2] == ["sentence", "withdrawn"]
    assert standing(events) == answer["answer"]
    assert FIRST in answer["answer"]


async def test_a_budget_that_ends_after_a_sentence_was_shown_leaves_no_wrong_one() -> None:
    events, answer = await run(Model(unreadable(SECOND)), budget=BudgetSettings(question_calls=1))
    assert answer["ended_by"]["setting"] == "DOCMIND_BUDGET__QUESTION_CALLS"
    assert kinds(events)[:2] == ["sentence", "withdrawn"]
    assert standing(events) == answer["answer"]


async def test_a_second_round_shows_its_sentences_as_well() -> None:
    events, answer = await run(Model(reply(JUDGED), reply(FIRST), supported=False))
    assert answer["verdict"]["rounds"] == 2
    assert standing(events) == answer["answer"] == f"{FIRST} [E1]"


async def test_an_answer_that_abstains_shows_nothing() -> None:
    events, answer = await run(Model(reply("The moon is made of cheese."), reply()))
    assert (events, answer["abstained"], answer["seconds"]["first_sentence"]) == ([], True, None)


async def test_an_answer_that_came_out_otherwise_is_noticed_when_it_is_delivered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("graph.nodes.settled", lambda case, claims: settled_otherwise(case, claims))
    events, answer = await run(Model(reply(FIRST)))
    assert kinds(events) == ["sentence", "withdrawn"]
    assert events[1]["reason"] == CHANGED
    assert answer["seconds"]["first_sentence"] is None


def settled_otherwise(case: Any, claims: Any) -> Any:
    from agents.validator import settled  # noqa: PLC0415 - the name in the graph is replaced

    return [one.model_copy(update={"text": "Something else."}) for one in settled(case, claims)]


async def test_hostile_words_are_shown_as_plain_text_on_one_line() -> None:
    text = "Ann Miller opened\u202e the bakery\nin May 2021."
    search = SmallSearch({"ann.txt": text}, most=1)
    model = Model(reply(text))
    desk = SmallDesk(search, server=ScriptedServer(model).transports)
    asked = {"messages": [HumanMessage(QUESTION, id=str(uuid4()))]}
    stream: AsyncIterator[Any] = build(desk).astream(asked, stream_mode="custom")
    shown = [event["text"] async for event in stream]
    assert shown == [f"{FIRST} [E1]"]
