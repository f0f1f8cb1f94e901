"""What is shown of a finding: what lies near its best passage, and what fits beside it."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.engine.tokenizer import encode
from tools.clear import FAR, LEAD, NEAR, narrowed
from tools.evidence import Finding, Passage, Signal, source_block

ASKED = "When did Ann Miller open the bakery?"
ANSWER = "Ann Miller opened the bakery in May."
OTHER = "Bob Stone repaired the mill in June."
SIZE = len(encode(source_block(Passage("a1", "a", 0, len(ANSWER), ANSWER, "", 0.0, ""), "E1")))
ROOM = 2 * SIZE
"""Tokens for two passages of these."""


def passage(name: str, score: float, text: str = OTHER, header: str = "") -> Passage:
    """The passage ``name``; its first letter is its document."""
    return Passage(name, name[0], 0, len(text), text, header, score, name)


def shown(passages: Sequence[Passage], tokens: int = ROOM, query: str = ASKED) -> str:
    found = narrowed(Finding(query, list(passages), Signal(1.0, likely=True, probability=0.9)), tokens)
    assert (found.query, found.signal) == (query, Signal(1.0, likely=True, probability=0.9))
    return " ".join(p.id for p in found.passages)


BEST = passage("a1", 9.0, ANSWER)
WORSE = [passage("b1", 5.8), passage("a2", 5.7), passage("c1", 5.6)]
"""Left out where the best is clear, and not where it is not."""


def test_of_clear_passages_the_best_is_shown_and_what_fits_beside_it_its_own_document_first() -> None:
    assert shown([BEST, *WORSE]) == "a1 a2"
    assert shown([BEST, *WORSE], ROOM + SIZE) == "a1 b1 a2"
    assert shown([BEST, *WORSE], 1) == "a1"


def test_without_a_limit_all_are_shown() -> None:
    assert shown([BEST, *WORSE], 0) == "a1 b1 a2 c1"
    assert shown([]) == ""


def test_where_another_document_is_nearly_as_good_nothing_is_clear() -> None:
    assert shown([BEST, passage("b1", 9.0 - LEAD + 0.1), *WORSE[1:]]) == "a1 b1 a2 c1"
    assert shown([BEST, passage("a3", 9.0 - LEAD + 0.1), *WORSE]) == "a1 a3"


@pytest.mark.parametrize(("header", "expected"), [("", "a1 b1 a2 c1"), ("Ann Miller, her bakery", "a1 a2")])
def test_where_the_best_does_not_say_what_is_asked_nothing_is_clear(header: str, expected: str) -> None:
    assert shown([passage("a1", 9.0, "She opened it in May.", header), *WORSE], ROOM + SIZE // 2) == expected


def test_what_is_nearly_as_good_as_the_best_is_shown_though_it_does_not_fit() -> None:
    near = [passage(f"a{n}", 9.0 - NEAR + 0.1) for n in (3, 4, 5)]
    assert shown([BEST, *near, *WORSE]) == "a1 a3 a4 a5"
    assert shown([BEST, passage("b2", 9.0 - LEAD), *WORSE], 1) == "a1 b2"


def test_what_lies_far_behind_the_best_is_left_out_though_nothing_is_clear() -> None:
    alike = [passage("b1", 9.0), passage("c1", 9.0 - FAR + 0.1)]
    assert shown([BEST, *alike, passage("d1", 9.0 - FAR), passage("a2", 1.0)], ROOM) == "a1 b1 c1"
    assert shown([BEST, *alike, passage("d1", 9.0 - FAR), passage("a2", 1.0)], 2 * ROOM) == "a1 b1 c1 a2"


PASSAGES = st.lists(
    st.builds(
        passage,
        st.sampled_from([f"{doc}{n}" for doc in "abc" for n in range(4)]),
        st.floats(0, 12),
        st.sampled_from([ANSWER, OTHER, ANSWER * 4]),
    ),
    unique_by=lambda p: p.id,
)


@given(PASSAGES, st.integers(0, 10 * SIZE))
def test_narrowing_keeps_the_order_and_the_best_and_changes_nothing_the_second_time(
    passages: list[Passage], tokens: int
) -> None:
    found = Finding(ASKED, sorted(passages, key=lambda p: -p.score), Signal(1.0, likely=True, probability=0.9))
    once = narrowed(found, tokens)
    assert narrowed(once, tokens) == once
    assert once.passages == [p for p in found.passages if p in once.passages]
    assert once.passages[:1] == found.passages[:1]
    if once != found and any(found.passages[0].score - p.score >= FAR for p in once.passages):
        assert sum(len(encode(source_block(p, "E10"))) for p in once.passages) <= tokens
