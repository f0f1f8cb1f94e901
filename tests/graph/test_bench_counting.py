"""The measurement of counting: it always runs, and what it measures is exact."""

from pathlib import Path

from graph.bench.counting import run
from tests.infra.llm.model_folder import write_model


def test_counting_is_measured_without_a_model_or_a_server() -> None:
    figures = run(None, None, tokens=2_000)
    assert figures["exact"] is True
    assert figures["tokens"] >= 2_000
    assert figures["messages"] % 2 == 1
    assert 0 < figures["warm_ratio_min"] <= figures["warm_ratio"]
    assert min(figures[f"{name}_ms"] for name in ("bare", "cold", "warm")) > 0
    assert "server_round_trip_ms" not in figures


def test_a_models_own_folder_is_measured(tmp_path: Path) -> None:
    figures = run(write_model(tmp_path), None, tokens=500)
    assert (figures["exact"], figures["tokens"] >= 500) == (True, True)
