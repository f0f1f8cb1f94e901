"""Prometheus' text, as vLLM writes it and as a stranger might."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from infra.vllm import exposition
from infra.vllm.exposition import Metrics, read_metrics

TWO_ENGINES = b"""# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="m"} 100.0
vllm:prompt_tokens_total{engine="1",model_name="m"} 23.0 1700000000000
vllm:kv_cache_usage_perc{engine="0"} 0.5
vllm:kv_cache_usage_perc{engine="1"} 0.25
vllm:cache_config_info{block_size="16",cache_dtype="fp8",note="a \\"b\\", c={d}\\n\\\\"} 1.0
"""


def test_values_are_summed_over_engines_and_shares_averaged():
    metrics = read_metrics(TWO_ENGINES)
    assert metrics.total("vllm:prompt_tokens_total") == 123
    assert metrics.mean("vllm:kv_cache_usage_perc") == 0.375
    assert metrics.total("vllm:nothing") is None
    assert metrics.mean("vllm:nothing") is None


def test_labels_are_unescaped():
    labels = read_metrics(TWO_ENGINES).labels("vllm:cache_config_info")
    assert labels == {"block_size": "16", "cache_dtype": "fp8", "note": 'a "b", c={d}\n\\'}
    assert read_metrics(b"").labels("vllm:cache_config_info") == {}


def test_a_counter_that_began_anew_has_grown_by_all_it_has():
    before, now, restarted = (read_metrics(b"n_total %d" % value) for value in (10, 15, 3))
    assert now.delta("n_total", before) == 5
    assert restarted.delta("n_total", now) == 3
    assert now.delta("n_total", Metrics()) == 15
    assert Metrics().delta("n_total", now) is None


def histogram(*values: float) -> Metrics:
    registry = CollectorRegistry()
    one = Histogram("h_seconds", "h", buckets=(1, 2, 4), registry=registry)
    for value in values:
        one.observe(value)
    return read_metrics(generate_latest(registry))


@pytest.mark.parametrize(("share", "wanted"), [(0.5, 1.5), (0.25, 0.75), (1.0, 4.0), (0.75, 2.5)])
def test_a_quantile_is_linear_inside_its_bucket(share: float, wanted: float):
    # one at or below 1, two in (1, 2], ... : 0.5 of 6 is the third, at the end of (0, 1] plus half of (1, 2]
    assert histogram(0.5, 0.9, 1.5, 1.6, 3, 3.5).quantile("h_seconds", share) == pytest.approx(wanted)


def test_a_quantile_counts_only_what_came_since():
    before, now = histogram(0.5, 0.5), histogram(0.5, 0.5, 3, 3)
    assert now.quantile("h_seconds", 0.5, before) == 3
    assert before.quantile("h_seconds", 0.5, before) is None
    assert Metrics().quantile("h_seconds", 0.5) is None


def test_beyond_the_last_edge_the_last_edge_is_told():
    assert histogram(100, 100).quantile("h_seconds", 0.5) == 4


@pytest.mark.parametrize(
    "line",
    [b"n NaN", b"n +Inf", b"n 1e999", b"n", b"n{", b"1n 1", b"\xff 1", b"n{a=1} x", b"n{" + b"a" * 9_000 + b"} 1"],
)
def test_a_line_that_is_no_sample_is_left_out(line: bytes):
    assert read_metrics(b"good 1\n" + line + b"\n").samples.keys() <= {"good"}


def test_no_more_samples_are_kept_than_may_be(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exposition, "MAX_SAMPLES", 10)
    metrics = read_metrics(b"n 1\n" * 1_000)
    assert metrics.total("n") == 10


@given(st.binary(max_size=400))
def test_whatever_bytes_are_read_without_an_error(body: bytes):
    assert all(math.isfinite(value) for samples in read_metrics(body).samples.values() for _, value in samples)


@given(st.dictionaries(st.sampled_from("abc"), st.text(max_size=20), min_size=1), st.floats(0, 1e12))
def test_what_the_real_client_writes_is_read_back(labels: dict[str, str], value: float):
    registry = CollectorRegistry()
    Counter("n", "n", list(labels), registry=registry).labels(**labels).inc(value)
    metrics = read_metrics(generate_latest(registry))
    assert (metrics.total("n_total"), metrics.labels("n_total")) == (value, labels)
