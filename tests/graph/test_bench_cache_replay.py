"""The replay over the answer cache: what it counts as saved, as kept and as wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from graph.bench import cache_replay
from graph.bench.__main__ import app
from graph.bench.rephrase.rules import Source
from graph.bench.rephrase.text import read
from graph.bench.rephrase.words import load_words
from infra import resources
from tests.infra.cache.house import quick
from tests.tools.words import WordEmbedder

RECORDS = {
    "20260105_1100": "Ann: The old boiler in the cellar leaks water since Monday.",
    "20260106_0900": "Ann: The red roses in the garden bloom since Tuesday.",
}
QUESTIONS = {
    "1": {"question": "What leaks water in the cellar?", "answer": "a", "evidence": "20260105_11:00", "type": "Single"},
    "2": {"question": "Which opera did Zoe sing?", "answer": "Insufficient", "evidence": "N/A", "type": "Null"},
    "3": {"question": "What blooms in the garden?", "answer": "a", "evidence": "20260106_09:00", "type": "Single"},
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    quick(monkeypatch)
    monkeypatch.setattr(resources, "open_embedder", lambda _: WordEmbedder())
    monkeypatch.setattr(cache_replay, "AGAIN", 2)
    monkeypatch.setattr(cache_replay, "WARMING", 0)
    monkeypatch.setattr(cache_replay, "PREFILL", 1e6)
    monkeypatch.setattr(cache_replay, "DECODE", 1e5)
    records = tmp_path / "lihua_world" / "records"
    records.mkdir(parents=True)
    for name, text in RECORDS.items():
        (records / f"{name}.txt").write_text(f"Time: {name}\n{text}\n", encoding="utf-8")
    (tmp_path / "lihua_world" / "questions.json").write_text(json.dumps(QUESTIONS), encoding="utf-8")
    return tmp_path / "lihua_world"


def test_questions_that_come_again_cost_no_calls_and_what_a_miss_costs_is_told(data: Path) -> None:
    given = ["cache-replay", "--data", str(data), "--questions", "2", "--misses", "1"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert (figures["questions"], figures["asked"]) == (2, 6)
    identical = figures["identical"]
    assert identical["calls_without"] == 3 * identical["calls_with"] > 0
    assert (identical["saved"], identical["saved_of_repeats"], identical["wrong_hits"]) == (0.6667, 1.0, 0)
    assert figures["kept"] + sum(figures["not_kept"].values()) / 2 == 1
    assert figures["rephrased"]["calls_with"] < figures["rephrased"]["calls_without"]
    miss = figures["miss"]
    assert (miss["questions"], miss["outcomes"]) == (1, {"miss": 1})
    assert 0 < miss["recall"]["p50"] < miss["with"]["p50"]


def test_a_question_comes_in_its_own_words_first_and_as_often_as_all_others() -> None:
    asked = cache_replay.replay(["a", "b"], again=lambda n: [f"{n}{turn}" for turn in range(8)], seed=3)
    words = [[one.text for one in asked if one.number == number] for number in (0, 1)]
    assert words == [["a", *(f"0{turn}" for turn in range(8))], ["b", *(f"1{turn}" for turn in range(8))]]
    assert [one.number for one in asked] != sorted(one.number for one in asked)


def test_rephrasings_are_of_many_kinds_and_none_is_the_question_itself() -> None:
    words = load_words()
    question = read("What is the name of the dog that Ann bought in May?", words)
    found = cache_replay.variants(question, Source(words), seed=1)
    assert len(found) == 8
    assert len(set(found)) >= 6
    assert question.text not in found
    assert found == cache_replay.variants(question, Source(words), seed=1)


def test_a_hit_that_cites_other_documents_is_wrong() -> None:
    def answer(doc: str, cache: str, calls: int, *, abstained: bool = False) -> dict[str, Any]:
        cited = [] if abstained else [{"doc": doc}]
        return {
            "usage": {"llm_calls": calls},
            "cache": {"answer": cache},
            "citations": cited,
            "abstained": abstained,
        }

    asked = [cache_replay.Asking(0, words) for words in "abcd"]
    answers = [answer("x", "miss", 2), *[answer("x", "hit", 0)] * 3]
    off = [answer(doc, "off", 2) for doc in "xxy"]
    fresh = [*off, answer("", "off", 2, abstained=True)]
    found = cache_replay.saved(asked, answers, fresh, {0})
    assert (found["hits"], found["wrong_hits"], found["hits_where_fresh_abstains"]) == (3, 1, 1)
    assert (found["calls_without"], found["calls_with"], found["saved"], found["saved_of_repeats"]) == (8, 2, 0.75, 1.0)
