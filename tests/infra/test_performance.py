"""The performance-metrics record: what follows from a ledger entry, and what is not known."""

import json
from dataclasses import asdict
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.llm.ledger import Attempt, Call, FailureKind, Outcome, Scope
from infra.performance import Gpus, measured, metrics_of, ram_used_mb, with_gpus
from tests.infra.calls import call

counts = st.integers(min_value=-1, max_value=10**30)
times = st.floats(min_value=0, max_value=1e6)
attempts = st.builds(
    Attempt, times, st.none() | st.sampled_from(get_args(FailureKind)), st.none() | st.integers(), st.text()
)
calls = st.builds(
    Call,
    scope=st.builds(Scope, st.text(), st.text(), st.text()),
    backend=st.just("vllm"),
    model=st.text(),
    prompt_tokens=counts,
    completion_tokens=counts,
    cached_tokens=counts,
    seconds=times,
    attempts=st.lists(attempts, max_size=3).map(tuple),
    outcome=st.sampled_from(get_args(Outcome)),
    counted_tokens=counts,
    started=st.floats(min_value=0, max_value=4e9),
    first_token_seconds=st.none() | times,
    error=st.text(),
)


def test_the_record_has_the_fields_of_the_specification():
    assert asdict(metrics_of(call(), 400.5)) == {
        "timestamp": "2026-01-01T00:00:03.500Z",
        "inference": {
            "decode_tokens_per_second": 130.0,
            "prefill_tokens_per_second": 1000.0,
            "time_to_first_token": 1000.0,
            "total_latency": 3500.0,
            "tokens_generated": 131,
            "context_length": 1050,
        },
        "resources": {
            "vram_used": None,
            "vram_total": None,
            "vram_max_threshold": None,
            "ram_used": 400.5,
            "cpu_percent": None,
            "gpu_percent": None,
        },
        "errors": {"count": 1, "retries": 1, "fallbacks": None},
        "call": {
            "backend": "vllm",
            "model": "scripted",
            "agent": "router",
            "question_id": "q1",
            "outcome": "ok",
            "tries": 2,
            "prompt_tokens": 1050,
            "cached_tokens": 50,
            "counted_tokens": 1049,
            "exact": False,
            "dropped": 2,
            "cut_tokens": 12,
            "count_failures": 0,
            "cached": False,
        },
    }


@pytest.mark.parametrize(
    ("changes", "decode", "prefill"),
    [
        ({"first_token_seconds": None}, None, None),
        ({"first_token_seconds": 0.0}, 65.0, None),
        ({"first_token_seconds": 1e-300}, 65.0, None),
        ({"first_token_seconds": 2.0}, None, 500.0),
        ({"completion_tokens": 1}, None, 1000.0),
        ({"cached_tokens": 1_050}, 130.0, None),
        ({"prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0}, None, None),
        ({"attempts": ()}, None, 1000.0),
    ],
)
def test_a_speed_that_cannot_be_known_is_null(changes: dict[str, Any], decode: float | None, prefill: float | None):
    inference = metrics_of(call(**changes)).inference
    assert (inference.decode_tokens_per_second, inference.prefill_tokens_per_second) == (decode, prefill)


def test_a_server_that_reports_no_tokens_leaves_them_unknown():
    row = measured(call(prompt_tokens=0, completion_tokens=0, cached_tokens=0))
    assert row.tokens_processed is None
    assert row.metrics["inference"]["tokens_generated"] is None
    assert row.metrics["inference"]["context_length"] == 1_049  # what was counted before it left
    assert row.metrics["call"]["prompt_tokens"] is None


@pytest.mark.parametrize(
    ("attempts", "outcome", "count", "retries"),
    [
        ((), "refused", 1, 0),
        ((Attempt(1.0),), "ok", 0, 0),
        ((Attempt(1.0, "timeout"),) * 3, "failed", 3, 2),
        ((Attempt(1.0),), "failed", 1, 0),
    ],
)
def test_failed_requests_and_retries_are_counted(attempts: Any, outcome: Outcome, count: int, retries: int):
    errors = metrics_of(call(attempts=attempts, outcome=outcome)).errors
    assert (errors.count, errors.retries) == (count, retries)


def test_requests_for_counts_that_failed_are_among_the_failed_ones():
    metrics = metrics_of(call(count_failures=(Attempt(1.0, "status", 503),) * 2))
    assert (metrics.errors.count, metrics.errors.retries, metrics.call.count_failures) == (3, 1, 2)
    never_sent = metrics_of(call(attempts=(), count_failures=(Attempt(1.0, "timeout"),) * 3, outcome="failed"))
    assert (never_sent.errors.count, never_sent.call.tries) == (3, 0)


def test_a_row_is_the_record_with_latency_and_tokens_beside_it():
    row = measured(call())
    assert (row.operation, row.latency_ms, row.tokens_processed) == ("model_call", 3500.0, 1_181)
    assert row.timestamp == row.metrics["timestamp"] == "2026-01-01T00:00:03.500Z"


def test_the_memory_of_this_process_is_plausible():
    used = ram_used_mb()
    assert used is None or 10 < used < 100_000


@given(calls)
def test_whatever_a_server_reports_the_row_fits_the_database_and_holds_no_text_of_the_call(entry: Call):
    row = measured(entry)
    written = json.dumps(row.metrics, allow_nan=False)
    assert -(2**63) <= (row.tokens_processed or 0) < 2**63
    assert len(written) < 8_000
    assert "error" not in row.metrics["call"]


def test_what_the_gpus_hold_is_read_once_for_all_rows():
    reads: list[None] = []

    def read() -> Gpus:
        reads.append(None)
        return Gpus(vram_used=12_000.0, vram_total=16_000.0, gpu_percent=50.0)

    before = [measured(call()), measured(call())]
    told = {"vram_used": 12_000.0, "vram_total": 16_000.0, "gpu_percent": 50.0}
    wanted = [{**row.metrics, "resources": {**row.metrics["resources"], **told}} for row in before]
    assert [row.metrics for row in with_gpus(before, read)] == wanted
    assert len(reads) == 1


def test_rows_that_waited_keep_what_was_read_first():
    first = with_gpus([measured(call())], lambda: Gpus(1.0, 16_000.0, None))
    assert with_gpus(first, lambda: Gpus(2.0, 16_000.0, 99.0)) == first


def test_without_a_gpu_rows_stay_as_they_are():
    rows = [measured(call())]
    assert with_gpus(rows, lambda: None) is rows
