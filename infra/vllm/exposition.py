"""Prometheus' text format, read: what ``/metrics`` of a vLLM server says.

Gives `read_metrics` (bytes → `Metrics`). A stranger's text: a line that is no sample is left out, so is a value that is
no finite number, and no more than `MAX_SAMPLES` samples are kept. Values of one name are summed over their labels (one
set of labels an engine). Source: https://prometheus.io/docs/instrumenting/exposition_formats/, vLLM 0.32
``v1/metrics/loggers.py``.
"""

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MAX_SAMPLES = 50_000
_SAMPLE = re.compile(r"^([A-Za-z_:][\w:]{0,200})(?:\{(.{0,8000})\})? ([-+\w.]{1,40})(?: \d{1,20})?$")
_LABEL = re.compile(r'([A-Za-z_]\w{0,100})="((?:[^"\\]|\\.)*)"')
_ESCAPED = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Metrics:
    """Samples by name."""

    samples: Mapping[str, Sequence[tuple[Labels, float]]] = field(default_factory=dict[str, list[tuple[Labels, float]]])

    def total(self, name: str) -> float | None:
        """Return the sum of a name's values; None where there is none."""
        values = [value for _, value in self.samples.get(name, ())]
        return sum(values) if values else None

    def mean(self, name: str) -> float | None:
        """Return the mean of a name's values; None where there is none."""
        values = [value for _, value in self.samples.get(name, ())]
        return sum(values) / len(values) if values else None

    def labels(self, name: str) -> Labels:
        """Return the labels of a name's first sample; none where there is none."""
        found = self.samples.get(name)
        return found[0][0] if found else {}

    def delta(self, name: str, before: "Metrics") -> float | None:
        """Return how much a counter has grown; None where it is not there. Of a server that began anew, all of it."""
        now = self.total(name)
        if now is None:
            return None
        grown = now - (before.total(name) or 0.0)
        return grown if grown >= 0 else now

    def quantile(self, name: str, share: float, before: "Metrics | None" = None) -> float | None:
        """Return a quantile of a histogram, linear inside a bucket as Prometheus' ``histogram_quantile``.

        Args:
            name: without ``_bucket``.
            share: such as 0.95.
            before: only what came after these is counted.
        """
        counts = self.buckets(name)
        earlier = before.buckets(name) if before else {}
        grown = {edge: count - earlier.get(edge, 0.0) for edge, count in counts.items()}
        edges = sorted(grown)
        if not edges or grown[edges[-1]] <= 0:
            return None
        wanted, low, below = share * grown[edges[-1]], 0.0, 0.0
        for edge in edges:
            if grown[edge] >= wanted:
                if math.isinf(edge):
                    return low
                inside = grown[edge] - below
                return low + (edge - low) * (wanted - below) / inside if inside > 0 else edge
            low, below = edge, grown[edge]
        return low

    def buckets(self, name: str) -> dict[float, float]:
        """Return how many observations a histogram has at or below each edge, over all labels."""
        counts: dict[float, float] = defaultdict(float)
        for labels, value in self.samples.get(f"{name}_bucket", ()):
            edge = _number(labels.get("le", ""))
            if edge is not None:
                counts[edge] += value
        return counts


def read_metrics(body: bytes) -> Metrics:
    """Read the text of ``/metrics``; what is no sample is left out."""
    samples: dict[str, list[tuple[Labels, float]]] = defaultdict(list)
    number = 0
    for line in body.decode("utf-8", "replace").split("\n"):
        match = None if line.startswith("#") else _SAMPLE.match(line)
        value = _number(match[3]) if match else None
        if match is None or value is None or not math.isfinite(value):
            continue
        samples[match[1]].append((_labels(match[2] or ""), value))
        number += 1
        if number >= MAX_SAMPLES:
            break
    return Metrics(dict(samples))


def _labels(text: str) -> Labels:
    return {name: re.sub(r"\\.", lambda at: _ESCAPED.get(at[0], at[0]), value) for name, value in _LABEL.findall(text)}


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value
