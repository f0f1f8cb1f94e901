"""The door for searching."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from infra.settings import Settings, load_settings
from infra.store.index import Index
from tests.tools.words import WordEmbedder
from tools.ingest import ingest
from tools.retrieve import app

BOILER = "The boiler in the cellar leaks. Call the plumber on Monday."
GARDEN = "Roses grow in the garden.\nThey need water in summer."


@pytest.fixture(autouse=True)
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_words(settings: Settings) -> WordEmbedder:
        return WordEmbedder()

    monkeypatch.setattr("tools.retrieve.open_embedder", open_words)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "boiler.txt").write_text(BOILER, encoding="utf-8")
    (folder / "garden.txt").write_text(GARDEN, encoding="utf-8")
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_hits_are_printed_as_json_with_exact_places(notes: Path):
    done = run("--docs", notes, "--json", "--k", "1", "Where does the boiler leak?")
    hits = json.loads(done.stdout)
    assert done.exit_code == 0
    assert [sorted(hit) for hit in hits] == [["doc", "end", "score", "start", "text"]]
    assert {key: hits[0][key] for key in ("doc", "start", "end", "text")} == {
        "doc": "boiler.txt",
        "start": 0,
        "end": len(BOILER),
        "text": BOILER,
    }


def test_nothing_in_a_document_or_its_name_acts_on_a_terminal(tmp_path: Path) -> None:
    folder = tmp_path / "bad\n\x1b]0;title\x07\u202e"
    folder.mkdir()
    (folder / "a\x1b[2J.txt").write_text("if boiler:\n\tleak\x1b[31m \u202eed\n", encoding="utf-8")
    (folder / "b\x1b[2J.pdf").write_bytes(b"%PDF-")
    found, missing = run("--docs", folder, "boiler"), run("--docs", folder / "none", "boiler")
    assert (found.exit_code, missing.exit_code) == (0, 2)
    shown = found.output + missing.output
    assert [c for c in shown if c not in "\n\t" and not c.isprintable()] == []
    assert "a [2J.txt (0-" in found.stdout
    assert "if boiler:\n\tleak [31m ed\n" in found.stdout
    assert f"not read: {tmp_path}/bad ]0;title /b [2J.pdf: the PDF is broken" in found.stderr


def test_what_was_ingested_is_searched_again_without_naming_it(notes: Path):
    run("--docs", notes, "boiler")
    done = run("--json", "garden roses")
    assert [hit["doc"] for hit in json.loads(done.stdout)] == ["garden.txt", "boiler.txt"]


def test_documents_given_are_brought_up_to_date_and_limit_the_search(notes: Path):
    run("--docs", notes, "boiler")
    (notes / "garden.txt").write_text("Tulips now.", encoding="utf-8")
    done = run("--json", "--docs", notes / "garden.txt", "boiler tulips")
    assert [(hit["doc"], hit["text"]) for hit in json.loads(done.stdout)] == [("garden.txt", "Tulips now.")]


def test_people_read_text_and_a_warning_when_no_answer_is_likely(notes: Path):
    done = run("--docs", notes, "Which opera did the astronaut sing on Jupiter?")
    assert done.exit_code == 0
    assert f"garden.txt (0-{len(GARDEN)})\n{GARDEN}\n" in done.stdout
    assert done.stderr.strip() == "These documents do not seem to hold an answer."
    assert run("--docs", notes, "Where does the boiler leak?").stderr == ""


def test_many_queries_are_answered_in_order(notes: Path, tmp_path: Path):
    queries, out = tmp_path / "q.jsonl", tmp_path / "hits.jsonl"
    queries.write_text(
        '{"id": "a", "query": "roses"}\n\n{"id": 2, "query": "boiler\u2028leak", "more": 1}\n', encoding="utf-8-sig"
    )
    done = run("--docs", notes, "--k", "1", "--queries", queries, "--out", out)
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert done.exit_code == 0
    assert [(line["id"], [hit["doc"] for hit in line["hits"]]) for line in lines] == [
        ("a", ["garden.txt"]),
        ("2", ["boiler.txt"]),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", 'line 2: not a {"id", "query"} object'),
        ("[" * 100_000, 'line 2: not a {"id", "query"} object'),
        ('{"id": "b"}', 'line 2: not a {"id", "query"} object'),
        ("[1]", 'line 2: not a {"id", "query"} object'),
        ('{"id": "b", "query": null}', "line 2: the query is not a text"),
        ('{"id": "b", "query": " "}', "query 2 (id b): The query is empty: say what to look for."),
    ],
)
def test_a_bad_line_is_named_before_anything_is_done(notes: Path, tmp_path: Path, line: str, message: str):
    queries, out = tmp_path / "q.jsonl", tmp_path / "hits.jsonl"
    queries.write_text('{"id": "a", "query": "roses"}\n' + line, encoding="utf-8")
    done = run("--docs", notes, "--queries", queries, "--out", out)
    assert (done.exit_code, done.stderr) == (2, f"docmind: --queries {queries}, {message}\n")
    assert not out.exists()


def test_wrong_use_is_told_in_one_line(tmp_path: Path):
    missing = tmp_path / "missing.jsonl"
    together = "docmind: --queries FILE and --out FILE go together, without a query of their own.\n"
    assert run().stderr == 'docmind: No query given: python -m tools.retrieve "what to look for"\n'
    assert run("--queries", missing).stderr == together
    assert run("x", "--queries", missing, "--out", missing).stderr == together
    assert run(" ").stderr == "docmind: The query is empty: say what to look for.\n"
    assert run("--queries", missing, "--out", missing).stderr.startswith(f"docmind: --queries {missing}: ")
    assert {run().exit_code, run(" ").exit_code, run("--queries", missing).exit_code} == {2}


def test_a_query_that_is_too_long_names_the_setting():
    done = run("x" * 20_001)
    assert (done.exit_code, done.stderr) == (
        2,
        "docmind: The query has 20,001 characters, 20,000 are allowed; DOCMIND_MAX_QUESTION_CHARS decides.\n",
    )


def test_without_documents_it_says_how_to_give_some(tmp_path: Path):
    done = run("boiler")
    assert (done.exit_code, done.stderr) == (
        2,
        "docmind: No documents yet: give --docs PATH, or run `docmind ingest PATH` first.\n",
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run("--docs", empty, "boiler").stderr == f"docmind: No readable documents under {empty}.\n"


def test_a_file_that_cannot_be_read_is_named_and_the_rest_is_searched(notes: Path):
    (notes / "broken.txt").write_bytes(b"\0\1\2\0")
    done = run("--docs", notes, "--json", "--k", "1", "boiler")
    assert json.loads(done.stdout)[0]["doc"] == "boiler.txt"
    assert "broken.txt" in done.stderr


def test_an_index_that_somebody_owns_is_searched_all_the_same(notes: Path, data_dir: Path):
    settings = load_settings(data_dir=data_dir)
    with Index.open(settings, WordEmbedder()) as index:
        ingest(index, WordEmbedder(), [notes], settings=settings.ingest)
        done = run("boiler")
    assert done.exit_code == 0
    assert "boiler" in done.stdout


def test_an_out_file_that_cannot_be_written_is_named(notes: Path, tmp_path: Path):
    queries = tmp_path / "q.jsonl"
    queries.write_text('{"id": "a", "query": "roses"}', encoding="utf-8")
    done = run("--docs", notes, "--queries", queries, "--out", tmp_path / "no" / "hits.jsonl")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"docmind: --out {tmp_path / 'no' / 'hits.jsonl'}: ")
