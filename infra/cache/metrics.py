"""The figures of the answer cache and of the cache of calls as Prometheus metrics.

Gives ``registry_of``, a registry of its own that reads the figures anew for each scrape, and ``exposition``, its text
format. The figures are those of all processes of a tenant, as far as they are written down (a second or two ago).
Counters count since the cache was made (those of calls: since it was cleared last).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from infra.cache.calls_file import CallFigures
from infra.cache.records import Stats

ANSWERS = "docmind_answer_cache"
CALLS = "docmind_call_cache"


@dataclass(frozen=True, slots=True)
class Figures:
    """What is measured: the answers', and those of each kind of call."""

    answers: Stats
    calls: Mapping[str, CallFigures]


Read = Callable[[], Figures]


def registry_of(read: Read) -> CollectorRegistry:
    """A registry whose metrics are what ``read`` returns when they are collected; it may block, and its errors pass."""
    registry = CollectorRegistry()
    registry.register(_Figures(read))
    return registry


def exposition(registry: CollectorRegistry) -> str:
    """The metrics in Prometheus' text format."""
    return generate_latest(registry).decode("utf-8")


class _Figures(Collector):
    def __init__(self, read: Read) -> None:
        self._read = read

    def describe(self) -> Iterator[Metric]:
        """Name the metrics without reading anything: the registry asks this when they are registered."""
        return _metrics(Figures(Stats(), {}))

    def collect(self) -> Iterator[Metric]:
        return _metrics(self._read())


def _metrics(figures: Figures) -> Iterator[Metric]:
    yield from _of_answers(figures.answers)
    yield from _of_calls(figures.calls)


def _of_answers(of: Stats) -> Iterator[Metric]:
    yield GaugeMetricFamily(f"{ANSWERS}_answers", "Answers kept.", of.answers)
    yield GaugeMetricFamily(f"{ANSWERS}_size_bytes", "What the answers kept take, in bytes.", round(of.megabytes * 1e6))
    outcomes = {"hit": of.hits, "near": of.nears, "miss": of.misses, "off": of.offs}
    yield _counter(f"{ANSWERS}_decisions", "Decisions; near is followed by hit or miss.", "outcome", outcomes)
    entered = {"stored": of.stored, "refused": of.refused}
    yield _counter(f"{ANSWERS}_offered", "Answers that entered the cache, and that were not let in.", "result", entered)
    removed = {"gone": of.gone, "outdated": of.outdated, "expired": of.expired}
    removed |= {"evicted": of.evicted, "cleared": of.cleared}
    yield _counter(f"{ANSWERS}_removed", "Answers removed.", "reason", removed)
    yield CounterMetricFamily(f"{ANSWERS}_saved_tokens", "Tokens that the hits would have cost.", of.saved_tokens)
    yield CounterMetricFamily(f"{ANSWERS}_saved_seconds", "Seconds that the hits would have cost.", of.saved_seconds)
    yield CounterMetricFamily(f"{ANSWERS}_audited", "Kept answers that were compared with new ones.", of.audited)
    yield CounterMetricFamily(f"{ANSWERS}_wrong", "Audited answers that differed from new ones.", of.wrong)


def _of_calls(calls: Mapping[str, CallFigures]) -> Iterator[Metric]:
    def by_kind(name: str, text: str, value: Callable[[CallFigures], float]) -> Metric:
        return _counter(f"{CALLS}_{name}", text, "kind", {kind: value(of) for kind, of in calls.items()})

    yield by_kind("hits", "Calls and searches that were not made again.", lambda of: of.hits)
    yield by_kind("misses", "Calls and searches that were made.", lambda of: of.misses)
    yield by_kind("saved_prompt_tokens", "Prompt tokens the hits would have taken.", lambda of: of.saved_prompt_tokens)
    yield by_kind(
        "saved_completion_tokens", "Completion tokens the hits would have taken.", lambda of: of.saved_completion_tokens
    )
    yield by_kind("saved_seconds", "Seconds the hits would have taken.", lambda of: of.saved_seconds)
    entries = GaugeMetricFamily(f"{CALLS}_entries", "Replies and searches kept.", labels=["kind"])
    size = GaugeMetricFamily(f"{CALLS}_size_bytes", "What they take, compressed, in bytes.", labels=["kind"])
    for kind, of in calls.items():
        entries.add_metric([kind], of.entries)
        size.add_metric([kind], of.bytes)
    yield from (entries, size)


def _counter(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
