"""Budgets of calls, agents, questions and threads: reserved before, settled after, never overshot."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import BudgetExceeded
from infra.llm.budget import Budget, CallsExceeded, Limits, Reservation, Spent
from infra.llm.ledger import Scope


def of(question: str, agent: str = "router", thread: str = "") -> Scope:
    return Scope(question, thread, agent)


Q, A, B = of("q"), of("a"), of("b")


def test_what_is_reserved_is_gone_until_it_is_settled() -> None:
    budget = Budget(Limits(question_tokens=100, question_calls=10))
    first = budget.reserve(Q, 70)
    assert budget.spent("q") == Spent(used_tokens=0, reserved_tokens=70, calls=1)
    with pytest.raises(BudgetExceeded) as refused:
        budget.reserve(Q, 31)
    assert (refused.value.needed, refused.value.available) == (31, 30)
    assert str(refused.value) == (
        "this model call is more than its question has left: needs 31 tokens, 30 are available; "
        "DOCMIND_BUDGET__QUESTION_TOKENS decides"
    )
    budget.settle(first, 20)
    assert budget.spent("q") == Spent(used_tokens=20, reserved_tokens=0, calls=1)
    assert budget.reserve(Q, 80) == Reservation(Q, 80)


def test_unknown_use_counts_the_whole_reservation() -> None:
    budget = Budget(Limits(question_tokens=100, question_calls=10))
    budget.settle(budget.reserve(Q, 60), None)
    assert budget.spent("q") == Spent(used_tokens=60, reserved_tokens=0, calls=1)


def test_the_calls_of_a_question_are_bounded_and_a_retry_is_no_new_call() -> None:
    budget = Budget(Limits(question_tokens=100, question_calls=1))
    budget.settle(budget.reserve(Q, 10), 0)
    budget.settle(budget.reserve(Q, 10, retry=True), 0)
    with pytest.raises(CallsExceeded) as refused:
        budget.reserve(Q, 1)
    assert str(refused.value) == (
        "this question has made all of its 1 model calls; DOCMIND_BUDGET__QUESTION_CALLS decides"
    )
    assert refused.value.setting == "DOCMIND_BUDGET__QUESTION_CALLS"


def test_a_call_may_use_so_much_and_no_more() -> None:
    budget = Budget(Limits(call_tokens=50))
    budget.reserve(Q, 50)
    with pytest.raises(BudgetExceeded) as refused:
        budget.reserve(Q, 51)
    assert str(refused.value) == (
        "this model call is more than its call may use: needs 51 tokens, 50 are available; "
        "DOCMIND_BUDGET__CALL_TOKENS decides"
    )


def test_an_agent_has_a_budget_of_its_own_within_a_question() -> None:
    budget = Budget(Limits(agent_tokens=50, question_tokens=80))
    budget.reserve(of("q", "router"), 50)
    with pytest.raises(BudgetExceeded) as refused:
        budget.reserve(of("q", "router"), 1)
    assert (refused.value.available, refused.value.setting) == (0, "DOCMIND_BUDGET__AGENT_TOKENS")
    budget.reserve(of("q", "planner"), 30)
    with pytest.raises(BudgetExceeded) as refused:
        budget.reserve(of("q", "planner"), 10)
    assert refused.value.setting == "DOCMIND_BUDGET__QUESTION_TOKENS"
    budget.reserve(of("another question", "router"), 50)


def test_a_threads_budget_outlives_its_questions() -> None:
    budget = Budget(Limits(question_tokens=100, thread_tokens=150))
    budget.settle(budget.reserve(of("one", thread="t"), 100), 90)
    budget.forget("one")
    with pytest.raises(BudgetExceeded) as refused:
        budget.reserve(of("two", thread="t"), 61)
    assert (refused.value.needed, refused.value.available) == (61, 60)
    assert refused.value.setting == "DOCMIND_BUDGET__THREAD_TOKENS"
    budget.reserve(of("two", thread="t"), 60)
    budget.reserve(of("three", thread="another"), 100)
    budget.reserve(of("four"), 100)


def test_a_forgotten_question_takes_its_agents_accounts_with_it() -> None:
    budget = Budget(Limits(agent_tokens=50))
    budget.settle(budget.reserve(Q, 50), 50)
    budget.forget("q")
    budget.reserve(Q, 50)


def test_questions_do_not_share_a_budget() -> None:
    budget = Budget(Limits(question_tokens=100, question_calls=1))
    budget.reserve(A, 100)
    assert budget.reserve(B, 100) == Reservation(B, 100)


def test_more_use_than_was_reserved_is_counted_in_full() -> None:
    budget = Budget(Limits(question_tokens=100, question_calls=10))
    budget.settle(budget.reserve(Q, 10), 150)
    with pytest.raises(BudgetExceeded) as refused:
        budget.reserve(Q, 1)
    assert refused.value.available == 0


def test_a_forgotten_question_starts_anew_and_its_late_settlement_is_dropped() -> None:
    budget = Budget(Limits(question_tokens=100, question_calls=10))
    late = budget.reserve(Q, 100)
    budget.forget("q")
    budget.settle(late, 100)
    assert budget.spent("q") == Spent(0, 0, 0)


def test_a_late_settlement_does_not_touch_a_new_question_of_the_same_name() -> None:
    budget = Budget(Limits(agent_tokens=100, question_tokens=100, thread_tokens=200))
    scope = of("q", thread="t")
    late = budget.reserve(scope, 100)
    budget.forget("q")
    held = budget.reserve(scope, 100)
    budget.settle(late, 40)
    assert budget.spent("q") == Spent(0, 100, 1)
    with pytest.raises(BudgetExceeded):
        budget.reserve(scope, 1)
    budget.settle(held, 90)
    assert budget.spent("q") == Spent(90, 0, 1)
    with pytest.raises(BudgetExceeded) as refused:
        budget.reserve(of("r", thread="t"), 71)
    assert refused.value.available == 70  # the thread goes on: it paid for both


def test_a_question_with_an_open_call_is_never_evicted() -> None:
    budget = Budget(Limits(question_tokens=100, question_calls=10), max_accounts=2)
    held = budget.reserve(of("open"), 10)
    budget.settle(budget.reserve(of("idle"), 10), 10)
    budget.reserve(of("new"), 10)
    assert [budget.spent(name).calls for name in ("open", "idle", "new")] == [1, 0, 1]
    budget.settle(held, 5)
    assert budget.spent("open").used_tokens == 5


def test_parallel_branches_never_overshoot() -> None:
    budget = Budget(Limits(question_tokens=60, question_calls=1_000))
    high: list[int] = []

    def branch(tokens: int) -> int:
        try:
            reservation = budget.reserve(Q, tokens)
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
    budget = Budget(Limits(question_tokens=100, question_calls=1_000))
    open_ones: list[Reservation] = []
    for tokens, used, settle_one in steps:
        if settle_one and open_ones:
            reservation = open_ones.pop(0)
            budget.settle(reservation, min(used, reservation.tokens))
        else:
            try:
                open_ones.append(budget.reserve(Q, tokens))
            except BudgetExceeded as refused:
                assert refused.needed > refused.available  # noqa: PT017 - refusals are part of the walk
        spent = budget.spent("q")
        assert 0 <= spent.used_tokens + spent.reserved_tokens <= 100


def test_questions_that_are_over_leave_nothing_behind_where_threads_are_not_limited() -> None:
    budget = Budget(Limits(question_tokens=100))
    for number in range(50):
        budget.settle(budget.reserve(of(f"q{number}", thread=f"t{number}"), 10), 10)
        budget.forget(f"q{number}")
    assert vars(budget)["_accounts"] == {}
