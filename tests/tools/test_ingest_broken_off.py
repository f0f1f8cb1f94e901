"""An ingestion that is broken off: what was stored stays, the rest is made good by the next run."""

from pathlib import Path

import pytest

from infra.settings import IngestSettings, load_settings
from infra.store.index import Index
from infra.store.vectors import EdgeVectors
from tests.tools.files import write
from tests.tools.library_state import fresh_state, state_of
from tests.tools.words import WordEmbedder
from tools import ingest_work
from tools.ingest import ingest
from tools.ingest_report import IngestReport, Progress

SETTINGS = IngestSettings()
TEXTS = {
    "caches.md": "# Caches\n\nA cache keeps.",
    "notes/prices.csv": "name,price\nhammer,7\n",
    "plain.txt": "Weather.",
}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    for name, text in TEXTS.items():
        write(tmp_path / "docs" / name, text)
    return tmp_path / "docs"


def run(index: Index, docs: Path) -> IngestReport:
    return ingest(index, WordEmbedder(), [docs], settings=SETTINGS)


def test_an_interruption_loses_no_document_that_was_stored_and_the_next_run_goes_on(
    data_dir: Path, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = load_settings(data_dir=data_dir)
    monkeypatch.setattr(ingest_work, "GROUP_WINDOWS", 1)

    def interrupt(progress: Progress) -> None:
        if progress.path and progress.done == 2:
            raise KeyboardInterrupt

    with Index.open(options, WordEmbedder()) as index:
        with pytest.raises(KeyboardInterrupt):
            ingest(index, WordEmbedder(), [docs], settings=SETTINGS, progress=interrupt)
        assert [document.doc for document in index.documents()] == ["caches.md", "notes/prices.csv"]
    with Index.open(options, WordEmbedder()) as index:
        report = run(index, docs)
        assert (report.added, report.unchanged) == (1, 2)
        worked = state_of(index, WordEmbedder())
    assert fresh_state(data_dir / "fresh", WordEmbedder(), [docs]) == worked


def test_a_kill_while_vectors_are_written_is_repaired(
    data_dir: Path, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = load_settings(data_dir=data_dir)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with Index.open(options, WordEmbedder()) as index, monkeypatch.context() as patch:
        patch.setattr(EdgeVectors, "upsert", killed)
        with pytest.raises(KeyboardInterrupt):
            run(index, docs)
    with Index.open(options, WordEmbedder()) as index:
        assert run(index, docs).unchanged == len(TEXTS)
        assert state_of(index, WordEmbedder()) == fresh_state(data_dir / "fresh", WordEmbedder(), [docs])
