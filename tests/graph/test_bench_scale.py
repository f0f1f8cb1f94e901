"""The measurement of the embedded store says what it measured, and sees errors and losses."""

import pytest

from graph.bench import scale
from infra.store.library import Library


def test_every_size_is_measured_and_a_million_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "WRITTEN", 3)
    figures = scale.run((400, 800), queries=3)
    assert list(figures) == ["400", "800", "reading_while_writing", "predicted_1000000"]
    assert 0 < figures["800"]["all"]["p50"] <= figures["800"]["all"]["p95"]
    assert figures["800"]["stored_a_second"] > 0
    busy = figures["reading_while_writing"]
    assert (busy["errors"], busy["lost"]) == (0, 0)
    assert busy["reads"] >= scale.READERS


def test_a_change_that_is_lost_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "WRITTEN", 2)
    change = Library.change
    calls: list[int] = []

    def forgetful(library: Library, *given: object) -> None:
        calls.append(1)
        if len(calls) != 2:
            change(library, *given)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Library, "change", forgetful)
    assert scale.run((400,), queries=1)["reading_while_writing"]["lost"] == 1
