"""Upper estimates: safe from the start, tightened by what servers report, widened at once."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.llm.counting.estimates import (
    ENOUGH,
    LEAST_RATIO,
    MAX_EXTRA,
    MESSAGE_OVERHEAD,
    SAFETY,
    TOOLS_OVERHEAD,
    UNLEARNED_ERROR,
    Estimate,
    Estimates,
    Measure,
    measure,
)

WINDOW = 1_000_000
PROSE = "the river and the road run to the sea " * 100
CODE = "x9 = {'a_1': [1, 2]};\n" * 200
CHINESE = "河流与道路通向大海" * 200
SHORT = "hello"


def chat(text: str, **more: Any) -> Measure:
    return measure({"messages": [{"role": "user", "content": text}]} | more)


def learned(prompt: Measure, tokens: int, reports: int = ENOUGH) -> Estimates:
    estimates = Estimates(WINDOW)
    for _ in range(reports):
        estimates.reported(prompt, tokens)
    return estimates


def test_a_measure_holds_bytes_overhead_and_kind() -> None:
    message = {"role": "user", "content": CHINESE}
    tools = [{"type": "function"}]
    size = len(json.dumps(message, ensure_ascii=False).encode()) + len(json.dumps(tools))
    assert measure({"messages": [message], "tools": tools}) == Measure(size, MESSAGE_OVERHEAD + TOOLS_OVERHEAD, (4, 0))
    assert measure({"prompt": "river 12;"}) == Measure(9, 0, (0, 2))
    assert [chat(text).kind for text in (PROSE, CODE, CHINESE)] == [(0, 0), (0, 4), (4, 0)]
    assert measure({"prompt": ""}) == Measure(0, 0, (0, 0))


@settings(max_examples=100)
@given(st.text(max_size=200))
def test_nothing_learned_is_a_token_a_byte(text: str) -> None:
    size = len(text.encode())
    assert Estimates(WINDOW).of(measure({"prompt": text})) == Estimate(size, UNLEARNED_ERROR)
    assert Estimates(WINDOW).of(chat(text)).tokens >= size


def test_enough_reports_tighten_the_estimate_of_their_kind_only() -> None:
    prompt = chat(PROSE)
    tokens = prompt.size // 4
    almost = learned(prompt, tokens, ENOUGH - 1)
    assert almost.of(prompt) == Estimate(prompt.bound, UNLEARNED_ERROR)
    estimates = learned(prompt, tokens)
    estimate = estimates.of(prompt)
    assert tokens <= estimate.tokens <= SAFETY * tokens + MESSAGE_OVERHEAD + 1
    assert estimate.error == pytest.approx(1 - tokens / estimate.tokens, abs=1e-3)
    for other in (chat(CODE), chat(CHINESE), chat(SHORT)):
        assert estimates.of(other) == Estimate(other.bound, UNLEARNED_ERROR)


def test_short_prompts_teach_nothing() -> None:
    assert learned(chat(SHORT), 3, 100).of(chat(PROSE)).tokens == chat(PROSE).bound


def test_a_server_that_reports_next_to_nothing_is_not_believed() -> None:
    prompt = chat(PROSE)
    assert learned(prompt, 1).of(prompt).tokens >= LEAST_RATIO * prompt.size


@pytest.mark.parametrize("tokens", [-5, 0, 10**18])
def test_figures_out_of_all_bounds_are_ignored(tokens: int) -> None:
    prompt = chat(PROSE)
    assert learned(prompt, tokens, 50).of(prompt) == Estimate(prompt.bound, UNLEARNED_ERROR)


def test_what_a_server_puts_before_every_prompt_is_added() -> None:
    prompt = chat(SHORT)
    estimates = learned(prompt, prompt.bound + 700, 1)
    assert estimates.of(prompt).tokens == prompt.bound + 700
    assert estimates.of(chat(PROSE)).tokens == chat(PROSE).bound + 700
    estimates.reported(prompt, 4 * prompt.bound + MAX_EXTRA)
    assert estimates.of(prompt).tokens == prompt.bound + MAX_EXTRA


def test_a_prompt_that_filled_the_window_makes_its_kind_unknown_again() -> None:
    prompt = chat(PROSE)
    estimates = learned(prompt, prompt.size // 4)
    full = Estimates(prompt.size // 4 + 1)
    for each in (estimates, full):
        each.reported(prompt, prompt.size // 4)
    assert estimates.of(prompt).tokens < prompt.bound == full.of(prompt).tokens


PROMPTS = st.sampled_from([PROSE, CODE, CHINESE, SHORT, PROSE + CODE, PROSE * 3]).map(chat)
REPORTS = st.lists(st.tuples(PROMPTS, st.floats(0, 1.2)), max_size=30)


@settings(max_examples=200)
@given(REPORTS)
def test_no_estimate_is_below_what_was_ever_needed(reports: list[tuple[Measure, float]]) -> None:
    estimates = Estimates(WINDOW)
    needed: dict[Measure, int] = {}
    for prompt, share in reports:
        tokens = round(share * prompt.bound)
        estimates.reported(prompt, tokens)
        needed[prompt] = max(tokens, needed.get(prompt, 0))
        for seen, most in needed.items():
            assert estimates.of(seen).tokens >= most
            assert 0 <= estimates.of(seen).error <= 1


@settings(max_examples=100)
@given(st.integers(1, 20), st.floats(0.2, 1))
def test_an_estimate_that_was_too_low_is_widened_at_once(reports: int, share: float) -> None:
    prompt = chat(PROSE)
    estimates = learned(prompt, prompt.size // 5, reports)
    tokens = round(share * prompt.bound)
    estimates.reported(prompt, tokens)
    assert estimates.of(prompt).tokens >= tokens
