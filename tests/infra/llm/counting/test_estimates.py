"""Upper estimates: safe from the start, tightened by what servers report, widened at once."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.llm.counting import estimates as room
from infra.llm.counting.estimates import (
    ENOUGH,
    LEAST_RATE,
    MAX_EXTRA,
    MAX_PIECES,
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
    told = measure({"messages": [message], "tools": tools})
    assert (told.size, told.overhead, told.kind) == (size, MESSAGE_OVERHEAD + TOOLS_OVERHEAD, (4, 0))
    assert [chat(text).kind for text in (PROSE, CODE, CHINESE, "7a " * 2_000)] == [(0, 0), (0, 1), (4, 0), (0, 3)]
    assert measure({"prompt": ""}) == Measure(0, 0, (0, 0))


@pytest.mark.parametrize(
    ("text", "plain", "odd"),
    [
        ("The river,", [(1, 3), (1, 6), (1, 1)], (0, 0)),
        ("the  the", [(2, 6), (1, 2)], (0, 0)),
        ("café 日本", [(1, 5), (1, 4), (1, 3)], (0, 0)),
        ("a\\nb", [(1, 1), (1, 2), (1, 1)], (0, 0)),
        ("aB aBc xkcd 2026 =====" + " " + "ab" * 11, [], (6, 45)),
    ],
)
def test_a_text_is_measured_in_plain_and_odd_pieces(text: str, plain: Any, odd: Any) -> None:
    told = measure({"prompt": text})
    assert (list(told.plain.values()), told.odd) == (plain, odd)


@settings(max_examples=300)
@given(st.text(max_size=100) | st.text(alphabet="aB7 _\\nu.é中\n", max_size=100))
def test_the_pieces_are_the_text(text: str) -> None:
    told = measure({"prompt": text})
    assert told.odd[1] + sum(size for _, size in told.plain.values()) == told.size
    assert told.pieces <= told.size


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
    beyond = (tokens - prompt.pieces) / (prompt.size - prompt.pieces)
    assert tokens <= estimate.tokens <= prompt.pieces + max(SAFETY * beyond, LEAST_RATE) * prompt.size + prompt.overhead
    assert estimate.error == pytest.approx(1 - tokens / estimate.tokens, abs=1e-3)
    for other in (chat(CODE), chat(CHINESE), chat(SHORT)):
        assert estimates.of(other) == Estimate(other.bound, UNLEARNED_ERROR)


WORDS = ("river", "road", "water", "under", "music", "letter", "people", "early")
DRAWN = random.Random(5)


def drawn(letters: str, length: int) -> Callable[[], str]:
    return lambda: "".join(DRAWN.choices(letters, k=length))


@pytest.mark.parametrize(
    "word",
    [
        drawn("bcdfghjklmnpqrstvwxz", 9),
        drawn("aeioubdfg", 7),
        drawn("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 12),
        drawn("ACGT", 20),
        drawn("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 60),
        drawn("0123456789abcdef", 32),
        drawn("!#$%&*+,-./:;<=>?@", 6),
    ],
)
@pytest.mark.parametrize("share", [1.0, 0.3, 0.05])
def test_text_that_no_report_held_is_a_token_a_byte(word: Callable[[], str], share: float) -> None:
    prose = [" ".join(DRAWN.choices(WORDS, k=500)) for _ in range(6)]
    estimates = Estimates(WINDOW)
    for text in prose:
        estimates.reported(chat(text), 520)
    assert estimates.of(chat(prose[0])).tokens < 900
    words = [word() if DRAWN.random() < share else DRAWN.choice(WORDS) for _ in range(600)]
    odd = sum(len(each) for each in words if each not in WORDS)
    assert estimates.of(chat(" ".join(words))).tokens >= odd + sum(each in WORDS for each in words)


@pytest.mark.parametrize("word", ["ACGTACGTTAGACCAT", "aGVsbG8gd29y", "xkcdqwrt", "20261121", "d41d8cd98f00"])
def test_odd_text_stays_a_token_a_byte_however_often_it_was_reported(word: str) -> None:
    prompt = chat(" ".join([*WORDS * 60, *[word] * 10]))
    estimates = learned(prompt, 700, 20)
    alone = chat(" ".join([*WORDS * 60, *[word] * 15]))
    assert alone.kind == prompt.kind
    assert estimates.of(alone).tokens - estimates.of(prompt).tokens >= 4 * len(word)


def test_the_memory_of_pieces_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_PIECES", 40)
    first, other = (chat(" ".join([f"{start}{end}e" for end in "abcdefghijklmnopqrst"] * 40)) for start in "ab")
    estimates = learned(first, first.pieces)
    assert estimates.of(first).tokens < first.bound / 2
    estimates.reported(other, other.pieces)
    assert estimates.of(other).tokens < other.bound / 2 < estimates.of(first).tokens
    many = chat(" ".join(f"{a}{b}e" for a in "abcdefgh" for b in "abcdefgh") * 20)
    assert (many.plain, many.kind) == ({}, (0, 4))
    assert MAX_PIECES > 10_000


def test_short_prompts_teach_nothing() -> None:
    assert learned(chat(SHORT), 3, 100).of(chat(PROSE)).tokens == chat(PROSE).bound


def test_a_server_that_reports_next_to_nothing_is_not_believed() -> None:
    prompt = chat(PROSE)
    assert learned(prompt, 1).of(prompt).tokens >= prompt.pieces + LEAST_RATE * (prompt.size - prompt.pieces)


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
