"""Budgets of a question: reserved before, settled after, never overshot."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import BudgetExceeded
from infra.llm.budget import Budget, CallsExceeded, Reservation, Spent


def test_what_is_reserved_is_gone_until_it_is_settled() -> None:
    budget = Budget(question_tokens=100, question_calls=10)
    first = budget.reserve("q", 70)
    assert budget.spent("q") == Spent(used_tokens=0, reserved_tokens=70, calls=1)
    with pytest.raises(BudgetExceeded) as refused:
        budget.reserve("q", 31)
    assert (refused.value.needed, refused.value.available) == (31, 30)
    assert str(refused.value) == (
        "this model call is more than its question has left: needs 31 tokens, 30 are available; "
        "DOCMIND_BUDGET__QUESTION_TOKENS decides"
    )
    budget.settle(first, 20)
    assert budget.spent("q") == Spent(used_tokens=20, reserved_tokens=0, calls=1)
    assert budget.reserve("q", 80) == Reservation("q", 80)


def test_unknown_use_counts_the_whole_reservation() -> None:
    budget = Budget(question_tokens=100, question_calls=10)
    budget.settle(budget.reserve("q", 60), None)
    assert budget.spent("q") == Spent(used_tokens=60, reserved_tokens=0, calls=1)


def test_the_calls_of_a_question_are_bounded_and_a_retry_is_no_new_call() -> None:
    budget = Budget(question_tokens=100, question_calls=1)
    budget.settle(budget.reserve("q", 10), 0)
    budget.settle(budget.reserve("q", 10, retry=True), 0)
    with pytest.raises(CallsExceeded) as refused:
        budget.reserve("q", 1)
    assert str(refused.value) == (
        "this question has made all of its 1 model calls; DOCMIND_BUDGET__QUESTION_CALLS decides"
    )
    assert refused.value.setting == "DOCMIND_BUDGET__QUESTION_CALLS"


def test_questions_do_not_share_a_budget() -> None:
    budget = Budget(question_tokens=100, question_calls=1)
    budget.reserve("a", 100)
    assert budget.reserve("b", 100) == Reservation("b", 100)


def test_more_use_than_was_reserved_is_counted_in_full() -> None:
    budget = Budget(question_tokens=100, question_calls=10)
    budget.settle(budget.reserve("q", 10), 150)
    with pytest.raises(BudgetExceeded) as refused:
        budget.reserve("q", 1)
    assert refused.value.available == 0


def test_a_forgotten_question_starts_anew_and_its_late_settlement_is_dropped() -> None:
    budget = Budget(question_tokens=100, question_calls=10)
    late = budget.reserve("q", 100)
    budget.forget("q")
    budget.settle(late, 100)
    assert budget.spent("q") == Spent(0, 0, 0)


def test_a_question_with_an_open_call_is_never_evicted() -> None:
    budget = Budget(question_tokens=100, question_calls=10, max_questions=1)
    held = budget.reserve("open", 10)
    budget.settle(budget.reserve("idle", 10), 10)
    budget.reserve("new", 10)
    assert [budget.spent(name).calls for name in ("open", "idle", "new")] == [1, 0, 1]
    budget.settle(held, 5)
    assert budget.spent("open").used_tokens == 5


def test_parallel_branches_never_overshoot() -> None:
    budget = Budget(question_tokens=60, question_calls=1_000)
    high: list[int] = []

    def branch(tokens: int) -> int:
        try:
            reservation = budget.reserve("q", tokens)
        except BudgetExceeded:
            return 0
        spent = budget.spent("q")
        high.append(spent.used_tokens + spent.reserved_tokens)
        budget.settle(reservation, tokens)
        return tokens

    with ThreadPoolExecutor(8) as pool:
        used = sum(pool.map(branch, [7] * 64))
    assert used == budget.spent("q").used_tokens == 56
    assert max(high) <= 60


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50), st.booleans()), max_size=40))
def test_used_and_reserved_stay_within_the_limit_whatever_the_order(steps: list[tuple[int, int, bool]]) -> None:
    budget = Budget(question_tokens=100, question_calls=1_000)
    open_ones: list[Reservation] = []
    for tokens, used, settle_one in steps:
        if settle_one and open_ones:
            reservation = open_ones.pop(0)
            budget.settle(reservation, min(used, reservation.tokens))
        else:
            try:
                open_ones.append(budget.reserve("q", tokens))
            except BudgetExceeded as refused:
                assert refused.needed > refused.available  # noqa: PT017 - refusals are part of the walk
        spent = budget.spent("q")
        assert 0 <= spent.used_tokens + spent.reserved_tokens <= 100
