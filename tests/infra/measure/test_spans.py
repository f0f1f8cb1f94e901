"""Stretches of time: what they cover together, and how many there are at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.measure.spans import Span, covered, levels, union

spans = st.lists(st.builds(Span, st.integers(0, 40), st.integers(0, 40)), max_size=8)


def test_what_happens_side_by_side_counts_once() -> None:
    assert covered([Span(0, 2), Span(1, 3), Span(5, 6)]) == 4
    assert union([Span(5, 6), Span(1, 3), Span(0, 2)]) == [Span(0, 3), Span(5, 6)]


def test_only_the_part_within_counts() -> None:
    assert covered([Span(0, 4), Span(6, 9)], Span(3, 7)) == 2
    assert covered([Span(0, 4)], Span(5, 7)) == 0


def test_it_is_told_how_long_how_many_lasted_at_once() -> None:
    assert levels([Span(0, 4), Span(1, 3), Span(6, 7)]) == {0: 2, 1: 3, 2: 2}
    assert levels([]) == {}


@given(spans)
def test_what_is_covered_is_counted_instant_by_instant(given_spans: list[Span]) -> None:
    seconds = range(40)
    assert covered(given_spans) == sum(any(s.start <= at < s.end for s in given_spans) for at in seconds)


@given(spans)
def test_levels_hold_as_much_time_as_the_spans(given_spans: list[Span]) -> None:
    lasted = levels(given_spans)
    assert sum(n * s for n, s in lasted.items()) == sum(max(0, end - start) for start, end in given_spans)
    assert sum(s for n, s in lasted.items() if n) == pytest.approx(covered(given_spans))
