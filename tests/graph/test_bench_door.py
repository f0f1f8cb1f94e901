"""The door of the measurements: what it lists and refuses, its tables, plots and last line."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graph.bench import ingest as ingest_bench
from graph.bench import plots, retrieval
from graph.bench import scale as scale_bench
from graph.bench.__main__ import app
from infra.errors import ConfigurationError
from tests.tools.words import WordEmbedder

RECORDS = {"20260105_1100": "Ann: The boiler in the cellar leaks.", "20260106_0900": "Ann: The roses bloom."}
QUESTIONS = {
    "1": {"question": "What leaks?", "answer": "the boiler", "evidence": "20260105_11:00", "type": "Single"},
    "2": {"question": "Which opera did Zoe sing?", "answer": "Insufficient", "evidence": "N/A", "type": "Null"},
}
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(retrieval, "open_embedder", lambda _: WordEmbedder())
    records = tmp_path / "lihua_world" / "records"
    records.mkdir(parents=True)
    for name, text in RECORDS.items():
        (records / f"{name}.txt").write_text(f"Time: {name}\n{text}\n", encoding="utf-8")
    (tmp_path / "lihua_world" / "questions.json").write_text(json.dumps(QUESTIONS), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "name", ["answers", "cache", "citations", "counting", "ingest", "latency", "retrieval", "scale"]
)
def test_every_measurement_is_listed_and_explains_itself(name: str) -> None:
    assert f" {name} " in CliRunner().invoke(app, ["--help"]).output
    done = CliRunner().invoke(app, [name, "--help"])
    assert (done.exit_code, f"{name} [OPTIONS]" in done.output) == (0, True)


@pytest.mark.usefixtures("data_dir")
def test_retrieval_prints_a_table_with_aims_draws_plots_and_ends_with_one_line_of_json(
    data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "plots"
    done = CliRunner().invoke(app, ["retrieval", "--data", str(data / "lihua_world"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    table = done.stdout.splitlines()
    figures = json.loads(table[-1])
    assert list(figures) == ["lihua_world"]
    assert figures["lihua_world"]["docmind"]["single_recall@1"] == 1.0
    (line,) = [line for line in table if "single recall@1 " in line]
    ours, aim, all_on, aim_all_on, *peers = [cell.strip() for cell in line.strip("│ ").split("│")[1:]]
    assert (ours, aim, all_on, aim_all_on, len(peers)) == ("1", "0.82", "1", "0.84", 4)
    assert any("milliseconds p50" in row for row in table)
    drawn = sorted(out.iterdir())
    assert [file.name for file in drawn] == ["retrieval_lihua_world.png", "retrieval_lihua_world_time.png"]
    assert all(file.read_bytes().startswith(PNG) for file in drawn)


@pytest.mark.usefixtures("data_dir")
def test_peers_can_be_left_out(data: Path) -> None:
    done = CliRunner().invoke(app, ["retrieval", "--data", str(data), "--no-peers"])
    rows = json.loads(done.stdout.splitlines()[-1])["lihua_world"]
    assert list(rows) == ["aim_default", "aim_all_on", "docmind", "docmind_all_on"]


def test_plots_without_matplotlib_are_refused_before_anything_is_measured(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = CliRunner().invoke(app, ["retrieval", "--data", str(data), "--out", str(tmp_path / "plots")])
    assert isinstance(done.exception, ConfigurationError)
    assert str(done.exception) == "plots need matplotlib: pip install 'docmind[bench]', or leave out --out"
    assert not (tmp_path / "plots").exists()


def test_a_folder_for_plots_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"^--out .*file/plots: .*; give a folder that can be written$"):
        plots.check(tmp_path / "file" / "plots")


def test_scale_grows_to_the_sizes_given(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(scale_bench, "run", lambda *given, **named: asked.append((given, named)) or {"800": 1})
    done = CliRunner().invoke(app, ["scale", "--sizes", "800", "--sizes", "400", "--queries", "3"])
    assert asked == [(([400, 800],), {"queries": 3})]
    assert json.loads(done.stdout.splitlines()[-1]) == {"800": 1}


@pytest.mark.usefixtures("data_dir")
def test_ingestion_is_shown_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"seconds": 2.0, "processor_seconds": 1.0}
    figures = {"cold": {"docmind": row, "bare_embedder": row}, "warm": {"first": row, "unchanged": row}}
    asked: list[object] = []

    def run(*given: object, **named: object) -> object:
        asked.append((given[1], named))
        return figures

    monkeypatch.setattr(ingest_bench, "run", run)
    done = CliRunner().invoke(app, ["ingest", "--data", "sets", "--out", str(tmp_path), "--rounds", "2"])
    assert asked == [(Path("sets"), {"rounds": 2})]
    assert json.loads(done.stdout.splitlines()[-1]) == figures
    assert [file.name for file in sorted(tmp_path.glob("*.png"))] == ["ingest_cold.png", "ingest_warm.png"]
