"""The command that looks after the answer cache: what it prints, and what it leaves."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner, Result

from graph.cache import app
from infra.cache.calls import CALLS_FILE, CallCache
from infra.settings import CacheSettings
from tests.infra.cache.calls_world import Words
from tests.infra.cache.house import Tenant, quick

QUESTION = "Where do cats sleep?"
OTHERWISE = "Where do cats sleep now?"
HEAVY = "langgraph langchain_core onnxruntime qdrant_edge gptcache"
COMMANDS = ("why", "stats", "clear", "export", "audit")


def cache(*arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(app, list(arguments), **options)


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tenant]:
    """A process that answers: it has everything open."""
    quick(monkeypatch)
    monkeypatch.setenv("DOCMIND_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DOCMIND_TENANT", "one")
    tenant = Tenant(tmp_path)
    tenant.write("cats.md", "Cats sleep all day.\n")
    tenant.learn(QUESTION)
    assert tenant.answered(QUESTION) is not None
    assert tenant.answered(OTHERWISE) is None
    tenant.cache.stats()  # what was noted is written
    yield tenant
    tenant.close()


def test_why_shows_each_decision_with_its_reason_and_candidate_newest_first(one: Tenant) -> None:
    assert cache("why").stdout.splitlines() == [
        f"1970-01-12T13:46:40+00:00  miss  {OTHERWISE}",
        "    another question",
        f"    considered: {QUESTION}",
        f"1970-01-12T13:46:40+00:00  hit   {QUESTION}",
        "    the same question",
        f"    considered: {QUESTION}",
        f"1970-01-12T13:46:40+00:00  miss  {QUESTION}",
        "    nothing similar was asked before",
    ]
    told = json.loads(cache("why", f"  {QUESTION} ", "--limit", "1", "--json").stdout)
    assert told == [
        {
            "at": "1970-01-12T13:46:40+00:00",
            "outcome": "hit",
            "reason": "the same question",
            "question": QUESTION,
            "candidate": QUESTION,
        }
    ]


def test_why_says_when_nothing_was_decided(one: Tenant) -> None:
    done = cache("why", "Who?")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "Nothing was decided about this question yet.\n"
    assert json.loads(cache("why", "Who?", "--json").stdout) == []


def test_a_question_shown_steers_no_terminal(one: Tenant) -> None:
    one.ask("evil\x1b[31m\nquestion")
    one.cache.stats()
    done = cache("why")
    assert "evil [31m question" in done.stdout
    assert "\x1b" not in done.stdout


def test_stats_are_those_of_the_process_at_work(one: Tenant) -> None:
    told = json.loads(cache("stats", "--json").stdout)["answers"]
    stats = one.cache.stats()
    assert {name: told[name] for name in ("answers", "hits", "misses", "saved_tokens", "saved_seconds")} == {
        "answers": 1,
        "hits": 1,
        "misses": 2,
        "saved_tokens": 100,
        "saved_seconds": 2.0,
    }
    assert (told["hit_rate"], told["wrong_share"]) == (1 / 3, None)
    text = cache("stats").stdout
    assert "served       1 of 3 (33.3 %); 0 were near, 0 found the cache off" in text
    assert "wrong        0 of 0 that were audited" in text
    families = text_string_to_metric_families(cache("stats", "--prometheus").stdout)
    samples = {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}
    assert samples["docmind_answer_cache_decisions_total", "miss"] == stats.misses
    assert samples["docmind_answer_cache_saved_seconds_total",] == stats.saved_seconds


def test_stats_show_calls_by_kind(one: Tenant) -> None:
    calls = CallCache(one.index.folder / CALLS_FILE)
    for _ in range(2):
        calls.once("key", lambda: "reply", Words())
    calls.close()
    assert "model calls  1 of 2 (50.0 %) given again; 1 kept" in cache("stats").stdout
    assert json.loads(cache("stats", "--json").stdout)["calls"]["call"]["hit_rate"] == 0.5


def test_everything_is_exported_a_line_each_and_written_where_it_is_wanted(one: Tenant, tmp_path: Path) -> None:
    (line,) = cache("export").stdout.splitlines()
    told = json.loads(line)
    assert told["question"] == QUESTION
    assert told["documents"] == [str(one.docs / "cats.md")]
    assert told["cost"] == {"tokens": 100, "seconds": 2.0}
    assert told["created"] == "1970-01-12T13:46:40+00:00"
    out = tmp_path / "answers.jsonl"
    done = cache("export", str(one.docs), "--out", str(out))
    assert (done.stdout, done.stderr) == ("", f"1 answers written to {out}\n")
    assert out.read_text(encoding="utf-8") == f"{line}\n"
    assert cache("export", str(one.docs / "no.md")).stdout == ""
    refused = cache("export", "--out", str(tmp_path / "no" / "x"))
    assert refused.exit_code == 1
    assert "No such file or directory" in refused.stderr


def test_clearing_a_document_says_what_went_with_it(one: Tenant) -> None:
    calls = CallCache(one.index.folder / CALLS_FILE)
    calls.once("key", lambda: "reply", Words())
    calls.close()
    done = cache("clear", str(one.docs / "cats.md"))
    assert done.stdout == (
        "Answers removed: 1. Model replies and searches removed: 1, all that were kept; they may quote any document.\n"
    )
    assert one.ask(QUESTION).outcome == "miss"
    again = cache("clear", str(one.docs / "no.md"), "--json")
    assert json.loads(again.stdout) == {"answers": 0, "calls": 0, "documents": 0}
    assert "No documents at or under these paths" in cache("clear", str(one.docs / "no.md")).stderr


def test_clearing_everything_is_asked_about_on_a_terminal(one: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graph.cache.at_a_terminal", lambda: True)
    refused = cache("clear", input="n\n")
    assert refused.exit_code == 1
    assert one.answered(QUESTION) is not None
    assert json.loads(cache("clear", "--yes", "--json").stdout) == {"answers": 1, "calls": 0, "documents": None}
    assert "Answers removed: 0." in cache("clear", input="y\n").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_without_documents_there_is_one_line_and_nothing_is_made(command: str, tmp_path: Path) -> None:
    done = cache(command, "--tenant", "two", env={"DOCMIND_DATA_DIR": str(tmp_path / "nowhere")})
    assert done.exit_code == 2
    assert done.stderr.startswith("docmind: No documents of tenant two in ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_broken_file_is_one_line(one: Tenant) -> None:
    one.close()
    for path in one.index.folder.glob("library.sqlite3*"):
        path.unlink()
    (one.index.folder / "library.sqlite3").write_bytes(b"no database, " * 1_000)
    done = cache("stats")
    assert done.exit_code == 1
    assert done.stderr.startswith("docmind: the database ")
    assert done.stderr.count("\n") == 1


def test_the_how_to_names_every_command_and_every_setting_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "answer-cache.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"docmind cache {name}" not in page] == []
    rows = re.findall(r"^\| `DOCMIND_CACHE__(\w+)` \| `(\S+)` \|", page, re.MULTILINE)
    fields = CacheSettings.model_fields.items()
    assert {name: json.loads(value) for name, value in rows} == {name.upper(): field.default for name, field in fields}


def test_two_forms_of_the_figures_at_once_are_refused(one: Tenant) -> None:
    done = cache("stats", "--json", "--prometheus")
    assert (done.exit_code, done.stderr) == (2, "docmind: --json and --prometheus do not go together.\n")


def test_what_is_looked_at_loads_no_model_no_graph_and_no_vectors(one: Tenant) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from graph.cli import main;"
        "print(CliRunner().invoke(main, ['cache', 'stats', '--json']).output);"
        f"print('loaded:', sorted(set('{HEAVY}'.split()) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert '"hits": 1' in done.stdout
    assert "loaded: []" in done.stdout
