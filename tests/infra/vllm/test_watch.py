"""What a server does: rates between two looks, the GPUs of this machine, rows of the performance log."""

import json
from collections.abc import Iterator
from itertools import count

import httpx2
import pytest
from pydantic import SecretStr

from infra.engine.core import Engine
from infra.engine.protocol import MODEL_ID
from infra.engine.transport import EngineTransport
from infra.llm.endpoint import Transports
from infra.performance import Gpus
from infra.settings import EngineSettings
from infra.vllm import nvml, watch
from infra.vllm.nvml import Device
from infra.vllm.watch import Card, Sample, Watcher, gpus_in_use, record
from infra.vllm.wire import Server
from tests.infra.engine.desk import StillClock

GIB = 1 << 30
CARDS = (
    Device("RTX 4090", 24 * GIB, 12 * GIB, (8, 9), 10**12, 0.5, "580.1"),
    Device("RTX 3090", 24 * GIB, 6 * GIB, (8, 6), 10**12, None, "580.1"),
)


def metrics(**values: float) -> bytes:
    names = {name.replace("__", ":"): value for name, value in values.items()}
    return "".join(f'{name}{{engine="0"}} {value}\n' for name, value in names.items()).encode()


def watcher(*bodies: bytes | int, devices: tuple[Device, ...] = ()) -> Watcher:
    """A watcher whose server gives these metrics (or statuses) in turn, ten seconds apart."""
    answers: Iterator[bytes | int] = iter(bodies)

    def answer(_: httpx2.Request) -> httpx2.Response:
        told = next(answers)
        return httpx2.Response(told) if isinstance(told, int) else httpx2.Response(200, content=told)

    transports = Transports(httpx2.MockTransport(answer), httpx2.AsyncHTTPTransport())
    server = Server("http://127.0.0.1:8000/v1", SecretStr("EMPTY"), transports=transports)
    clock = count(0.0, 10.0)
    return Watcher(server, lambda: devices, lambda: next(clock))


FIRST = metrics(
    vllm__generation_tokens_total=1_000,
    vllm__prompt_tokens_total=5_000,
    vllm__prompt_tokens_cached_total=1_000,
    vllm__prefix_cache_queries_total=5_000,
    vllm__prefix_cache_hits_total=1_000,
    vllm__kv_cache_usage_perc=0.25,
    vllm__num_requests_running=2,
    vllm__num_requests_waiting=1,
    vllm__num_preemptions_total=0,
)
SECOND = metrics(
    vllm__generation_tokens_total=2_000,
    vllm__prompt_tokens_total=9_000,
    vllm__prompt_tokens_cached_total=4_000,
    vllm__prefix_cache_queries_total=9_000,
    vllm__prefix_cache_hits_total=4_000,
    vllm__kv_cache_usage_perc=0.5,
    vllm__num_requests_running=3,
    vllm__num_requests_waiting=0,
    vllm__num_preemptions_total=1,
)


def test_rates_are_those_between_two_looks():
    one = watcher(FIRST, SECOND)
    first, second = one.sample(), one.sample()
    assert (first.seconds, first.decode_tokens_per_second, first.running, first.kv_usage) == (0.0, None, 2, 0.25)
    assert second.seconds == 10
    assert second.decode_tokens_per_second == 100
    assert second.prefill_tokens_per_second == 100, "4,000 taken in, 3,000 of them from the cache"
    assert second.prefix_hit_rate == 0.75
    assert (second.kv_usage, second.running, second.waiting, second.preemptions) == (0.5, 3, 0, 1)


def test_a_server_that_is_gone_and_comes_back_begins_anew():
    one = watcher(FIRST, 503, SECOND)
    assert one.sample().up
    gone = one.sample()
    assert (gone.up, gone.running, gone.said) == (False, None, "answered 503 without metrics")
    back = one.sample()
    assert (back.up, back.seconds, back.decode_tokens_per_second) == (True, 0.0, None)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff" * 100])
def test_an_answer_without_metrics_is_no_server(body: bytes):
    assert not watcher(body).sample().up


def test_cards_are_told_also_where_no_server_answers():
    sample = watcher(500, devices=CARDS).sample()
    assert sample.cards == (
        Card("RTX 4090", 12_884.9, 25_769.8, 50.0),
        Card("RTX 3090", 6_442.5, 25_769.8, None),
    )


def test_the_time_to_the_first_token_is_the_engines_own():
    settings = EngineSettings(prefill_tokens_per_second=100, decode_tokens_per_second=100)
    engine = EngineTransport(Engine(settings, StillClock()))
    server = Server(
        "http://engine.invalid/v1", SecretStr("EMPTY"), transports=Transports(engine, httpx2.AsyncHTTPTransport())
    )
    one = Watcher(server, lambda: (), clock=count(0.0, 1.0).__next__)
    assert one.sample().ttft_p50_seconds is None
    body = {"model": MODEL_ID, "messages": [{"role": "user", "content": "hello"}]}
    assert server.post("/v1/chat/completions", body).ok
    sample = one.sample()
    assert sample.ttft_p50_seconds is not None
    assert 0 < sample.ttft_p50_seconds <= 1
    assert (sample.decode_tokens_per_second or 0) > 0


def test_a_row_has_the_fields_of_the_metrics_record():
    one = watcher(FIRST, SECOND, devices=CARDS)
    one.sample()
    row = record(one.sample())
    assert (row.operation, row.latency_ms, row.tokens_processed) == ("server_sample", 10_000, 2_000)
    assert row.metrics["resources"] == {
        "vram_used": 19_327.4,
        "vram_total": 51_539.6,
        "vram_max_threshold": None,
        "ram_used": None,
        "cpu_percent": None,
        "gpu_percent": 50.0,
    }
    assert row.metrics["inference"]["decode_tokens_per_second"] == 100
    assert row.metrics["server"]["prefix_hit_rate"] == 0.75
    assert json.loads(json.dumps(row.metrics)) == row.metrics


def test_a_row_of_a_machine_without_a_gpu_says_nothing_of_one():
    row = record(Sample("2026-01-01T00:00:00.000Z", 0.0, up=False, said="no", cards=()))
    assert {row.metrics["resources"][name] for name in ("vram_used", "vram_total", "gpu_percent")} == {None}
    assert row.tokens_processed is None


def test_what_the_gpus_hold_is_their_sum_and_the_busiest(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watch.nvml, "devices", lambda: CARDS)
    assert gpus_in_use() == Gpus(vram_used=19_327.4, vram_total=51_539.6, gpu_percent=50.0)
    monkeypatch.setattr(nvml, "devices", lambda: ())
    assert gpus_in_use() is None
