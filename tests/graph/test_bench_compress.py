"""The measurement of compression: sets are read, cases counted, and what a note keeps is looked for word for word."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from graph.bench import compress as bench
from graph.bench.compress import OURS, Case, read_xquad, run, tables
from infra.errors import ConfigurationError
from infra.settings import load_settings
from tests.tools.words import WordEmbedder

ESSAY = "Ann Miller opened the bakery in 2021. " + " ".join(
    f"Baker number {n} bakes loaf {n * n} on day {n % 30} of the month, in oven {n % 7}." for n in range(120)
)
XQUAD = {
    "data": [
        {
            "paragraphs": [
                {"context": "Rome lies on the Tiber.", "qas": []},
                {
                    "context": "Bob sold the mill in 1998.",
                    "qas": [
                        {"question": "When did Bob sell the mill?", "answers": [{"answer_start": 21, "text": "1998"}]}
                    ],
                },
            ]
        }
    ]
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(bench, "open_embedder", lambda _: WordEmbedder())
    (tmp_path / "chunking").mkdir()
    (tmp_path / "chunking" / "essay.md").write_text(ESSAY)
    span = {"text": ESSAY[:37], "start": 0, "end": 37}
    asked = [{"question": "Who opened the bakery in 2021?", "corpus": "essay", "spans": [span]}]
    (tmp_path / "chunking" / "questions.json").write_text(json.dumps(asked))
    (tmp_path / "xquad_en").mkdir()
    (tmp_path / "xquad_en" / "xquad.en.json").write_text(json.dumps(XQUAD))
    return tmp_path


def test_the_place_of_an_answer_is_counted_in_its_article(data: Path) -> None:
    read = read_xquad(data / "xquad_en")
    [question] = read.questions
    [place] = question.gold
    assert read.documents[place.doc][place.start : place.end] == "1998"


def test_both_sets_are_measured_and_shown(data: Path, tmp_path: Path) -> None:
    figures = run(data, load_settings(data_dir=tmp_path / "d"))
    assert set(figures) == {"chunking", "xquad_en"}
    ours = figures["chunking"][OURS]
    assert (ours["questions"], ours["cases"], ours["facts"], ours["spans"]) == (1, 1, 1, 1)
    assert (ours["facts_kept"], ours["spans_kept"], ours["cases_kept"]) == (1.0, 1.0, 1.0)
    assert ours["saved"] == ours["saved_least"] > 0.5
    assert ours["methods"] == {"extract": 1}
    assert set(figures["xquad_en"]) == {OURS, "first_tokens", "question_words"}
    console = Console(width=160, record=True)
    tables(figures, console)
    assert "spans kept" in console.export_text()


def test_a_folder_without_the_sets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds none of chunking, xquad_en"):
        run(tmp_path, load_settings(data_dir=tmp_path / "d"))


def test_what_is_kept_is_looked_for_in_the_note_alone() -> None:
    case = Case("What of 1998 and a_b?", "In 1998. With a_b. The end.", ("In 1998. With a_b.", "The end."))
    row = bench.kept([case, case], ["In 1998.\nWith a_b.", "In 1998."])
    assert (row["facts"], row["facts_kept"]) == (4, 0.75)
    assert (row["spans"], row["spans_kept"], row["cases_kept"], row["cases_whole"]) == (4, 0.25, 0.5, 0.0)
    assert row["span_text_kept"] == pytest.approx((1 + 8 / 17) / 4, abs=0.001)
