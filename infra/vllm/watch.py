"""What a running server does right now: memory, speed, cache and queue, from ``/metrics`` and NVIDIA's driver.

Gives `Watcher.sample` (one `Sample`, with rates since the one before), `record` (a sample as a row of
``performance_logs``, in the form of the performance-metrics record) and `gpus_in_use`, what the GPUs of this machine
hold. Without a driver there are no cards, without a server no figures; neither is an error. Counters are vLLM's
(``v1/metrics/loggers.py``, 0.32); megabytes are 10^6 bytes as in `infra.performance`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from infra.performance import Gpus
from infra.store.performance import Measured
from infra.vllm import nvml
from infra.vllm.exposition import Metrics, read_metrics
from infra.vllm.wire import Server

OPERATION = "server_sample"
METRICS_SECONDS = 5.0
_MB = 1e6
_TTFT = "vllm:time_to_first_token_seconds"


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU: megabytes, percent."""

    name: str
    vram_used_mb: float
    vram_total_mb: float
    busy_percent: float | None


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a server. None: not known, or nothing of the kind happened since the look before.

    Attributes:
        timestamp: ISO 8601 in UTC.
        seconds: since the look before; 0 for the first.
        up: whether the server gave its metrics.
        said: why not, on one line; empty otherwise.
        cards: the GPUs of this machine.
        decode_tokens_per_second: tokens written, all requests together.
        prefill_tokens_per_second: prompt tokens taken in, without those from the cache.
        ttft_p50_seconds: time to the first token of requests since the look before.
        ttft_p95_seconds: the same.
        kv_usage: part of the KV cache in use, in [0, 1].
        prefix_hit_rate: part of the prompt tokens since the look before that came from the cache, in [0, 1].
        running: requests that are being answered.
        waiting: requests in the queue.
        preemptions: requests that lost their place in the KV cache since the look before.
    """

    timestamp: str
    seconds: float
    up: bool
    said: str
    cards: tuple[Card, ...]
    decode_tokens_per_second: float | None = None
    prefill_tokens_per_second: float | None = None
    ttft_p50_seconds: float | None = None
    ttft_p95_seconds: float | None = None
    kv_usage: float | None = None
    prefix_hit_rate: float | None = None
    running: float | None = None
    waiting: float | None = None
    preemptions: float | None = None


class Watcher:
    """Looks at one server again and again.

    Args:
        server: that is asked.
        devices: reads the GPUs.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        server: Server,
        devices: Callable[[], Sequence[nvml.Device]] = nvml.devices,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._devices = devices
        self._clock = clock
        self._before: tuple[float, Metrics] | None = None

    def sample(self) -> Sample:
        """Look once; takes `METRICS_SECONDS` at most."""
        answer = self._server.get("/metrics", seconds=METRICS_SECONDS)
        now = self._clock()
        timestamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        cards = tuple(map(_card, self._devices()))
        metrics = read_metrics(answer.body) if answer.ok else Metrics()
        if not metrics.samples:
            self._before = None
            words = answer.words or f"answered {answer.status} without metrics"
            return Sample(timestamp, 0.0, up=False, said=words, cards=cards)
        before, self._before = self._before, (now, metrics)
        seconds = now - before[0] if before else 0.0
        return Sample(
            timestamp,
            round(seconds, 3),
            up=True,
            said="",
            cards=cards,
            **_gauges(metrics),
            **(_rates(metrics, before[1], seconds) if before and seconds > 0 else {}),
        )


def gpus_in_use() -> Gpus | None:
    """Return what the GPUs of this machine hold; None without a driver."""
    return _together(tuple(map(_card, nvml.devices())))


def record(sample: Sample) -> Measured:
    """Return a sample as a row: the performance-metrics record, and the server's own figures beside it."""
    gpus = _together(sample.cards)
    resources = {"vram_max_threshold": None, "ram_used": None, "cpu_percent": None}
    resources |= asdict(gpus) if gpus else dict.fromkeys(("vram_used", "vram_total", "gpu_percent"))
    ttft = sample.ttft_p50_seconds
    metrics = {
        "timestamp": sample.timestamp,
        "inference": {
            "decode_tokens_per_second": sample.decode_tokens_per_second,
            "prefill_tokens_per_second": sample.prefill_tokens_per_second,
            "time_to_first_token": None if ttft is None else round(1000 * ttft, 3),
        },
        "resources": resources,
        "server": {
            "up": sample.up,
            "ttft_p95_seconds": sample.ttft_p95_seconds,
            "kv_usage": sample.kv_usage,
            "prefix_hit_rate": sample.prefix_hit_rate,
            "running": sample.running,
            "waiting": sample.waiting,
            "preemptions": sample.preemptions,
        },
    }
    tokens = _tokens(sample)
    return Measured(OPERATION, round(1000 * sample.seconds, 3), tokens, sample.timestamp, metrics)


def _tokens(sample: Sample) -> int | None:
    rates = (sample.decode_tokens_per_second, sample.prefill_tokens_per_second)
    known = [rate for rate in rates if rate is not None]
    return round(sum(known) * sample.seconds) if known else None


def _gauges(metrics: Metrics) -> dict[str, float | None]:
    return {
        "kv_usage": _rounded(metrics.mean("vllm:kv_cache_usage_perc")),
        "running": metrics.total("vllm:num_requests_running"),
        "waiting": metrics.total("vllm:num_requests_waiting"),
    }


def _rates(metrics: Metrics, before: Metrics, seconds: float) -> dict[str, float | None]:
    written = metrics.delta("vllm:generation_tokens_total", before)
    taken = metrics.delta("vllm:prompt_tokens_total", before)
    queries = metrics.delta("vllm:prefix_cache_queries_total", before)
    hits = metrics.delta("vllm:prefix_cache_hits_total", before)
    cached = metrics.delta("vllm:prompt_tokens_cached_total", before) or 0.0
    return {
        "decode_tokens_per_second": None if written is None else round(written / seconds, 2),
        "prefill_tokens_per_second": None if taken is None else round(max(0.0, taken - cached) / seconds, 2),
        "ttft_p50_seconds": _rounded(metrics.quantile(_TTFT, 0.5, before)),
        "ttft_p95_seconds": _rounded(metrics.quantile(_TTFT, 0.95, before)),
        "prefix_hit_rate": _rounded(min(1.0, hits / queries)) if queries and hits is not None else None,
        "preemptions": metrics.delta("vllm:num_preemptions_total", before),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _card(device: nvml.Device) -> Card:
    busy = None if device.busy is None else round(100 * device.busy, 1)
    return Card(device.name, round(device.in_use_bytes / _MB, 1), round(device.vram_bytes / _MB, 1), busy)


def _together(cards: Sequence[Card]) -> Gpus | None:
    if not cards:
        return None
    busy = [card.busy_percent for card in cards if card.busy_percent is not None]
    return Gpus(
        vram_used=round(sum(card.vram_used_mb for card in cards), 1),
        vram_total=round(sum(card.vram_total_mb for card in cards), 1),
        gpu_percent=max(busy, default=None),
    )
