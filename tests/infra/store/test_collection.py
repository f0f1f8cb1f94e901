"""Vectors of another model are built beside the old ones, resumed after a kill, and switched to when complete."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.errors import StoreError
from infra.settings import Settings, load_settings
from infra.store.index import Index, tenant_folder
from infra.store.records import Window
from infra.store.vectors import EdgeVectors
from tests.infra.store.samples import ROOT, CountingEmbedder, entry, snapshot

DOCUMENTS = [entry(f"{ROOT}/{n}.md", "\n".join(f"line {n} {m} cat" for m in range(6))) for n in range(6)]


@pytest.fixture
def options(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of an index that a first model made; pieces of three documents follow at once."""
    monkeypatch.setattr("infra.store.follow.FOLLOW_WINDOWS", 18)
    options = load_settings(data_dir=data_dir)
    with Index.open(options, CountingEmbedder("first")) as index:
        index.library.set_roots([ROOT])
        index.change(DOCUMENTS)
    return options


def folders(options: Settings) -> list[str]:
    """Kinds of the collections that are there: whole or partial."""
    return sorted(path.suffix for path in tenant_folder(options).glob("vectors-*"))


def interrupted(options: Settings, monkeypatch: pytest.MonkeyPatch, step: str, after: int) -> None:
    """Open with the second model, killed at the call number ``after`` (from 0) of ``step``."""
    calls: list[int] = []
    real = getattr(EdgeVectors, step)

    def killed(store: EdgeVectors, *given: object) -> None:
        if len(calls) == after:
            raise KeyboardInterrupt
        calls.append(1)
        real(store, *given)

    with monkeypatch.context() as patch:
        patch.setattr(EdgeVectors, step, killed)
        with pytest.raises(KeyboardInterrupt):
            Index.open(options, CountingEmbedder("second"))


def test_another_model_gets_vectors_of_its_own_and_the_old_ones_go_then(options: Settings) -> None:
    told: list[tuple[int, int]] = []
    second = CountingEmbedder("second")
    with Index.open(options, second, progress=lambda done, total: told.append((done, total))) as index:
        assert sorted(second.asked) == sorted(line for e in DOCUMENTS for line in e.document.text.split("\n"))
        assert len(index.dense(second.embed(["cat"])[0], 99)) == 36
        assert index.library.outbox() == {}
    assert told == [(3, 6), (6, 6)]
    assert folders(options) == [""]


@pytest.mark.parametrize(("step", "after"), [("upsert", 0), ("upsert", 1), ("delete_documents", 1), ("close", 1)])
def test_a_kill_leaves_the_old_vectors_whole_and_the_next_opening_goes_on(
    options: Settings, monkeypatch: pytest.MonkeyPatch, step: str, after: int
) -> None:
    interrupted(options, monkeypatch, step, after)
    assert folders(options) == ["", ".partial"]
    embedder = CountingEmbedder("second")
    upserted: list[str] = []
    real = EdgeVectors.upsert

    def noted(store: EdgeVectors, windows: Sequence[Window]) -> None:
        upserted.extend(window.document_id for window in windows)
        real(store, windows)

    monkeypatch.setattr(EdgeVectors, "upsert", noted)
    with Index.open(options, embedder) as index:
        assert index.library.outbox() == {}
        assert len(index.dense(embedder.embed(["cat"])[0], 99)) == 36
    done_before = 3 * after if step != "close" else 6
    assert len(set(upserted)) == 6 - done_before
    assert folders(options) == [""]


def test_old_vectors_that_cannot_be_dropped_keep_nobody_from_the_new_ones(options: Settings) -> None:
    (tenant_folder(options) / "vectors-of-somebody").write_text("a file")
    embedder = CountingEmbedder("second")
    with Index.open(options, embedder) as index:
        assert len(index.dense(embedder.embed(["cat"])[0], 99)) == 36


def test_a_folder_that_cannot_be_switched_to_is_one_line(options: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", full)
        with pytest.raises(StoreError, match=r"^cannot write .*default: No space left on device; set DOCMIND_DATA_DIR"):
            Index.open(options, CountingEmbedder("second"))
    with Index.open(options, CountingEmbedder("second")) as index:
        assert index.library.outbox() == {}


def test_going_back_to_the_old_model_after_a_kill_finds_what_changed_meanwhile(
    options: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(options, monkeypatch, "upsert", 1)
    first = CountingEmbedder("first")
    with Index.open(options, first) as index:
        index.change([entry(f"{ROOT}/0.md", "a dog")], [DOCUMENTS[1].document.id])
        expected = snapshot(index, first)
    assert folders(options) == [""]
    with Index.open(load_settings(data_dir=options.data_dir / "fresh"), first) as index:
        index.library.set_roots([ROOT])
        index.change([entry(f"{ROOT}/0.md", "a dog"), *DOCUMENTS[2:]])
        assert snapshot(index, first) == expected


def test_a_collection_that_was_being_built_and_is_damaged_is_built_from_the_start(
    options: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(options, monkeypatch, "upsert", 1)
    partial = next(tenant_folder(options).glob("*.partial"))
    (partial / "edge_config.json").write_text("{")
    embedder = CountingEmbedder("second")
    with Index.open(options, embedder) as index:
        assert len(index.dense(embedder.embed(["cat"])[0], 99)) == 36
    assert folders(options) == [""]
