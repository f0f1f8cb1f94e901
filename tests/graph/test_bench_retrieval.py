"""The measurement of retrieval: sets are read into one form, and scored as they say."""

import json
from pathlib import Path
from typing import Any

import pytest

from graph.bench import peers, retrieval
from graph.bench.recall import abstention, found_units, scores
from graph.bench.sets import EvaluationSet, Place, Question, read_sets
from infra.errors import ConfigurationError
from infra.settings import load_settings
from tests.tools.words import WordEmbedder

RECORDS = {
    "week1/20260105_1100.txt": "Time: 20260105_11:00\nAnn: The boiler in the cellar leaks.\nBob: I call the plumber.\n",
    "week1/20260106_0900.txt": "Time: 20260106_09:00\nAnn: The roses bloom.\nBob: They need water.\n",
}
LIHUA: dict[str, Any] = {
    "1": {
        "question": "What leaks in the cellar?",
        "answer": "the boiler",
        "evidence": "20260105_11:00",
        "type": "Single",
    },
    "2": {
        "question": "Did the roses bloom after the boiler leaked?",
        "answer": "Yes",
        "evidence": "20260105_11:00<and>20260106_09:00",
        "type": "Multi",
    },
    "3": {
        "question": "Which opera did Zoe sing?",
        "answer": "Insufficient",
        "evidence": "N/A",
        "type": "Null",
    },
    "4": {"question": "What blooms?", "answer": "roses\t20260106_09:00", "evidence": "Which", "type": "Single"},
}
MANUAL = [
    {
        "chunk_link": "https://docs.x.com/en/docs/pumps#start",
        "chunk_heading": "Start",
        "text": "Start\n\nPress red.\n",
    },
    {"chunk_link": "https://docs.x.com/en/docs/pumps#stop", "chunk_heading": "Stop", "text": "Stop\n\nPress blue."},
]
ASKED = [{"question": "How to stop pumps?", "correct_chunks": ["https://docs.x.com/en/docs/pumps#stop"]}]
SPANS = [{"question": "Who leads?", "corpus": "essay", "spans": [{"text": "Ann leads", "start": 10, "end": 19}]}]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name, text in RECORDS.items():
        write(tmp_path / "lihua_world" / "records" / name, text)
    write(tmp_path / "lihua_world" / "questions.json", json.dumps(LIHUA))
    write(tmp_path / "anthropic_docs" / "docs.json", json.dumps(MANUAL))
    write(tmp_path / "anthropic_docs" / "questions.json", json.dumps(ASKED))
    write(tmp_path / "chunking" / "essay.md", "Long ago. Ann leads the choir.")
    write(tmp_path / "chunking" / "questions.json", json.dumps(SPANS))
    return tmp_path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def test_every_set_is_read_into_documents_units_and_questions_with_their_places(data: Path):
    lihua, manual, spans = read_sets(data)
    whole = {name[6:]: Place(name, 0, len(text)) for name, text in RECORDS.items()}
    first, second = whole["20260105_1100.txt"], whole["20260106_0900.txt"]
    assert lihua.documents == RECORDS
    assert [(q.kind, q.gold) for q in lihua.questions] == [
        ("single", (first,)),
        ("multi", (first, second)),
        ("null", ()),
        ("single", (second,)),
    ]
    page = manual.documents["docs/pumps.md"]
    assert page == "## Start\n\nPress red.\n\n## Stop\n\nPress blue.\n\n"
    assert [page[unit.start : unit.end] for unit in manual.units] == [
        "## Start\n\nPress red.\n\n",
        "## Stop\n\nPress blue.\n\n",
    ]
    assert manual.questions[0].gold == (manual.units[1],)
    gold = spans.questions[0].gold[0]
    assert (spans.spans, spans.documents[gold.doc][gold.start : gold.end]) == (True, "Ann leads")


def test_a_folder_without_sets_is_an_error_that_says_what_is_missing(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"holds none of lihua_world, anthropic_docs, chunking"):
        read_sets(tmp_path)


def test_a_damaged_set_is_an_error_that_names_the_file(data: Path):
    write(data / "chunking" / "questions.json", "[")
    with pytest.raises(ConfigurationError, match=r"questions\.json cannot be read"):
        read_sets(data)


def units(*places: tuple[str, int, int]) -> dict[str, list[Place]]:
    found: dict[str, list[Place]] = {}
    for place in places:
        found.setdefault(place[0], []).append(Place(*place))
    return found


def test_a_place_finds_the_units_that_hold_its_better_half_or_of_which_it_holds_theirs():
    known = units(("a", 0, 10), ("a", 10, 100), ("a", 100, 200))
    found = found_units(known, [Place("a", 5, 60), Place("a", 90, 170), Place("b", 0, 50), Place("a", 0, 9)])
    assert found == [Place("a", 10, 100), Place("a", 0, 10), Place("a", 100, 200)]


def test_recall_is_the_share_of_the_gold_among_the_first_units():
    one, two, three = (Place("a", 10 * n, 10 * n + 10) for n in range(3))
    questions = (Question("q", "single", (one,)), Question("q", "multi", (one, three)), Question("q", "null", ()))
    evaluated = EvaluationSet("x", {}, (one, two, three), questions)
    assert scores(evaluated, [[two, one], [one, two, three], [one]], (1, 2)) == {
        "single_recall@1": 0.0,
        "single_recall@2": 1.0,
        "multi_recall@1": 0.5,
        "multi_recall@2": 0.5,
        "multi_all_gold@5": 1.0,
    }


def test_spans_are_scored_by_characters_of_the_first_places():
    questions = (Question("q", "single", (Place("a", 0, 10), Place("b", 0, 10))),)
    evaluated = EvaluationSet("x", {}, (), questions, spans=True)
    places = [Place("a", 5, 25), Place("a", 5, 10), *[Place("c", 0, 5)] * 3, Place("b", 0, 10)]
    assert scores(evaluated, [places], ()) == {"span_recall@5": 0.25, "span_precision@5": round(5 / 40, 4)}


def test_abstention_counts_pairs_told_apart_and_what_is_refused_when_nearly_all_are_kept():
    known = [Question("a b c", "single", (Place("a", 0, 1),)), Question("a b c d e f", "single", (Place("a", 0, 1),))]
    unknown = [Question("a b c d", "null", ()), Question("a b c d e f g h", "null", ())]
    assert abstention([*known, *unknown], [0.9, 0.3, 0.3, 0.1]) == {
        "auc": 0.875,
        "auc_length_matched": round(2.5 / 3, 4),
        "refused_at_95_kept": 1.0,
    }


def test_all_sets_are_measured_beside_all_peers(data: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retrieval, "open_embedder", lambda _: WordEmbedder())
    figures = retrieval.run(data, load_settings())
    assert list(figures) == ["lihua_world", "anthropic_docs", "chunking"]
    for rows in figures.values():
        assert list(rows) == ["aim_default", "aim_all_on", "docmind", "docmind_all_on", *peers.PEERS]
        assert all(row["questions"] and row["milliseconds"]["p50"] > 0 for row in list(rows.values())[2:])
    assert figures["lihua_world"]["docmind"]["single_recall@5"] == 1.0
    assert figures["anthropic_docs"]["docmind"]["single_recall@3"] == 1.0
    assert figures["chunking"]["docmind"]["span_recall@5"] == 1.0
    assert set(figures["lihua_world"]["aim_default"]) <= set(figures["lihua_world"]["docmind_all_on"])
    assert (data_dir / "evaluation" / "lihua_world" / next(iter(RECORDS))).is_file()
