"""``python -m tools.ingest``: what it prints, where, and how it ends."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from infra.settings import load_settings
from infra.store.embeddings import open_minilm
from infra.store.index import Index
from tests.tools.words import WordEmbedder
from tools import ingest as door
from tools import ingest_report

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ("added", "changed", "moved", "removed", "unchanged", "chunks", "embedded")


@pytest.fixture(autouse=True)
def _words_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "open_embedder", lambda _: WordEmbedder())


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("One text.")
    (folder / "b.pdf").write_bytes(b"%PDF-")
    return folder


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(door.app, [str(argument) for argument in arguments])


def test_the_report_is_one_json_object_on_stdout_and_failures_are_lines_on_stderr(docs: Path) -> None:
    result = call(docs, "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 0
    assert list(report) == [*FIGURES, "seconds", "failed"]
    assert {key: report[key] for key in FIGURES} == dict.fromkeys(FIGURES, 0) | {"added": 1, "chunks": 1, "embedded": 1}
    assert report["seconds"] > 0
    (failure,) = report["failed"]
    assert failure["path"] == str(docs / "b.pdf")
    assert failure["error"].startswith("the PDF is broken")
    assert f"not read: {docs / 'b.pdf'}: the PDF is broken" in result.stderr


def test_no_name_of_a_file_acts_on_a_terminal(docs: Path) -> None:
    (docs / "x\n\x1b[2J\u202e.pdf").write_bytes(b"%PDF-")
    assert f"not read: {docs}/x [2J.pdf: the PDF is broken" in call(docs).stderr
    missing = call(docs / "none\x1b[2J\nnot read: x")
    assert [c for c in missing.stderr if c != "\n" and not c.isprintable()] == []


def test_a_name_full_of_markup_is_shown_as_it_is(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=200)
    monkeypatch.setattr(ingest_report, "Console", lambda **_: console)
    with ingest_report.progress_bar() as tell:
        tell(ingest_report.Progress(str(docs / "a[red]\x1b]0;x[bold].txt"), 0, 1))
    assert "a[red] ]0;x[bold].txt" in shown.getvalue()


def test_people_get_one_line(docs: Path) -> None:
    assert call(docs).stdout.startswith(
        "1 added, 0 changed, 0 moved, 0 removed, 0 unchanged, 1 not read; 1 passages, 1 windows embedded; "
    )


def test_prune_drops_what_is_not_given(docs: Path, tmp_path: Path) -> None:
    call(docs)
    other = tmp_path / "other.txt"
    other.write_text("Another text.")
    assert json.loads(call(other, "--prune", "--json").stdout)["removed"] == 1


def test_tenants_do_not_see_each_other(docs: Path, data_dir: Path) -> None:
    call(docs, "--tenant", "one")
    with Index.open(load_settings(data_dir=data_dir), WordEmbedder()) as index:
        assert index.counts().documents == 0


def test_wrong_use_ends_with_2_and_one_line(tmp_path: Path) -> None:
    missing = call(tmp_path / "nowhere")
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert missing.stderr == (
        f"docmind: {tmp_path / 'nowhere'}: No such file or directory; give files or folders that are there\n"
    )
    assert call().exit_code == 2
    tenant = call(tmp_path, "--tenant", "../x")
    assert tenant.exit_code == 2
    assert tenant.stderr.startswith("docmind: DOCMIND_TENANT='../x': ")


def test_no_readable_documents_end_with_1_and_the_report(docs: Path) -> None:
    (docs / "a.txt").unlink()
    result = call(docs, "--json")
    assert (result.exit_code, json.loads(result.stdout)["added"]) == (1, 0)
    assert result.stderr.endswith(f"docmind: no readable documents under {docs}\n")


def test_a_folder_that_was_emptied_is_no_failure(docs: Path) -> None:
    call(docs)
    (docs / "a.txt").unlink()
    assert call(docs).exit_code == 0
    assert call(docs).exit_code == 1


def test_a_data_directory_that_cannot_be_written_ends_with_1_and_one_line(
    docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCMIND_DATA_DIR", str(docs / "a.txt"))
    result = call(docs)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"docmind: cannot write {docs / 'a.txt'}/tenants/default: Not a directory; "
        "set DOCMIND_DATA_DIR to a folder you own\n"
    )


def test_an_index_in_use_is_shared_but_one_ingestion_is_at_work_at_a_time(
    docs: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.store.index.INGESTION_WAIT_SECONDS", 0.0)
    with Index.open(load_settings(data_dir=data_dir), WordEmbedder()) as index:
        assert call(docs).exit_code == 0
        assert index.counts().documents > 0
        with index.ingesting():
            result = call(docs)
    assert result.exit_code == 1
    assert f"process {os.getpid()} " in result.stderr
    assert "is ingesting into" in result.stderr


def test_an_interruption_ends_with_130_and_says_how_to_go_on(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(door, "bring_up_to_date", interrupt)
    result = call(docs)
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == "docmind: interrupted; what was read so far is kept, run the same again to go on\n"


def start(docs: Path, data_dir: Path, *options: str) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "DOCMIND_DATA_DIR": str(data_dir), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "tools.ingest", str(docs), "--json", *options]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_the_door_works_as_a_process_with_the_real_model(docs: Path, data_dir: Path) -> None:
    with start(docs, data_dir) as process:
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, json.loads(out)["chunks"]) == (0, 1), errors
    embedder = open_minilm(data_dir)
    with Index.open(load_settings(data_dir=data_dir), embedder) as index:
        (hit,) = index.dense(embedder.embed(["One text."])[0], 5)
    assert 0.5 < hit.score < 1


def test_watching_keeps_in_step_until_it_is_interrupted_and_ends_well(docs: Path, data_dir: Path) -> None:
    with start(docs, data_dir, "--watch") as process:
        assert process.stdout
        assert process.stderr
        assert json.loads(process.stdout.readline())["added"] == 1
        (docs / ".c.txt").write_text("Another text.")
        (docs / ".c.txt").rename(docs / "c.txt")  # whole, and at once
        assert json.loads(process.stdout.readline())["added"] == 1
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b"")
    lines = errors.decode().splitlines()
    broken = [line for line in lines if line.startswith("not read: ")]
    assert len(broken) == 1
    assert [line for line in lines if line.startswith("docmind: ")] == [
        f"docmind: watching {docs}; Ctrl-C ends it",
        "docmind: no longer watching; what was read so far is kept",
    ]


@pytest.mark.prove
@pytest.mark.parametrize("delay_seconds", [1, 2, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_ingestion_is_completed_by_the_next(
    tmp_path: Path, data_dir: Path, delay_seconds: float, end: signal.Signals
) -> None:
    docs = tmp_path / "many"
    docs.mkdir()
    for number in range(80):
        words = " ".join(f"Sentence {n} of file {number} speaks of things." for n in range(25))
        (docs / f"{number}.txt").write_text(words)
    with start(docs, data_dir) as process:
        time.sleep(delay_seconds)
        process.send_signal(end)
        process.communicate(timeout=60)
    with start(docs, data_dir) as process:
        out, errors = process.communicate(timeout=120)
    report = json.loads(out)
    assert report["added"] + report["unchanged"] == 80, errors
    embedder = open_minilm(data_dir)
    with Index.open(load_settings(data_dir=data_dir), embedder) as index:
        counts = index.counts()
        assert (counts.documents, index.library.outbox()) == (80, {})
        assert len(index.dense(embedder.embed(["things"])[0], 9_999)) == counts.windows
