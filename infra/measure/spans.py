"""Stretches of time: how long at least one of them lasted, and how many lasted at once.

Gives `Span` and pure functions over spans, in seconds of any one clock. Spans may overlap and come in any order.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple


class Span(NamedTuple):
    """A stretch of time from ``start`` to ``end``, in seconds; one that ends before it starts is empty."""

    start: float
    end: float


def union(spans: Iterable[Span]) -> list[Span]:
    """Return the time that ``spans`` cover as spans apart from each other, in order."""
    apart: list[Span] = []
    for span in sorted(span for span in spans if span.end > span.start):
        if apart and span.start <= apart[-1].end:
            apart[-1] = Span(apart[-1].start, max(apart[-1].end, span.end))
        else:
            apart.append(span)
    return apart


def covered(spans: Iterable[Span], within: Span | None = None) -> float:
    """Return how many seconds (of ``within``) at least one span covers: what happens side by side counts once."""
    apart = union(spans)
    if within is not None:
        apart = union(Span(max(span.start, within.start), min(span.end, within.end)) for span in apart)
    return sum(span.end - span.start for span in apart)


def levels(spans: Iterable[Span]) -> dict[int, float]:
    """Return for each number of spans that lasted at once how many seconds it did, from the first start to the end."""
    steps = sorted((at, change) for start, end in spans if end > start for at, change in ((start, 1), (end, -1)))
    lasted: dict[int, float] = {}
    open_now = 0
    for (at, change), following in pairwise(steps):
        open_now += change
        lasted[open_now] = lasted.get(open_now, 0.0) + following[0] - at
    return lasted
