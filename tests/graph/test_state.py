"""The reducers: what parallel branches and re-emitted state come to."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agents.synthesizer import Claim, Draft
from graph.state import Question, State, View, current, packed, question_of, view_of
from tools.evidence import Finding, Passage, Signal


def key(turn: int, rest: str) -> str:
    return f"{turn:06d}-m/{rest}"


KEYS = st.builds(key, st.integers(1, 3), st.sampled_from("abc"))
ENTRIES = st.lists(KEYS).map(lambda keys: {each: f"value of {each}" for each in keys})


QUESTION = Question(id="000001-m", thread="t", text="?", asked_at=0.0)
DRAFT = Draft(claims=[Claim(text="a", marks=["E1"])])


@given(ENTRIES)
def test_merging_an_entry_twice_changes_nothing(entries: dict[str, str]) -> None:
    once = current({}, entries)
    assert current(once, entries) == once
    assert current(entries, once) == once


@given(ENTRIES, ENTRIES)
def test_the_order_of_branches_does_not_matter(left: dict[str, str], right: dict[str, str]) -> None:
    assert current(left, right) == current(right, left)


@given(ENTRIES, ENTRIES, ENTRIES)
def test_the_grouping_of_branches_does_not_matter(a: dict[str, str], b: dict[str, str], c: dict[str, str]) -> None:
    assert current(current(a, b), c) == current(a, current(b, c))


def test_question_two_never_sees_question_ones_entries() -> None:
    first = {"000001-m/q1": "old", "000001-m/q2": "old"}
    assert current(first, {"000002-n/q1": "new"}) == {"000002-n/q1": "new"}
    assert current({"000002-n/q1": "new"}, first) == {"000002-n/q1": "new"}


def test_what_is_packed_is_plain_json_and_reads_back_the_same() -> None:
    finding = Finding("q", [Passage("i", "d", 0, 1, "t", "h", 1.0, "x")], Signal(0.5, likely=True, probability=0.7))
    state: State = {
        "questions": {"000001-m": packed(QUESTION)},
        "findings": {"000001-m/q1": packed(finding)},
        "drafts": {"000001-m/2": packed(Draft(claims=[])), "000001-m/1": packed(DRAFT)},
    }
    view = view_of(json.loads(json.dumps(state)))
    assert view == View(QUESTION, None, None, {"q1": finding}, [DRAFT, Draft(claims=[])], [])


def test_a_conversation_from_before_sections_were_named_reads_back() -> None:
    passage = {"id": "i", "doc": "d", "start": 0, "end": 1, "text": "t", "header": "h", "score": 1.0, "digest": "x"}
    signal = {"coverage": 0.5, "likely": True, "probability": 0.7}
    cited = {"label": "E1", "doc": "d", "start": 0, "end": 1, "quote": "t"}
    view = view_of(
        {
            "questions": {"000001-m": packed(QUESTION)},
            "findings": {"000001-m/q1": {"query": "q", "passages": [passage], "signal": signal}},
            "verdicts": {"000001-m/1": {"accepted": [{"text": "t", "citations": [cited]}], "rejected": []}},
        }
    )
    assert [view.findings["q1"].passages[0].section, view.verdicts[0].accepted[0].citations[0].section] == ["", ""]


def test_a_value_is_read_once_and_what_is_put_in_its_place_is_read_anew() -> None:
    kept: State = {"questions": {"000001-m": packed(QUESTION)}, "drafts": {"000001-m/1": packed(DRAFT)}}
    assert view_of(kept).drafts[0] is view_of(kept).drafts[0]
    edited: State = {**kept, "drafts": {"000001-m/1": {"claims": "none"}}}
    with pytest.raises(ValidationError, match="claims"):
        view_of(edited)
    assert view_of({**kept, "drafts": {"000001-m/1": packed(Draft(claims=[]))}}).drafts == [Draft(claims=[])]


def test_a_state_without_a_question_has_no_view() -> None:
    assert question_of({}) is None
    with pytest.raises(KeyError, match="no question was received"):
        view_of({})
