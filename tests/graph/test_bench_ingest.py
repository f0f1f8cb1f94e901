"""The measurement of ingestion: every system does the whole work, and a changed chunk is one call."""

import json
from pathlib import Path
from typing import Any

import pytest

from graph.bench import ingest as bench
from infra.settings import load_settings
from infra.store.index import Index
from tests.tools.words import WordEmbedder

SENTENCE = "Number {} stands on the shelf beside the window of the long room in the old house by the river. "


@pytest.fixture(autouse=True)
def words_as_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "open_embedder", lambda _: WordEmbedder())
    monkeypatch.setattr(bench, "word_pieces", lambda _: str.split)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "chunking"
    folder.mkdir()
    for name in ("essay", "notes"):
        (folder / f"{name}.md").write_text("".join(SENTENCE.format(f"{name}{n}") for n in range(60)))
    (folder / "questions.json").write_text(json.dumps([]))
    return tmp_path


def measured(tmp_path: Path, data: Path | None = None) -> dict[str, Any]:
    return bench.run(load_settings(data_dir=tmp_path / "home"), data, rounds=1)


def test_every_system_embeds_the_text_and_ours_the_same_windows_as_the_bare_model(tmp_path: Path, data: Path) -> None:
    figures = measured(tmp_path, data)
    cold = figures["cold"]
    assert list(cold) == ["docmind", "bare_embedder", "llama_index_default", "llama_index_our_windows"]
    assert figures["corpus"] == {"files": 2, "characters": 12_100, "windows": cold["docmind"]["texts"], "rounds": 1}
    assert cold["docmind"]["texts"] == cold["bare_embedder"]["texts"] > 20
    assert cold["llama_index_default"]["embedded_share"] < 0.9 < cold["llama_index_our_windows"]["embedded_share"]
    assert {row["seconds"] > 0 for row in cold.values()} == {True}
    assert figures["cold_of_bare"].keys() == {"seconds", "processor_seconds"}


def test_the_same_files_again_embed_nothing_and_a_changed_chunk_is_one_call(tmp_path: Path, data: Path) -> None:
    warm = measured(tmp_path, data)["warm"]
    assert warm["first"]["added"] == 2
    assert (warm["unchanged"]["calls"], warm["unchanged"]["unchanged"]) == (0, 2)
    assert (warm["all_touched"]["calls"], warm["all_touched"]["unchanged"]) == (0, 2)
    assert (warm["one_chunk_changed"]["calls"], warm["one_chunk_changed"]["changed"]) == (1, 1)
    assert 1 <= warm["one_chunk_changed"]["windows"] <= 4
    assert warm["one_file_renamed"]["moved"] == 1


def test_documents_that_are_not_kept_are_seen(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Index, "change", lambda *_: None)
    warm = measured(tmp_path, data)["warm"]
    assert warm["unchanged"]["added"] == 2


def test_without_data_a_corpus_is_generated(tmp_path: Path) -> None:
    figures = measured(tmp_path)
    assert figures["corpus"]["files"] == bench.GENERATED_DOCUMENTS
    assert figures["warm"]["first"]["windows"] == figures["corpus"]["windows"]
