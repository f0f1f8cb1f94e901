"""The circuit breaker: when it opens, what it lets through, when it closes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import BackendUnavailable
from infra.llm.breaker import Breaker, LeftAlone, Sign
from infra.settings import CallSettings

CALLS = CallSettings(breaker_failures=3, breaker_seconds=10)
DEAD, ALIVE, NOTHING = Sign(alive=False, said="refused"), Sign(alive=True), Sign(None)


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def attempt(breaker: Breaker, sign: Sign) -> bool:
    """Make one try; returns whether it was the one that finds out."""
    probe = breaker.enter("vllm at x")
    breaker.leave(probe, sign)
    return probe


def opened() -> tuple[Breaker, Clock]:
    clock = Clock()
    breaker = Breaker(CALLS, clock)
    for _ in range(3):
        attempt(breaker, DEAD)
    return breaker, clock


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker(CALLS, Clock())
    for sign in (DEAD, DEAD, ALIVE, DEAD, NOTHING, DEAD):
        attempt(breaker, sign)
        assert not breaker.is_open
    attempt(breaker, DEAD)
    assert breaker.is_open


def test_an_open_one_refuses_at_once_and_says_what_happened_and_which_setting_decides() -> None:
    breaker, clock = opened()
    clock.now += 4
    with pytest.raises(LeftAlone) as refused:
        breaker.enter("vllm at x")
    assert str(refused.value) == (
        "vllm at x is left alone after 3 failed tries in a row (last: refused); it is asked again in 6.0 s; "
        "DOCMIND_CALLS__BREAKER_SECONDS decides"
    )
    assert isinstance(refused.value, BackendUnavailable)
    assert refused.value.seconds == 6


def test_after_its_time_one_try_finds_out_while_the_others_wait() -> None:
    breaker, clock = opened()
    clock.now += 10
    assert not breaker.is_open
    assert breaker.enter("x") is True
    assert breaker.is_open
    with pytest.raises(LeftAlone, match="another call is finding out"):
        breaker.enter("x")


@pytest.mark.parametrize(("sign", "is_open"), [(ALIVE, False), (DEAD, True), (NOTHING, False)])
def test_what_the_probe_shows_decides(sign: Sign, is_open: bool) -> None:
    breaker, clock = opened()
    clock.now += 10
    assert attempt(breaker, sign) is True
    assert breaker.is_open is is_open
    clock.now += 9.9
    assert breaker.is_open is is_open


def test_a_probe_that_shows_nothing_leaves_its_place_to_the_next() -> None:
    breaker, clock = opened()
    clock.now += 10
    attempt(breaker, NOTHING)
    assert attempt(breaker, ALIVE) is True
    assert attempt(breaker, DEAD) is False


def test_tries_that_began_before_it_opened_do_not_keep_it_open() -> None:
    clock = Clock()
    breaker = Breaker(CALLS, clock)
    late = [breaker.enter("x") for _ in range(4)]
    for probe in late[:3]:
        breaker.leave(probe, DEAD)
    clock.now += 9
    breaker.leave(late[3], DEAD)
    clock.now += 1
    assert breaker.enter("x") is True


@given(st.lists(st.tuples(st.sampled_from([DEAD, ALIVE, NOTHING]), st.floats(0, 12)), max_size=60))
def test_no_try_passes_within_the_time_after_the_last_of_so_many_failures(steps: list[tuple[Sign, float]]) -> None:
    clock = Clock()
    breaker = Breaker(CALLS, clock)
    in_a_row, last_death = 0, 0.0
    for sign, seconds in steps:
        try:
            probe = attempt(breaker, sign)
        except LeftAlone:
            assert in_a_row >= 3
            assert clock.now < last_death + 10
        else:
            assert probe is (in_a_row >= 3)
            assert in_a_row < 3 or clock.now >= last_death + 10
            if sign is DEAD:
                in_a_row, last_death = in_a_row + 1, clock.now
            elif sign is ALIVE:
                in_a_row = 0
        clock.now += seconds
