"""What the answer cache is measured against: an aim that is missed is named."""

from collections.abc import Callable
from typing import Any

import pytest

from graph.bench.cache_aims import aims

AIMED: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (lambda kinds: kinds["typo"].update(hit_rate=0.69), "hits: typo"),
    (lambda kinds: kinds["modal"].update(hits=5, hit_rate=0.0125), "negatives of any kind pass"),
    (
        lambda kinds: kinds["unit"].update(hits=1, hit_rate=0.0025),
        "negatives pass of number, date, unit, negation, question word, roles",
    ),
]


@pytest.mark.parametrize(("worse", "missed"), AIMED)
def test_an_aim_that_is_missed_is_named(worse: Callable[[dict[str, Any]], None], missed: str) -> None:
    hits = {kind: {"pairs": 400, "hits": 400, "hit_rate": 1.0} for kind in ("case", "typo")}
    passes = {kind: {"pairs": 400, "hits": 0, "hit_rate": 0.0} for kind in ("unit", "modal", "tense")}
    kinds: dict[str, Any] = {**hits, **passes}
    generated: dict[str, Any] = {"generated": {"ours": {"by_kind": kinds}}}
    assert all(aim["met"] for aim in aims(generated).values())
    worse(kinds)
    assert [name for name, aim in aims(generated).items() if not aim["met"]] == [missed]
