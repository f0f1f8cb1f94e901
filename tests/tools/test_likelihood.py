"""Whether the documents hold an answer."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.ranked import ranked
from tools import likelihood
from tools.evidence import Signal
from tools.likelihood import JUDGED_PASSAGES, LIKELY, WINDOWS_THAT_TELL, judged, without_measures


def probability(coverage: float, score: float = 7.5, windows: int = WINDOWS_THAT_TELL) -> float:
    return judged([ranked("a.1", score, coverage)], windows).probability


def test_nothing_found_and_nothing_covered_is_no_answer():
    nothing = Signal(0.0, likely=False, probability=0.0)
    assert judged([], WINDOWS_THAT_TELL) == nothing
    assert judged([ranked("a.1", 99.0, 0.0)], WINDOWS_THAT_TELL) == nothing


def test_the_probability_is_the_calibrated_one():
    logit = likelihood.INTERCEPT + likelihood.COVERAGE_WEIGHT * 0.6 + likelihood.STANDING_WEIGHT * 8.0
    assert probability(0.6, 8.0) == round(1 / (1 + math.exp(-logit)), 4)
    alone = likelihood.INTERCEPT_ALONE + likelihood.COVERAGE_WEIGHT_ALONE * 0.6
    assert probability(0.6, 8.0, 0) == round(1 / (1 + math.exp(-alone)), 4)


def test_among_few_windows_coverage_decides_alone():
    assert probability(0.5, 2.0, 0) == probability(0.5, 20.0, 0)
    assert probability(0.5, 2.0, 100) < probability(0.5, 20.0, 100)


def test_only_the_best_passages_are_judged():
    found = [ranked(f"a.{n}", 9.0 - n, 0.1) for n in range(JUDGED_PASSAGES)]
    assert judged([*found, ranked("b.1", 0.0, 1.0)], 200).coverage == 0.1
    assert judged([*found[1:], ranked("b.1", 0.0, 1.0)], 200).coverage == 1.0


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(-5, 30), st.integers(0, 400))
def test_more_coverage_never_lowers_the_probability_and_the_threshold_decides(
    one: float, other: float, score: float, windows: int
):
    less, more = (judged([ranked("a.1", score, share)], windows) for share in sorted((one, other)))
    assert 0 <= less.probability <= more.probability <= 1
    assert less.likely == (less.probability >= LIKELY) or less.probability == pytest.approx(LIKELY, abs=1e-4)


def test_words_that_ask_for_a_figure_are_left_out():
    assert without_measures("How expensive is the valve, and how old?").split() == ["is", "the", "valve,", "and", "?"]
