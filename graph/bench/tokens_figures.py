"""The figures of the token comparison: what a question cost, medians, and what was saved.

`Row` is one question through one arm. `figures_of` gives, for each arm and for compound questions and look-ups apart,
the medians of `COLUMNS`, the share of questions whose answer cites a gold record, and the mean cost of each agent.
Reductions are taken question by question, 1 - ours / theirs, and their median is given; the flat ones are the smaller
of both kinds. Works on plain values; knows no graph.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from graph.bench.answers import Gold, score
from graph.bench.report import share
from graph.bench.tokens_arms import DEFAULT, FULL_HISTORY, LEAN, LEAN_FULL_HISTORY, OURS, Arm
from infra.engine.tasks.plan import is_compound
from infra.llm.ledger import Call

KINDS = ("compound", "lookup")
COLUMNS = ("calls", "calls_on_path", "prompt", "completion", "total", "uncached", "seconds")
"""Of a question: model calls, those that followed each other, tokens (prompt tokens that no cache had), seconds."""

AIMS = {"total_vs_full_history": 0.75, "uncached_vs_full_history": 0.87, "total_vs_default": 0.50}
"""Least reductions that are aimed at."""

APART_SECONDS = 0.0005
"""How far two calls may overlap by the clocks' rounding and still be one after the other."""

_AGAINST = {
    "total_vs_full_history": ("total", FULL_HISTORY, LEAN_FULL_HISTORY),
    "uncached_vs_full_history": ("uncached", FULL_HISTORY, LEAN_FULL_HISTORY),
    "total_vs_default": ("total", DEFAULT, LEAN),
}

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One question through one arm: the answer, its calls, and the seconds from end to end."""

    gold: Gold
    answer: Mapping[str, Any]
    calls: Sequence[Call]
    seconds: float

    @property
    def figures(self) -> dict[str, float]:
        """The figures of `COLUMNS`."""
        prompt = sum(call.prompt_tokens for call in self.calls)
        completion = sum(call.completion_tokens for call in self.calls)
        return {
            "calls": len(self.calls),
            "calls_on_path": on_path(self.calls),
            "prompt": prompt,
            "completion": completion,
            "total": prompt + completion,
            "uncached": prompt - sum(call.cached_tokens for call in self.calls),
            "seconds": self.seconds,
        }


def kind_of(gold: Gold) -> str:
    """Return whether a question has several parts."""
    return "compound" if is_compound(gold.question) else "lookup"


def on_path(calls: Iterable[Call]) -> int:
    """Return how many calls followed each other: the most of which no two ran at the same time."""
    count, free_from = 0, 0.0
    for call in sorted(calls, key=lambda call: call.started + call.seconds):
        if call.started >= free_from - APART_SECONDS:
            count, free_from = count + 1, call.started + call.seconds
    return count


def figures_of(rows: Mapping[str, Sequence[Row]], arms: Sequence[Arm]) -> Figures:
    """Return the figures of all arms, by name, and our reductions where both sides were measured."""
    by_kind = {
        name: {kind: [r for r in own if kind_of(r.gold) == kind] for kind in KINDS} for name, own in rows.items()
    }
    kinds = [kind for kind in KINDS if any(own[kind] for own in by_kind.values())]
    figures: Figures = {"questions": {kind: max(len(own[kind]) for own in by_kind.values()) for kind in KINDS}}
    figures["arms"] = {arm.name: {kind: _measured(by_kind, arm, kind) for kind in kinds} for arm in arms}
    for name, place in (("reduction", 1), ("reduction_lean", 2)):
        against = {key: (value[0], value[place]) for key, value in _AGAINST.items()}
        figures[name] = _reductions(by_kind, against, kinds)
    figures["aims"] = AIMS
    return figures


def _measured(by_kind: Mapping[str, Mapping[str, Sequence[Row]]], arm: Arm, kind: str) -> Figures:
    rows = by_kind[arm.name][kind]
    each = [row.figures for row in rows]
    figures: Figures = {name: round(median(one[name] for one in each), 3) for name in COLUMNS}
    figures["gold_evidence"] = gold_rate(rows)
    figures["agents"] = _by_agent(rows)
    if arm.beside in by_kind:
        for name in ("total", "uncached"):
            figures[f"more_{name}"] = round(0.0 - _reduction(rows, by_kind[arm.beside][kind], name), 4)
    return figures


def gold_rate(rows: Sequence[Row]) -> float:
    """Return the share of the questions whose answer cites a gold record, as the bench ``answers`` scores them."""
    blank = {"abstained": False, "usage": {"prompt_tokens": 0, "completion_tokens": 0, "llm_calls": 0}}
    answers = {row.gold.id: {**blank, "seconds": {"total": row.seconds}, **row.answer} for row in rows}
    scored = score([row.gold for row in rows], answers)
    counted = scored["questions"]
    cited = sum(scored[f"{kind}_gold_cited"] * counted[kind] for kind in ("single", "multi"))
    return share(round(cited), counted["single"] + counted["multi"])


def _by_agent(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Return the mean calls and tokens a question of each agent, in the order of their first calls."""
    agents = dict.fromkeys(call.scope.agent for row in rows for call in row.calls)
    return {
        agent: _mean([call for row in rows for call in row.calls if call.scope.agent == agent], len(rows))
        for agent in agents
    }


def _mean(calls: Sequence[Call], questions: int) -> dict[str, float]:
    tokens = {
        "calls": len(calls),
        "prompt": sum(call.prompt_tokens for call in calls),
        "completion": sum(call.completion_tokens for call in calls),
        "uncached": sum(call.prompt_tokens - call.cached_tokens for call in calls),
    }
    return {name: round(value / questions, 2) for name, value in tokens.items()}


def _reductions(
    by_kind: Mapping[str, Mapping[str, Sequence[Row]]], against: Mapping[str, tuple[str, str]], kinds: Sequence[str]
) -> Figures:
    """Return our reductions by kind, and the smaller of both kinds; none where an arm was not measured."""
    if not all(name in by_kind for name in (OURS, *(theirs for _, theirs in against.values()))):
        return {}
    found: dict[str, dict[str, float]] = {kind: {} for kind in kinds}
    for kind in kinds:
        for name, (column, theirs) in against.items():
            found[kind][name] = round(_reduction(by_kind[OURS][kind], by_kind[theirs][kind], column), 4)
    return {**{name: min(found[kind][name] for kind in kinds) for name in against}, **found}


def _reduction(ours: Sequence[Row], theirs: Sequence[Row], column: str) -> float:
    """Return the median over the questions of 1 - ours / theirs."""
    pairs = [(our.figures[column], their.figures[column]) for our, their in zip(ours, theirs, strict=True)]
    return median(1 - our / their if their else 0.0 for our, their in pairs)
