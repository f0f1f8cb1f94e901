"""The reducers: what parallel branches and re-emitted state come to."""

from hypothesis import given
from hypothesis import strategies as st

from graph.state import Question, current, newest

KEYS = st.builds(lambda turn, rest: f"{turn:06d}-m/{rest}", st.integers(1, 3), st.sampled_from("abc"))
ENTRIES = st.lists(KEYS).map(lambda keys: {key: f"value of {key}" for key in keys})


def question(turn: int) -> Question:
    return Question(id=f"{turn:06d}-m", thread="t", text="?", asked_at=0.0)


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


def test_the_later_question_stands_whatever_the_order() -> None:
    assert newest(question(1), question(2)) == question(2)
    assert newest(question(2), question(1)) == question(2)
    assert newest(None, question(1)) == question(1)
