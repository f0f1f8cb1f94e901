"""Findings become evidence: interleaved, each passage once, neighbours side by side."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tools.evidence import Finding, Passage, Signal, merge

SIGNAL = Signal(1.0, likely=True, probability=0.9)


def passage(name: str) -> Passage:
    """The passage ``document.number``, ten characters long; those of one document follow each other."""
    doc, number = name.split(".")
    start = 12 * int(number)
    return Passage(name, doc, start, start + 10, "x" * 10, "", 1.0, name)


def merged(*findings: Sequence[str], limit: int = 99) -> list[str]:
    found = merge([Finding("q", [passage(name) for name in names], SIGNAL) for names in findings], limit)
    assert [item.label for item in found] == [f"E{n}" for n in range(1, len(found) + 1)]
    return [item.passage.id for item in found]


def test_findings_take_turns_and_each_passage_comes_once():
    assert merged(["a.1", "b.1", "c.1"], ["d.1", "a.1", "e.1"]) == ["a.1", "d.1", "b.1", "c.1", "e.1"]


def test_no_more_than_the_limit_are_taken():
    assert merged(["a.1", "b.1", "c.1", "a.2"], limit=3) == ["a.1", "b.1", "c.1"]
    assert merged([]) == []


def test_neighbours_stand_in_the_order_of_their_document_where_the_better_one_stands():
    assert merged(["a.5", "b.1", "a.4", "c.1", "a.6"]) == ["a.4", "a.5", "a.6", "b.1", "c.1"]
    assert merged(["a.5", "b.1", "a.3", "a.4"]) == ["a.3", "a.4", "a.5", "b.1"]


def test_passages_with_words_between_them_are_no_neighbours():
    assert merged(["a.5", "b.1", "a.3"]) == ["a.5", "b.1", "a.3"]


NAMES = st.lists(st.sampled_from([f"{doc}.{number}" for doc in "ab" for number in range(5)]), max_size=8, unique=True)


@given(st.lists(NAMES, max_size=3), st.integers(1, 12))
def test_joining_loses_nothing(findings: list[list[str]], limit: int):
    found = merged(*findings, limit=limit)
    every = {name for names in findings for name in names}
    assert len(found) == len(set(found)) == min(limit, len(every))
    assert set(found) <= every
