"""The figures of the overhead: what of a question's time was neither model nor search. Plain values; no graph.

`Row` is one question through one arm. `figures_of` gives p50 and p95 in milliseconds for each arm and kind of question,
and of each step, beside `AIMS`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graph.bench.answers import Gold
from graph.bench.report import quantiles
from graph.bench.tokens_figures import KINDS, kind_of
from infra.measure.spans import Span, covered

ARMS = {
    "ours": "ours",
    "ours_thread": "ours, with a checkpointer",
    "ours_cache": "ours, answer cache on, asked first",
    "ours_again": "ours, answered from the cache",
    "stock": "langgraph-supervisor (a)",
}
"""What is measured, and what it is called."""

COLUMNS = ("overhead", "strict", "said", "loop_cpu", "total")
"""Milliseconds of a question; see `graph.bench.overhead`."""

AIMS = {"lookup_ms": 35.0, "lookup_thread_ms": 50.0, "of_stock": 0.5, "step_p95_ms": 300.0}
"""At most: p50 of a look-up's overhead without and with a checkpointer, its share of stock's, p95 of every step."""

STEPS = ("receive", "recall", "router", "planner", "retrieval", "synthesizer", "validator", "compress", "supervisor")
MS = 1_000.0

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One question through one arm.

    Attributes:
        gold: the question.
        answer: what came of it.
        whole: from end to end.
        loop_cpu_seconds: processor time of the event loop's thread.
        calls: model calls, from request to last byte.
        work: the engine's own work for them.
        searches: searches.
        steps: nodes of our graph; none of the stock one.
    """

    gold: Gold
    answer: Mapping[str, Any]
    whole: Span
    loop_cpu_seconds: float
    calls: Sequence[Span]
    work: Sequence[Span]
    searches: Sequence[Span]
    steps: Sequence[tuple[str, Span]]

    @property
    def milliseconds(self) -> dict[str, float]:
        """The figures of `COLUMNS`; ``said`` where the answer says it."""
        total = self.whole.end - self.whole.start
        figures = {
            "overhead": total - covered([*self.calls, *self.searches], self.whole),
            "strict": total - covered([*self.work, *self.searches], self.whole),
            "loop_cpu": self.loop_cpu_seconds,
            "total": total,
        }
        if seconds := self.answer.get("seconds"):
            figures["said"] = seconds["overhead"]
        return {name: MS * value for name, value in figures.items()}


def kept(row: Row) -> bool:
    """Tell whether an answer came from the answer cache."""
    return row.answer.get("cache", {}).get("answer") == "hit"


def figures_of(rows: Mapping[str, Sequence[Row]]) -> Figures:
    """Return the figures of all arms, by name and kind of question, of the steps, and what the aims come to."""
    by_kind = {
        name: {kind: [row for row in own if kind_of(row.gold) == kind] for kind in KINDS} for name, own in rows.items()
    }
    figures: Figures = {"questions": {kind: len(by_kind["ours"][kind]) for kind in KINDS}}
    figures["arms"] = {name: {kind: _columns(own[kind]) for kind in KINDS} for name, own in by_kind.items()}
    figures["steps"] = _steps(rows)
    figures["aims"] = AIMS
    figures["reached"] = _reached(figures)
    return figures


def _columns(rows: Sequence[Row]) -> Figures:
    each = [row.milliseconds for row in rows]
    columns: Figures = {
        name: quantiles([one[name] for one in each if name in one])
        for name in COLUMNS
        if any(name in one for one in each)
    }
    return {"answers": len(rows), **columns}


def _steps(rows: Mapping[str, Sequence[Row]]) -> Figures:
    """Return p50 and p95 of each node's time without model calls, and how often it was called."""
    found: dict[str, list[float]] = {}
    for row in rows["ours"]:
        for name, span in row.steps:
            found.setdefault(name, []).append(_without_model(row, span))
    found["recall"] = [
        _without_model(row, span) for row in rows["ours_cache"] for name, span in row.steps if name == "recall"
    ]
    ordered = sorted(found, key=lambda name: STEPS.index(name) if name in STEPS else len(STEPS))
    return {name: {**quantiles(found[name]), "visits": len(found[name])} for name in ordered if found[name]}


def _without_model(row: Row, span: Span) -> float:
    return MS * (span.end - span.start - covered(row.calls, span))


def _reached(figures: Figures) -> Figures:
    """Return what the aims speak of, as measured."""
    arms = figures["arms"]
    p50 = {name: arms[name]["lookup"].get("overhead", {}).get("p50", 0.0) for name in arms}
    return {
        "lookup_ms": p50["ours"],
        "lookup_thread_ms": p50["ours_thread"],
        "of_stock": round(p50["ours"] / p50["stock"], 4) if p50["stock"] else 0.0,
        "step_p95_ms": max((step["p95"] for step in figures["steps"].values()), default=0.0),
    }
