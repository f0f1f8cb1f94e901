"""The measurement of answers: each question is worked on, whatever was asked before."""

import json
from pathlib import Path

import pytest

from graph.bench import answers
from infra import resources
from infra.settings import Settings
from tests.infra.cache.house import quick
from tests.tools.words import WordEmbedder

ASKED = {"question": "What leaks water in the cellar?", "answer": "the boiler", "evidence": "20260105_11:00"}


def test_a_question_that_comes_twice_is_answered_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    monkeypatch.setattr(resources, "open_embedder", lambda _: WordEmbedder())
    records = tmp_path / "records"
    records.mkdir()
    text = "Time: 20260105_11:00\nAnn: The old boiler in the cellar leaks water.\n"
    (records / "20260105_1100.txt").write_text(text, encoding="utf-8")
    questions = {name: {**ASKED, "type": "Single"} for name in "12"}
    (tmp_path / "questions.json").write_text(json.dumps(questions), encoding="utf-8")
    out = tmp_path / "answers.jsonl"
    settings = Settings(backend="engine", data_dir=tmp_path / "data")
    figures = answers.run(settings, tmp_path, out, concurrency=1)
    first, second = answers.read_answers(out).values()
    assert [one["cache"]["answer"] for one in (first, second)] == ["off", "off"]
    assert first["usage"]["llm_calls"] == second["usage"]["llm_calls"] == figures["llm_calls"]["p50"] > 0
