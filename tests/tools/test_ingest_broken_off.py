"""An ingestion that is broken off: what was stored stays, the rest is made good by the next run."""

import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from infra.errors import StoreError
from infra.settings import IngestSettings, load_settings
from infra.store.index import Index
from infra.store.library import Library
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


class WaitingEmbedder(WordEmbedder):
    """Embeds the first document at once, and each other one when a document was stored."""

    def __init__(self, stored: Event) -> None:
        self.stored = stored
        self.in_time: list[bool] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.in_time.append(not self.in_time or self.stored.wait(60))
        return super().embed(texts)


def test_documents_are_stored_while_the_next_ones_are_embedded(
    data_dir: Path, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_work, "GROUP_WINDOWS", 1)
    stored, change = Event(), Index.change

    def told(*given: Any) -> None:
        change(*given)
        stored.set()

    with Index.open(load_settings(data_dir=data_dir), WordEmbedder()) as index:
        monkeypatch.setattr(Index, "change", told)
        embedder = WaitingEmbedder(stored)
        assert ingest(index, embedder, [docs], settings=SETTINGS).added == len(TEXTS)
    assert embedder.in_time == [True] * len(TEXTS)


def test_a_library_that_cannot_be_written_ends_the_work_and_threads_take_their_usual_turns(
    data_dir: Path, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = sys.getswitchinterval()
    turns: list[float] = []

    def full(*_: object) -> None:
        turns.append(sys.getswitchinterval())
        raise StoreError("the disk is full")

    with Index.open(load_settings(data_dir=data_dir), WordEmbedder()) as index:
        with monkeypatch.context() as patch:
            patch.setattr(Library, "change", full)
            with pytest.raises(StoreError, match="the disk is full"):
                run(index, docs)
        assert turns == [pytest.approx(ingest_work.TURN_SECONDS)]
        assert sys.getswitchinterval() == usual
        assert run(index, docs).added == len(TEXTS)


@pytest.mark.parametrize("last", ["drop_unused_embeddings", "change"])
def test_embeddings_that_it_left_behind_go_with_the_next_run_though_nothing_changed(
    data_dir: Path, docs: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    def kept() -> set[str]:
        return set(index.library.embedded_keys(WordEmbedder.model_id))

    with Index.open(load_settings(data_dir=data_dir), WordEmbedder()) as index:
        run(index, docs)
        before = kept()
        assert not index.library.unswept()
        write(docs / "plain.txt", "Other words entirely.")
        with monkeypatch.context() as patch:
            patch.setattr(Library, last, killed)
            with pytest.raises(KeyboardInterrupt):
                run(index, docs)
        assert kept() > before
        if last == "change":
            write(docs / "plain.txt", TEXTS["plain.txt"])
        again = run(index, docs)
        assert (again.changed, again.embedded) == (0, 0)
        assert kept() == {row[0] for row in index.library._database.rows("SELECT key FROM windows")}
