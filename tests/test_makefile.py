"""The Makefile: a question arrives as it was typed, a set-up that cannot be leaves no trace, a fresh clone answers."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
QUESTION = "How much memory does the KV cache need at 128K in FP8?"


def _make(folder: Path, *arguments: str, path: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Run make as a person's shell would: without what a make around this test has put into the environment."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "Q"}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=inherited | ({"PATH": path} if path is not None else {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """The Makefile beside a set-up whose Python prints its arguments, one a line."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    (tmp_path / ".venv" / "ready").touch()
    return tmp_path


@pytest.mark.parametrize(
    "question",
    [
        "What's new?",
        'say "hi" & go; $(touch spilled) `touch spilled`',
        "$(shell touch spilled) costs $5",
        "-h",
        "été ‹x",
    ],
)
def test_a_question_arrives_as_it_was_typed(stand_in: Path, question: str):
    done = _make(stand_in, "ask", f"Q={question}")
    assert done.stdout == f"-m\ngraph.run\n--docs\ndocs\n--\n{question}\n"
    assert not (stand_in / "spilled").exists()


@pytest.mark.parametrize(("ci", "more"), [("true", "--cov\n--cov-report=term\n"), ("", "")])
def test_coverage_is_taken_where_ci_says_so(stand_in: Path, monkeypatch: pytest.MonkeyPatch, ci: str, more: str):
    monkeypatch.setenv("CI", ci)
    shutil.copy(stand_in / ".venv" / "bin" / "python", stand_in / ".venv" / "bin" / "pytest")
    assert _make(stand_in, "test").stdout == f"-q\n-n\nauto\n--maxprocesses\n4\n{more}"


def test_without_a_question_it_says_how_to_ask(stand_in: Path):
    done = _make(stand_in, "ask")
    assert done.returncode == 2
    assert f'Ask with: make ask Q="{QUESTION}"' in done.stderr


def test_without_a_fitting_python_it_says_what_to_install(tmp_path: Path):
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("make", "sh", "rm", "test", "touch"):
        (tools / name).symlink_to(shutil.which(name) or name)
    old = tools / "python3"
    old.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)

    done = _make(tmp_path, "test", path=str(tools))

    assert done.returncode == 2
    assert "DocMind needs Python 3.11 or newer with its venv and pip modules; none was found." in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_help_names_every_target():
    done = _make(ROOT, "help")
    listed = {line.split()[1] for line in done.stdout.splitlines()}
    assert listed == {"help", "ask", "test", "check", "fmt", "prove", "bench", "dev", "live", "gpu", "lock", "clean"}


@pytest.mark.prove
def test_a_fresh_clone_answers_from_its_sample_documents(tmp_path: Path, data_dir: Path):
    clone = tmp_path / "clone"
    own = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, own.split("\0")):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)

    done = _make(clone, "ask", f"Q={QUESTION}")

    assert done.returncode == 0, done.stderr
    answer, _, sources = done.stdout.partition("Sources")
    assert "the KV cache needs 9.0 GiB of memory at 128K" in answer
    assert "memory-and-context.md" in sources
    assert (clone / ".venv" / "ready").exists()
    assert any(data_dir.iterdir())
