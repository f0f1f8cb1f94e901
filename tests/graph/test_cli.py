"""The one command: what it lists, what it loads, how it passes arguments on."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graph.cli import DOORS, main
from graph.dev import QUIET, check_free, command_line
from graph.run import app as ask_app
from infra.errors import ConfigurationError

HEAVY = "langgraph langchain_core llama_index qdrant_edge onnxruntime openai numpy"


def test_the_overview_lists_every_door_and_loads_none() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from graph.cli import main;"
        "print(CliRunner().invoke(main, ['--help']).output);"
        f"print('loaded:', sorted(set('{HEAVY}'.split()) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(f" {name} " in done.stdout for name in DOORS)
    assert "loaded: []" in done.stdout


@pytest.mark.parametrize("name", DOORS)
def test_every_door_explains_itself(name: str) -> None:
    done = CliRunner().invoke(main, [name, "--help"])
    assert done.exit_code == 0
    assert f"Usage: docmind {name}" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "No question given"),
        ([""], "The question is empty"),
        (["a" * 30_000], "The question has 30,000 characters, 20,000 are allowed; DOCMIND_MAX_QUESTION_CHARS decides"),
        (["Who?", "--backend", "gpt"], "DOCMIND_BACKEND='gpt': Input should be"),
        (["Who?", "--tenant", "../x"], "DOCMIND_TENANT='../x': String should match pattern"),
        (["Who?"], "No documents yet: give --docs PATH, or run `docmind ingest PATH` first"),
        (["--questions", "q.jsonl"], "--questions FILE and --out FILE go together"),
        (["Who?", "--questions", "q.jsonl", "--out", "a.jsonl"], "go together, without a question"),
        (["--questions", "/nowhere/q.jsonl", "--out", "a.jsonl"], "--questions /nowhere/q.jsonl"),
        (["--questions", "a.jsonl", "--out", "./a.jsonl"], "--out must not be the file of --questions"),
        (["--questions", "q.jsonl", "--out", "/nowhere/a.jsonl"], "give a file in a folder that exists"),
        (["--questions", "q.jsonl", "--out", "a.jsonl", "--thread", "t"], "--thread is for one question"),
        (["Who?", "--docs", ""], "--docs needs a path"),
        (["Who?", "--resume"], "--resume and --concurrency go with --questions FILE"),
        (["Who?", "--concurrency", "2"], "--resume and --concurrency go with --questions FILE"),
        (["Who?", "--thread", " "], "--thread needs a name"),
        (["Who?", "--thread", "a\udcff"], "--thread needs a name, in UTF-8"),
    ],
)
def test_wrong_use_ends_with_code_2_and_one_line_that_says_what_to_do(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(ask_app, [*arguments, *([] if "--backend" in arguments else ["--backend", "engine"])])
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.output + done.stderr


def test_the_server_is_started_on_loopback_with_nothing_reported(tmp_path: Path) -> None:
    config = tmp_path / "langgraph.json"
    config.write_text("{}", encoding="utf-8")
    command = command_line(2024, config)
    assert command[1:] == ["dev", "--host", "127.0.0.1", "--port", "2024", "--config", str(config), "--no-browser"]
    assert QUIET["LANGGRAPH_CLI_NO_ANALYTICS"] == QUIET["LANGGRAPH_NO_VERSION_CHECK"] == "1"


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="is in use; choose another with --port"):
            check_free(taken.getsockname()[1])


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="give --config"):
        command_line(2024, tmp_path / "none.json")


def test_what_a_door_raises_becomes_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["bench", "answers", "--data", str(tmp_path / "nowhere")])
    assert done.exit_code == 2
    assert done.stderr.startswith("docmind: ")
    assert done.stderr.count("\n") == 1
