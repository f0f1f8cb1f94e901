"""Speeds: when each token is due, what the clocks do, and what the metrics make of it."""

import time
from typing import Any

import pytest

from infra.engine.core import Engine
from infra.engine.pace import Pace, Prefills, SystemClock
from infra.settings import EngineSettings
from tests.infra.engine.desk import CHAT, HELLO, chunks_of, events, make_engine, metric, model, send, stream

PROMPT_TOKENS = 10
REPLY_TOKENS = 49


def test_without_speeds_all_is_due_at_once():
    assert Pace.of(EngineSettings(), 1_000).due_seconds(500) == 0.0


def test_the_first_token_waits_for_the_prefill_and_each_further_one_for_the_decode():
    pace = Pace.of(EngineSettings(prefill_tokens_per_second=100, decode_tokens_per_second=20), 50)
    assert [pace.due_seconds(tokens) for tokens in (1, 2, 11)] == [0.5, 0.55, 1.0]


def test_a_stream_s_chunks_are_due_token_by_token():
    engine = make_engine(prefill_tokens_per_second=20, decode_tokens_per_second=10)
    due = [chunk.due_seconds for chunk in chunks_of(stream(engine))]
    tokens = [1, *range(1, REPLY_TOKENS + 1), REPLY_TOKENS]
    assert due == pytest.approx([0.5 + (n - 1) / 10 for n in tokens])


def test_a_whole_reply_is_due_when_its_last_token_is_and_marks_its_first():
    engine = make_engine(prefill_tokens_per_second=20, decode_tokens_per_second=10)
    first, last = chunks_of(send(engine, CHAT, {"messages": HELLO}))
    assert (first.due_seconds, first.data) == (0.5, b"")
    assert last.due_seconds == pytest.approx(0.5 + 48 / 10)


def test_cached_tokens_need_no_prefill():
    engine = make_engine(prefill_tokens_per_second=100)
    prompt = [{"role": "user", "content": "a" + " a" * 90}]
    first, again = (chunks_of(stream(engine, prompt))[0].due_seconds for _ in range(2))
    assert (first, again) == (1.0, 0.04)


def test_on_one_card_prompts_wait_for_each_other_and_replies_do_not():
    prefills = Prefills()
    first, second, late = (prefills.behind(at, Pace(2.0, 0.1)) for at in (10.0, 10.5, 20.0))
    assert [pace.due_seconds(1) for pace in (first, second, late)] == [2.0, 3.5, 2.0]
    assert second.due_seconds(11) == pytest.approx(4.5)


@pytest.mark.parametrize(("shared", "due"), [(False, [0.5, 0.5]), (True, [0.5, 1.0])])
def test_prompts_share_the_speed_where_the_settings_say_so(shared: bool, due: list[float]):
    engine = make_engine(prefill_tokens_per_second=20, prefix_cache=False, shared_prefill=shared)
    together = [stream(engine), stream(engine)]
    assert [chunks_of(answer)[0].due_seconds for answer in together] == due


def test_a_stream_ends_with_usage_only_where_asked_for():
    plain = events(b"".join(chunk.data for chunk in chunks_of(stream(make_engine()))))
    answer = stream(make_engine(), stream_options={"include_usage": True})
    with_usage = events(b"".join(chunk.data for chunk in chunks_of(answer)))
    assert all(event["choices"] for event in plain)
    assert with_usage[-1]["choices"] == []
    assert with_usage[-1]["usage"] == {
        "prompt_tokens": PROMPT_TOKENS,
        "total_tokens": PROMPT_TOKENS + REPLY_TOKENS,
        "completion_tokens": REPLY_TOKENS,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def test_the_metrics_measure_what_the_reader_saw():
    engine = make_engine(prefill_tokens_per_second=20, decode_tokens_per_second=10)
    list(model(engine).stream("hello"))
    assert metric(engine, "time_to_first_token_seconds_sum") == pytest.approx(0.5)
    assert metric(engine, "inter_token_latency_seconds_count") == REPLY_TOKENS - 1
    assert metric(engine, "inter_token_latency_seconds_sum") == pytest.approx(4.8)
    assert metric(engine, "request_time_per_output_token_seconds_sum") == pytest.approx(0.1)
    assert metric(engine, "e2e_request_latency_seconds_sum") == pytest.approx(5.3)
    assert metric(engine, "generation_tokens_total") == REPLY_TOKENS


def test_a_request_runs_until_it_is_read_or_given_up():
    engine = make_engine()
    answer = stream(engine)
    next(answer.chunks)
    assert metric(engine, "num_requests_running") == 1
    assert metric(engine, "kv_cache_usage_perc") == PROMPT_TOKENS / 262_144
    answer.chunks.close()
    assert metric(engine, "num_requests_running") == metric(engine, "kv_cache_usage_perc") == 0


async def test_the_machine_s_clock_waits_and_never_backwards(monkeypatch: pytest.MonkeyPatch):
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    clock = SystemClock()
    before = clock.now()
    clock.wait(-1.0)
    clock.wait(0.0)
    clock.wait(0.25)
    await clock.wait_async(-1.0)
    assert slept == [0.25]
    assert clock.now() >= before


def test_an_engine_has_the_machine_s_clock_by_default():
    engine: Any = Engine(EngineSettings())
    assert isinstance(engine.clock, SystemClock)
