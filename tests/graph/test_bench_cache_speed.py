"""The measurement of the answer cache's speed: every kind is asked, and a wrong answer is seen."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from graph.bench import __main__ as door
from graph.bench import cache_fill, cache_speed
from infra import resources
from infra.errors import ConfigurationError
from infra.settings import Settings
from tests.infra.cache.house import quick
from tests.tools.words import WordEmbedder

ENTRIES, ASKED = 60, 3


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    monkeypatch.setattr(resources, "open_embedder", lambda _: WordEmbedder())
    monkeypatch.setattr(cache_fill, "DOCUMENTS", 2)
    monkeypatch.setattr(cache_speed, "WARMING", 1)
    monkeypatch.setattr(cache_speed, "ASKED_AT_ONCE", 16)
    monkeypatch.setattr(cache_speed, "THREADS", 4)


def measured(folder: Path) -> dict[str, Any]:
    settings = Settings(data_dir=folder)
    return cache_speed.run(settings, entries=ENTRIES, asked=ASKED, console=Console(file=StringIO()))


def test_hits_and_misses_are_timed_beside_the_bare_embedding(tmp_path: Path) -> None:
    figures = measured(tmp_path)
    assert figures["entries"] == ENTRIES
    for kind in ("same_text", "rephrased"):
        assert figures[kind]["outcomes"] == {"hit": ASKED}
        assert (figures[kind]["as_meant"], figures[kind]["wrong"]) == (1.0, 0)
    for kind in ("near", "miss"):
        assert sum(figures[kind]["outcomes"].values()) == ASKED
        assert (figures[kind]["outcomes"].get("hit", 0), figures[kind]["wrong"]) == (0, 0)
    for kind in cache_fill.KINDS:
        assert 0 < figures[kind]["p50"] <= figures[kind]["p95"]
        assert figures[kind]["of_embedding"] > 0
    assert (figures["threads"]["questions"], figures["threads"]["wrong"]) == (16, 0)


def test_an_answer_to_another_question_is_counted_as_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_fill, "_answer", lambda *_: json.dumps({"question": "What else?"}))
    figures = measured(tmp_path)
    assert figures["same_text"]["wrong"] == ASKED
    assert figures["threads"]["wrong"] > 0


def test_no_question_is_asked_twice_or_stored_and_asked_as_new() -> None:
    plan = cache_fill.planned(500, 20)
    asked = [question for found in plan.asked.values() for question, _ in found]
    assert len(set(asked)) == len(asked) == 4 * 20
    assert len(set(plan.stored)) == 500
    assert {question for question, meant in plan.asked["near"] + plan.asked["miss"] if not meant}.isdisjoint(
        plan.stored
    )
    assert all(meant in plan.stored for _, meant in plan.asked["same_text"] + plan.asked["rephrased"])
    assert not any("Berne" in question for question in cache_fill.planned(100_000, 20).stored)  # Bern, otherwise spelt
    assert cache_fill.planned(500, 20) == plan


def test_more_entries_than_there_are_questions_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^--entries 9,000,000: there are questions for \d+,\d+ at most$"):
        cache_fill.planned(9_000_000, 1)


def test_the_command_ends_with_one_line_of_json() -> None:
    done = CliRunner().invoke(door.app, ["cache-speed", "--entries", f"{ENTRIES}", "--asked", f"{ASKED}"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[-1])["entries"] == ENTRIES
