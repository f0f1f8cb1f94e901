"""The prefix cache: whole blocks of 16, never the last token, the least used go first; and what a call says of it."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.engine.prefix import BLOCK_TOKENS, PrefixCache
from tests.infra.engine.desk import chat, make_engine, metric

LONG = "The first part of both prompts is the same and rather long. " * 8


def talk(*texts: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text} for text in texts]


def test_only_whole_blocks_count_and_the_last_token_is_always_computed():
    cache = PrefixCache()
    cache.remember(range(40))
    assert cache.cached_tokens(range(40)) == 32
    assert cache.cached_tokens(range(33)) == 32
    assert cache.cached_tokens(range(32)) == 16
    assert cache.cached_tokens(range(16)) == 0
    assert cache.cached_tokens([]) == 0


def test_a_block_counts_only_behind_the_same_beginning():
    cache = PrefixCache()
    cache.remember([*range(16), *range(50, 66)])
    assert cache.cached_tokens([99, *range(1, 16), *range(50, 66), 0]) == 0
    assert cache.cached_tokens([*range(16), *range(70, 90)]) == 16


def test_the_least_recently_used_blocks_go_first_and_ends_before_beginnings():
    cache = PrefixCache(capacity_blocks=3)
    cache.remember(range(32))
    cache.remember(range(100, 132))
    assert cache.cached_tokens(range(100, 133)) == 32
    assert cache.cached_tokens(range(33)) == 16


@settings(max_examples=50)
@given(st.lists(st.integers(0, 1), max_size=80), st.lists(st.integers(0, 1), max_size=80))
def test_what_is_cached_is_a_shared_prefix_in_blocks(one: list[int], two: list[int]):
    cache = PrefixCache()
    cache.remember(one)
    cached = cache.cached_tokens(two)
    shared = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    assert cached == min(shared, max(len(two) - 1, 0)) // BLOCK_TOKENS * BLOCK_TOKENS


def test_a_call_reports_what_a_server_would_have_cached():
    engine = make_engine()
    first, again, other = (chat(engine, talk(text)).usage for text in (LONG + "One?", LONG + "One?", LONG + "Two?"))
    assert first["prompt_tokens_details"] == {"cached_tokens": 0}
    whole = (again["prompt_tokens"] - 1) // BLOCK_TOKENS * BLOCK_TOKENS
    assert again["prompt_tokens_details"] == {"cached_tokens": whole}
    assert 0 < other["prompt_tokens_details"]["cached_tokens"] <= whole
    assert metric(engine, "prefix_cache_queries_total") == sum(u["prompt_tokens"] for u in (first, again, other))
    hits = whole + other["prompt_tokens_details"]["cached_tokens"]
    assert metric(engine, "prefix_cache_hits_total") == metric(engine, "prompt_tokens_cached_total") == hits


def test_a_reply_is_remembered_with_its_prompt():
    engine = make_engine()
    first = chat(engine, talk("hello"))
    history = [*talk("hello"), {"role": "assistant", "content": first.message["content"]}, *talk("and more?")]
    cached = chat(engine, history).usage["prompt_tokens_details"]["cached_tokens"]
    assert cached > first.usage["prompt_tokens"]


def test_without_the_cache_nothing_is_cached():
    engine = make_engine(prefix_cache=False)
    for _ in range(2):
        assert chat(engine, talk(LONG)).usage["prompt_tokens_details"] == {"cached_tokens": 0}
