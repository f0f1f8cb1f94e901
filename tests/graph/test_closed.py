"""Nothing leaves this machine: the doors run in child processes that refuse and note every outside connection."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLOSED = ROOT / "tests" / "closed"


def closed_environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """Return an environment in which a Python refuses outside connections and keeps its data in ``tmp_path``."""
    inherited = {k: v for k, v in os.environ.items() if not k.upper().startswith(("DOCMIND_", "LANG", "HF_", "COV_"))}
    ours = {
        "PYTHONPATH": str(CLOSED),
        "CLOSED_LOG": str(tmp_path / "closed.log"),
        "DOCMIND_DATA_DIR": str(tmp_path / "data"),
    }
    return inherited | ours | more


def attempts(tmp_path: Path) -> list[str]:
    """Return the outside connections that were attempted; fails where the refusal was not in force."""
    lines = (tmp_path / "closed.log").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "closed"
    return [line for line in lines if line != "closed"]


def run(tmp_path: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=closed_environment(tmp_path, **more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "mill.txt").write_text("Bob Stone repaired the old mill in 1998. The mill stands by the river Ems.\n")
    return folder


def test_the_refusal_itself_works(tmp_path: Path) -> None:
    done = run(tmp_path, "-c", "import socket; socket.create_connection(('192.0.2.1', 9), timeout=1)")
    assert done.returncode != 0
    assert attempts(tmp_path) == ["look up 192.0.2.1"]


def test_the_runtime_of_the_embedding_model_is_told_to_report_nothing(tmp_path: Path) -> None:
    told = (
        "import os, sys; import infra.store.embeddings;"
        "print('onnxruntime' in sys.modules, os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    assert run(tmp_path, "-c", told).stdout == "True 1\n"


def test_ingest_and_ask_contact_nobody_and_leave_nothing_of_the_runtime_at_home(tmp_path: Path, docs: Path) -> None:
    home = tmp_path / "home"
    at_home = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    ingested = run(tmp_path, "-m", "tools.ingest", str(docs), "--json", **at_home)
    assert ingested.returncode == 0, ingested.stderr
    asked = run(tmp_path, "-m", "graph.run", "--json", "When did Bob Stone repair the old mill?", **at_home)
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["citations"]
    assert attempts(tmp_path) == []
    assert list(home.rglob("*onnxruntime*")) == []


def test_questions_are_not_traced_for_somebody_who_traces_other_programs(
    tmp_path: Path, docs: Path, models: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "models").symlink_to(models)
    tracing = {"LANGSMITH_TRACING": "true", "LANGCHAIN_TRACING_V2": "true", "LANGSMITH_API_KEY": "lsv2_pt_x"}
    question = "When did Bob Stone repair the old mill?"
    asked = run(tmp_path, "-m", "graph.run", "--docs", str(docs), "--json", question, **tracing)
    assert asked.returncode == 0, asked.stderr
    assert attempts(tmp_path) == []
