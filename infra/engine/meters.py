"""What the engine counts, under vLLM's metric names, in a registry of its own.

Times are measured where a chunk is taken over by the one who writes it, in seconds. Inter-token times are observed for
streams only. Nothing ever waits or is preempted here: those gauges stay 0. ``kv_cache_usage_perc`` is the share of the
prefix cache's size that running requests would fill.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from infra.engine.prefix import BLOCK_TOKENS, CAPACITY_BLOCKS
from infra.engine.protocol import MODEL_ID

_TTFT = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1,
    2.5,
    5,
    7.5,
    10,
    20,
    40,
    80,
    160,
    640,
    2560,
)
_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
_WHOLE = (0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680)
_LABELS = ("model_name", "engine")
_VALUES = (MODEL_ID, "0")


class Meters:
    """Counters, gauges and histograms of one engine; thread-safe."""

    def __init__(self, *, prefix_cache: bool) -> None:
        self._registry = CollectorRegistry()
        self._queries = self._counter("prefix_cache_queries", "Prompt tokens looked up in the prefix cache.")
        self._hits = self._counter("prefix_cache_hits", "Prompt tokens found in the prefix cache.")
        self._prompt = self._counter("prompt_tokens", "Prompt tokens processed.")
        self._cached = self._counter("prompt_tokens_cached", "Prompt tokens taken from the prefix cache.")
        self._generated = self._counter("generation_tokens", "Tokens generated.")
        self._counter("num_preemptions", "Preemptions; always 0.")
        self._running = self._gauge("num_requests_running", "Requests being answered.")
        self._gauge("num_requests_waiting", "Requests waiting; always 0.")
        self._usage = self._gauge(
            "kv_cache_usage_perc", "Share of the cache that running requests would fill; 1 is all."
        )
        self._ttft = self._histogram("time_to_first_token_seconds", "Time to first token.", _TTFT)
        self._token = self._histogram("inter_token_latency_seconds", "Time between tokens of a stream.", _TOKEN)
        self._mean = self._histogram(
            "request_time_per_output_token_seconds", "Mean time per token after the first.", _TOKEN
        )
        self._whole = self._histogram("e2e_request_latency_seconds", "Time of the whole request.", _WHOLE)
        self._ended = Counter(
            "vllm:request_success", "Requests ended, by reason.", (*_LABELS, "finished_reason"), registry=self._registry
        )
        config = Info(
            "vllm:cache_config", "The engine's cache: prefix hashes, no keys and values.", registry=self._registry
        )
        config.info(
            {"block_size": str(BLOCK_TOKENS), "cache_dtype": "none", "enable_prefix_caching": str(prefix_cache)}
        )

    def exposition(self) -> bytes:
        """Return the metrics as Prometheus text."""
        return generate_latest(self._registry)

    def started(self, prompt_tokens: int, cached_tokens: int) -> None:
        """Count a request that begins to be answered."""
        self._running.inc()
        self._usage.inc(_share(prompt_tokens))
        self._prompt.inc(prompt_tokens)
        self._queries.inc(prompt_tokens)
        self._hits.inc(cached_tokens)
        self._cached.inc(cached_tokens)

    def first_token(self, seconds: float) -> None:
        """Observe the time to the first token."""
        self._ttft.observe(seconds)

    def next_token(self, seconds: float) -> None:
        """Observe the time between two writes of a stream."""
        self._token.observe(seconds)

    def ended(self, reason: str, prompt_tokens: int, tokens: int, seconds: float, first_seconds: float) -> None:
        """Count a request that is over.

        Args:
            reason: ``stop``, ``length`` or ``abort``.
            prompt_tokens: as at its start.
            tokens: tokens written.
            seconds: from its arrival to its end.
            first_seconds: from its arrival to its first token.
        """
        self._running.dec()
        self._usage.dec(_share(prompt_tokens))
        self._generated.inc(tokens)
        self._ended.labels(*_VALUES, reason).inc()
        self._whole.observe(seconds)
        if tokens > 1:
            self._mean.observe((seconds - first_seconds) / (tokens - 1))

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"vllm:{name}", text, _LABELS, registry=self._registry).labels(*_VALUES)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"vllm:{name}", text, _LABELS, registry=self._registry).labels(*_VALUES)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"vllm:{name}", text, _LABELS, buckets=buckets, registry=self._registry).labels(*_VALUES)


def _share(tokens: int) -> float:
    return tokens / (CAPACITY_BLOCKS * BLOCK_TOKENS)
