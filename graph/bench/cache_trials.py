"""Questions asked of an answer cache, and what their replies come to. Pure.

``Rooms`` is a cache under test: what is put into one room is not found from another. A ``Trial`` is one question with
what was served for it; `figures` counts trials.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol

from graph.bench.cache_sets import Labelled, Pair
from graph.bench.report import share

Figures = dict[str, Any]
Advance = Callable[[], None]

CURVE_POINTS = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """What a cache said.

    Attributes:
        hit: whether it served an answer.
        candidate: the kept question whose answer that is, or the nearest one that was looked at; "" for none.
        score: how similar, in the cache's own measure; whatever is not above a threshold is no hit.
        near: whether it would ask a verifier first.
        reason: why, in plain words.
    """

    hit: bool
    candidate: str
    score: float
    near: bool = False
    reason: str = ""


class Rooms(Protocol):
    """A cache under test, with rooms that know nothing of each other."""

    def put(self, room: str, question: str) -> bool:
        """Keep an answer to a question; whether the cache let it in."""
        ...

    def get(self, room: str, question: str) -> Reply:
        """Ask a question."""
        ...


@dataclass(frozen=True, slots=True)
class Trial:
    """One question that was asked.

    Attributes:
        asked: the question.
        reply: what came back.
        counted: whether a hit is wanted, so that it counts for the hit rate.
        right: whether what ``reply.candidate`` was answered answers this one, too.
        kind: of the pair, or "".
        kept: whether the cache holds what was to be found.
    """

    asked: str
    reply: Reply
    counted: bool
    right: bool
    kind: str = ""
    kept: bool = True


def ask_pairs(rooms: Rooms, pairs: Sequence[Pair], advance: Advance) -> list[Trial]:
    """Ask each pair's ``b`` where nothing but its ``a`` is kept."""
    kept: dict[str, bool] = {}
    trials: list[Trial] = []
    for pair in pairs:
        if pair.a not in kept:
            kept[pair.a] = rooms.put(pair.a, pair.a)
        reply = rooms.get(pair.a, pair.b)
        trials.append(Trial(pair.b, reply, pair.same, pair.same, pair.kind, kept[pair.a]))
        advance()
    return trials


def ask_others(rooms: Rooms, labelled: Labelled, advance: Advance) -> list[Trial]:
    """Keep all questions of a set, and ask each of them; the cache must not serve a question's own answer."""
    kept: dict[str, bool] = {}
    for text in labelled.gold:
        kept[text] = rooms.put(labelled.name, text)
        advance()
    trials: list[Trial] = []
    for text, gold in labelled.gold.items():
        reply = rooms.get(labelled.name, text)
        right = labelled.gold.get(reply.candidate) == gold
        trials.append(Trial(text, reply, counted=True, right=right, kept=kept[text]))
        advance()
    return trials


def figures(trials: Sequence[Trial]) -> Figures:
    """Hit rate (among those where a hit is wanted), and the share of the hits that are wrong."""
    hits = [trial for trial in trials if trial.reply.hit]
    wanted = [trial for trial in trials if trial.counted]
    wrong = sum(not trial.right for trial in hits)
    return {
        "asked": len(trials),
        "wanted": len(wanted),
        "hits": len(hits),
        "hit_rate": share(sum(trial.reply.hit for trial in wanted), len(wanted)),
        "wrong_hits": wrong,
        "wrong_among_hits": share(wrong, len(hits)),
        "near_rate": share(sum(trial.reply.near for trial in wanted), len(wanted)),
        "not_kept": sum(not trial.kept for trial in trials),
    }


def by_kind(trials: Iterable[Trial]) -> dict[str, Figures]:
    """For each kind: pairs, whether they mean the same, the share that hit and the share that was near."""
    kinds: dict[tuple[str, bool], list[Trial]] = {}
    for trial in trials:
        if trial.kind:
            kinds.setdefault((trial.kind, trial.right), []).append(trial)
    return {
        _named(kind, same, kinds): {
            "same": same,
            "pairs": len(members),
            "hits": sum(trial.reply.hit for trial in members),
            "hit_rate": share(sum(trial.reply.hit for trial in members), len(members)),
            "near_rate": share(sum(trial.reply.near for trial in members), len(members)),
        }
        for (kind, same), members in kinds.items()
    }


def _named(kind: str, same: bool, kinds: Iterable[tuple[str, bool]]) -> str:
    both = (kind, not same) in set(kinds)
    return f"{kind} ({'same' if same else 'different'})" if both else kind


def at_hit_rate(trials: Sequence[Trial], wanted_hits: int) -> Figures | None:
    """What a cache that serves by score alone does at the highest threshold that gives so many of the wanted hits.

    None where nothing is wanted of it, or where it cannot reach so many.
    """
    scores = sorted((trial.reply.score for trial in trials if trial.counted and trial.reply.candidate), reverse=True)
    if not 0 < wanted_hits <= len(scores):
        return None
    return {"score": round(scores[wanted_hits - 1], 4), **_served(trials, scores[wanted_hits - 1])}


def curve(trials: Sequence[Trial]) -> list[tuple[float, float]]:
    """Hit rate and wrong share among hits of such a cache over its thresholds, the highest threshold first."""
    scores = sorted((trial.reply.score for trial in trials if trial.counted and trial.reply.candidate), reverse=True)
    step = max(1, ceil(len(scores) / CURVE_POINTS))
    served = [_served(trials, score) for score in scores[step - 1 :: step]]
    return [(one["hit_rate"], one["wrong_among_hits"]) for one in served]


def _served(trials: Sequence[Trial], least: float) -> Figures:
    hits = [trial for trial in trials if trial.reply.candidate and trial.reply.score >= least]
    wrong = sum(not trial.right for trial in hits)
    return {
        "hit_rate": share(sum(trial.counted for trial in hits), sum(trial.counted for trial in trials)),
        "wrong_hits": wrong,
        "wrong_among_hits": share(wrong, len(hits)),
    }
