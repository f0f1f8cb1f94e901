"""Scores of retrieval: recall of units, recall and precision of spans, and how well a signal tells what has no answer.

A system gives places, best first. A place finds every unit of which it holds the better half, and the units that hold
the better half of it (a passage lies in a section; a short section lies in a passage). Pure.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from graph.bench.sets import EvaluationSet, Place, Question

SPAN_PLACES = 5
LENGTH_MATCHED_WORDS = 2
"""Words by which two questions may differ in length to be compared in the length-matched figure."""

KEPT = 0.95


def scores(evaluated: EvaluationSet, found: Sequence[Sequence[Place]], cutoffs: Sequence[int]) -> dict[str, float]:
    """Return the figures of one system on one set, by name; questions without an answer are left out.

    Args:
        evaluated: the set.
        found: for each question the places a system gave, best first.
        cutoffs: the ranks recall is measured at; sets of spans are measured at ``SPAN_PLACES`` places.
    """
    pairs = [(question, places) for question, places in zip(evaluated.questions, found, strict=True) if question.gold]
    if evaluated.spans:
        covered = [_spans(question, places[:SPAN_PLACES]) for question, places in pairs]
        return {
            f"span_recall@{SPAN_PLACES}": _mean([recall for recall, _ in covered]),
            f"span_precision@{SPAN_PLACES}": _mean([precision for _, precision in covered]),
        }
    units: dict[str, list[Place]] = {}
    for unit in evaluated.units:
        units.setdefault(unit.doc, []).append(unit)
    figures: dict[str, float] = {}
    for kind in dict.fromkeys(question.kind for question, _ in pairs):
        ranked = [(set(q.gold), found_units(units, places)) for q, places in pairs if q.kind == kind]
        for cutoff in cutoffs:
            hits = [len(gold & set(names[:cutoff])) / len(gold) for gold, names in ranked]
            figures[f"{kind}_recall@{cutoff}"] = _mean(hits)
        if kind == "multi":
            figures["multi_all_gold@5"] = _mean([float(gold <= set(names[:5])) for gold, names in ranked])
    return figures


def found_units(units: Mapping[str, Sequence[Place]], places: Sequence[Place]) -> list[Place]:
    """Return the units that ``places`` find, each once, in the order they are found."""
    found: dict[Place, None] = {}
    for place in places:
        shares = [(overlap(unit, place), unit) for unit in units.get(place.doc, ())]
        for shared, unit in sorted(shares, key=lambda pair: -pair[0]):
            if shared and 2 * shared >= min(unit.end - unit.start, place.end - place.start):
                found[unit] = None
    return list(found)


def overlap(one: Place, other: Place) -> int:
    """Return how many characters two places share."""
    return max(0, min(one.end, other.end) - max(one.start, other.start)) if one.doc == other.doc else 0


def abstention(questions: Sequence[Question], probabilities: Sequence[float]) -> dict[str, float]:
    """Return how well a signal tells questions with an answer from those without, which the set must have.

    ``auc`` is the share of pairs told apart, ``auc_length_matched`` that of pairs of about the same length, and
    ``refused`` the share without an answer that falls under the threshold that keeps 95 % of the others.
    """
    signal = np.asarray(probabilities)
    words = np.array([len(question.text.split()) for question in questions])
    known = np.array([bool(question.gold) for question in questions])
    above = (signal[known][:, None] > signal[~known]) + 0.5 * (signal[known][:, None] == signal[~known])
    matched = np.abs(words[known][:, None] - words[~known]) <= LENGTH_MATCHED_WORDS
    threshold = np.quantile(signal[known], 1 - KEPT)
    return {
        "auc": _mean(above),
        "auc_length_matched": _mean(above[matched]),
        "refused_at_95_kept": _mean(signal[~known] < threshold),
    }


def _spans(question: Question, places: Sequence[Place]) -> tuple[float, float]:
    """Share of the gold characters that the places hold, and share of the places' characters that are gold."""
    wanted = held = 0
    for gold in question.gold:
        inside = np.zeros(gold.end - gold.start, dtype=bool)
        for place in places:
            if place.doc == gold.doc:
                inside[max(0, place.start - gold.start) : max(0, place.end - gold.start)] = True
        wanted += len(inside)
        held += int(inside.sum())
    given = sum(place.end - place.start for place in places)
    return held / wanted, held / given if given else 0.0


def _mean(values: Sequence[float] | np.ndarray) -> float:
    return round(float(np.mean(values)), 4) if len(values) else 0.0
