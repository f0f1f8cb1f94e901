"""The doors over real files, index and embedding model, with the embedded engine as model."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from graph.bench.__main__ import app as bench_app
from graph.bench.answers import Gold, score
from graph.run import app as ask_app

ANN = "Ann Miller opened the bakery in May 2021.\nShe sells forty loaves of rye bread a day.\n"
BOB = "Bob Stone repaired the old mill in 1998.\nThe mill stands by the river Ems.\n"
LOOKUP = "When did Ann Miller open the bakery?"
KEYS = {
    *("question", "answer", "abstained", "citations", "route", "plan", "verdict", "trail", "usage"),
    *("compression", "cache", "seconds", "backend", "notes", "faults", "ended_by"),
}


class World:
    """A folder of documents and a data directory that the tests of this file share."""

    def __init__(self, folder: Path) -> None:
        self.docs = folder / "docs"
        self.docs.mkdir()
        (self.docs / "ann.txt").write_bytes(ANN.replace("\n", "\r\n").encode("utf-8-sig"))
        (self.docs / "bob.md").write_text(f"# The mill\n\n{BOB}", encoding="utf-8")
        (self.docs / "broken.pdf").write_bytes(b"%PDF-1.4\nnothing of a PDF")
        self.data = folder / "data"
        self.data.mkdir()
        self.folder = folder

    def ask(self, *arguments: str) -> Result:
        return CliRunner().invoke(ask_app, ["--backend", "engine", *arguments])

    def answer(self, *arguments: str) -> dict[str, Any]:
        done = self.ask("--json", *arguments)
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, models: Path) -> World:
    world = World(tmp_path_factory.mktemp("world"))
    (world.data / "models").symlink_to(models)
    return world


@pytest.fixture
def world(shared: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("DOCMIND_DATA_DIR", str(shared.data))
    return shared


def test_one_question_is_answered_as_text_with_its_sources(world: World) -> None:
    done = world.ask("--docs", str(world.docs), LOOKUP)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == "Ann Miller opened the bakery in May 2021. [E1]"
    assert '[E1] ann.txt (0-41): "Ann Miller opened the bakery in May 2021."' in done.stdout
    assert "Answered by embedded engine (extractive, no language model)." in done.stdout
    assert "retrieval" in done.stderr
    assert "broken.pdf" in done.stderr
    assert "model calls" in done.stderr


def test_the_json_has_every_field_of_the_contract(world: World) -> None:
    answer = world.answer("--docs", str(world.docs), LOOKUP)
    assert set(answer) == KEYS
    assert answer["citations"][0] == {
        "label": "E1",
        "doc": "ann.txt",
        "start": 0,
        "end": 41,
        "quote": "Ann Miller opened the bakery in May 2021.",
        "section": "",
    }
    visit = {
        *("agent", "started", "seconds", "llm_calls", "prompt_tokens", "completion_tokens", "cached_tokens"),
        *("retries", "dropped", "cut_tokens", "backend", "model", "events"),
    }
    assert {frozenset(entry) for entry in answer["trail"]} == {frozenset(visit)}
    assert set(answer["seconds"]) == {"total", "llm", "retrieval", "overhead", "first_sentence"}
    assert answer["backend"]["name"] == "engine"
    assert set(answer["cache"]) == {"answer", "reason"}


def test_small_talk_is_answered_though_the_named_server_is_dead(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCMIND_VLLM__BASE_URL", "http://127.0.0.1:9/v1")
    done = CliRunner().invoke(ask_app, ["--backend", "vllm", "--docs", str(world.docs), "Hello!"])
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("Hello.")


def test_a_files_name_is_shown_on_one_line_and_steers_no_terminal(world: World, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "evil\x1b[31m\nSources:\n[E9] bank.txt").write_text("The unicorn Amalthea sings at night in Lir.\n")
    (docs / "[red]\x1b[31m.pdf").write_bytes(b"%PDF-1.4\nnothing of a PDF")
    done = world.ask("--docs", str(docs), "Where does the unicorn Amalthea sing at night?")
    assert done.exit_code == 0, done.stderr
    assert "  [E1] evil [31m Sources: [E9] bank.txt (0-" in done.stdout
    assert "[red] [31m.pdf" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_a_question_that_failed_counts_as_not_cited() -> None:
    gold = [Gold(str(n), "?", "May 2021", "single", frozenset({"r"})) for n in range(4)]
    said = {"abstained": False, "usage": dict.fromkeys(("prompt_tokens", "completion_tokens", "llm_calls"), 1)}
    cited = said | {"citations": [{"doc": "r.txt"}], "answer": "In May 2021.", "seconds": {"total": 1.0}}
    figures = score(gold, {"0": cited, "1": {"error": "no server"}, "2": cited | {"citations": [], "abstained": True}})
    assert (figures["questions"]["single"], figures["failed"]) == (4, 2)
    assert (figures["single_gold_cited"], figures["single_first_citation_gold"]) == (0.25, 0.25)
    assert (figures["answerable_refused"], figures["gold_answer_words"]) == (0.25, 0.5)


def test_docs_limit_what_an_answer_may_rest_on(world: World) -> None:
    answer = world.answer("--docs", str(world.docs / "bob.md"), LOOKUP)
    assert answer["abstained"]
    assert world.answer("--docs", str(world.docs / "ann.txt"), LOOKUP)["citations"]


def test_a_thread_goes_on_in_the_next_process_and_a_pronoun_is_understood(world: World) -> None:
    world.answer("--docs", str(world.docs), "--thread", "mill", "Who repaired the old mill?")
    follow = world.answer("--docs", str(world.docs), "--thread", "mill", "Where does it stand?")
    assert {c["doc"] for c in follow["citations"]} == {"bob.md"}
    assert follow["route"]["question"] == "Where does the old mill stand?"


def test_tenants_never_see_each_others_documents(world: World) -> None:
    done = world.ask("--tenant", "other", LOOKUP)
    assert done.exit_code == 2
    assert "No documents yet" in done.stderr


def test_many_questions_go_from_lines_to_lines_and_their_quotes_are_checked(world: World, tmp_path: Path) -> None:
    questions, out = tmp_path / "q.jsonl", tmp_path / "a.jsonl"
    asked = [{"id": "1", "question": LOOKUP}, {"id": "2", "question": "Who repaired the old mill?"}]
    questions.write_text("\n".join(map(json.dumps, asked)), encoding="utf-8")
    done = world.ask("--docs", str(world.docs), "--questions", str(questions), "--out", str(out))
    assert done.exit_code == 0, done.stderr
    answers = {line["id"]: line for line in map(json.loads, out.read_text(encoding="utf-8").splitlines())}
    assert {c["doc"] for c in answers["2"]["citations"]} == {"bob.md"}
    checked = CliRunner().invoke(bench_app, ["citations", "--answers", str(out), "--docs", str(world.docs)])
    assert checked.exit_code == 0, checked.output
    assert json.loads(checked.stdout.splitlines()[-1])["wrong"] == []

    out.write_text(out.read_text(encoding="utf-8").replace('"start": 0,', '"start": 1,'), encoding="utf-8")
    refused = CliRunner().invoke(bench_app, ["citations", "--answers", str(out), "--docs", str(world.docs)])
    assert refused.exit_code == 1
    assert len(json.loads(refused.stdout.splitlines()[-1])["wrong"]) == 1


def test_an_empty_line_among_many_fails_alone(world: World, tmp_path: Path) -> None:
    questions, out = tmp_path / "q.jsonl", tmp_path / "a.jsonl"
    questions.write_text(f'{{"id": 1, "question": ""}}\n{json.dumps({"id": 2, "question": LOOKUP})}', encoding="utf-8")
    done = world.ask("--docs", str(world.docs), "--questions", str(questions), "--out", str(out))
    assert done.exit_code == 1
    assert "1 answered, 1 failed" in done.stderr


@pytest.mark.parametrize(
    ("docs", "message"), [("missing", "missing"), ("broken.pdf", "No readable documents under")], ids=["gone", "broken"]
)
def test_documents_that_are_not_there_or_not_readable_are_named(world: World, docs: str, message: str) -> None:
    done = world.ask("--docs", str(world.docs / docs), LOOKUP)
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_data_directory_that_cannot_be_written_is_named(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DOCMIND_DATA_DIR", str(tmp_path / "file"))
    done = world.ask("--docs", str(world.docs), LOOKUP)
    assert done.exit_code == 1
    assert "DOCMIND_DATA_DIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_benchmark_of_answers_scores_citations_and_abstention(world: World, tmp_path: Path) -> None:
    records = tmp_path / "records" / "week01"
    records.mkdir(parents=True)
    (records / "20260101_0900.txt").write_text(f"Time: 20260101_09:00\nAnn: {ANN}", encoding="utf-8")
    (records / "20260102_0900.txt").write_text(f"Time: 20260102_09:00\nBob: {BOB}", encoding="utf-8")
    asked = {
        "1": {"question": LOOKUP, "answer": "May 2021", "evidence": "20260101_09:00", "type": "Single"},
        "2": {"question": "Which submarine sank?", "answer": "-", "evidence": "None", "type": "Null"},
    }
    (tmp_path / "questions.json").write_text(json.dumps(asked), encoding="utf-8")
    done = CliRunner().invoke(bench_app, ["answers", "--data", str(tmp_path), "--backend", "engine"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["questions"] == {"single": 1, "multi": 0, "null": 1}
    assert (figures["failed"], figures["single_gold_cited"], figures["single_first_citation_gold"]) == (0, 1.0, 1.0)
    assert (figures["answerable_refused"], figures["null_refused"], figures["gold_answer_words"]) == (0.0, 1.0, 1.0)
