"""The index's changes are whole, and what a kill or damage leaves is repaired."""

import re
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import StoreError, StoreLocked
from infra.settings import load_settings
from infra.store.index import Index, tenant_folder
from infra.store.library import Library
from infra.store.records import Counts, Entry, Window
from infra.store.roots import scope_id
from infra.store.vectors import EdgeVectors
from tests.infra.store.samples import CATS, DOGS, ROOT, CountingEmbedder, entry, snapshot


def test_vectors_of_another_model_cannot_be_shared_and_closing_twice_does_no_harm(data_dir: Path) -> None:
    options = load_settings(data_dir=data_dir)
    first = Index.open(options, CountingEmbedder())
    with pytest.raises(StoreLocked, match=r"in use by process \d+ .* with another embedding model"):
        Index.open(options, CountingEmbedder("other"))
    with Index.open(load_settings(data_dir=data_dir, tenant="other"), CountingEmbedder("other")) as other:
        assert other.counts() == Counts(0, 0, 0, 0)
    first.close()
    first.close()
    with pytest.raises(StoreError, match="closed"):
        first.dense(CountingEmbedder().embed(["cats"])[0], 1)
    Index.open(options, CountingEmbedder("other")).close()


def test_a_file_that_is_no_database_is_named_and_the_lock_given_back(data_dir: Path) -> None:
    options = load_settings(data_dir=data_dir)
    folder = tenant_folder(options)
    folder.mkdir(parents=True)
    (folder / "library.sqlite3").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match=r"the database .*library.sqlite3 failed: file is not a database"):
        Index.open(options, CountingEmbedder())
    (folder / "library.sqlite3").unlink()
    Index.open(options, CountingEmbedder()).close()


def test_the_tables_of_another_version_are_refused(data_dir: Path) -> None:
    options = load_settings(data_dir=data_dir)
    with Index.open(options, CountingEmbedder()) as index, index.library._database.transaction() as change:
        change.execute("UPDATE meta SET number = 99 WHERE name = 'schema'")
    said = f"{tenant_folder(options)}: the index was made by another version of DocMind (schema 99, this one has 3)"
    with pytest.raises(StoreError, match=re.escape(said)):
        Index.open(options, CountingEmbedder())


def test_an_index_of_a_later_version_is_left_as_it_is(data_dir: Path) -> None:
    options = load_settings(data_dir=data_dir)
    file = tenant_folder(options) / "library.sqlite3"
    file.parent.mkdir(parents=True)
    later = "CREATE TABLE meta (name, number); INSERT INTO meta VALUES ('schema', 99); CREATE TABLE windows (other);"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(later)
        before = connection.execute("SELECT name FROM sqlite_master").fetchall()
        with pytest.raises(StoreError, match=r"made by another version of DocMind \(schema 99, this one has 3\)"):
            Index.open(options, CountingEmbedder())
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == before


@pytest.mark.parametrize("damaged", ["substr(vector, 1, 7)", "substr(vector, 1, 8)", "zeroblob(length(vector))", "x''"])
def test_an_embedding_that_is_damaged_on_the_disk_is_computed_anew(data_dir: Path, damaged: str) -> None:
    options = load_settings(data_dir=data_dir)
    with Index.open(options, CountingEmbedder()) as index:
        index.change([CATS])
        whole = snapshot(index, CountingEmbedder())
        with index.library._database.transaction() as change:
            change.execute(f"UPDATE embeddings SET vector = {damaged}")
    lose_vectors(tenant_folder(options))
    with Index.open(options, CountingEmbedder()) as index:
        assert snapshot(index, CountingEmbedder()) == whole


def damage_nothing(folder: Path) -> None:
    """As a comparison."""


def damage_vectors(folder: Path) -> None:
    next(next(folder.glob("vectors-*")).glob("edge_config.json")).write_text("{")


def lose_vectors(folder: Path) -> None:
    shutil.rmtree(next(folder.glob("vectors-*")))


def lose_all_but_the_library(folder: Path) -> None:
    lose_vectors(folder)
    (folder / "vectors-of-another-model").mkdir()


@pytest.mark.parametrize("damage", [damage_nothing, damage_vectors, lose_vectors, lose_all_but_the_library])
def test_vectors_are_made_anew_from_the_library(data_dir: Path, damage: Callable[[Path], None]) -> None:
    options = load_settings(data_dir=data_dir)
    embedder = CountingEmbedder()
    with Index.open(options, embedder) as index:
        index.library.set_roots([ROOT])
        index.change([CATS, DOGS])
        expected = snapshot(index, embedder)
    damage(tenant_folder(options))
    with Index.open(options, embedder) as index:
        assert snapshot(index, embedder) == expected
    assert len(list(tenant_folder(options).glob("vectors-*"))) == 1


def test_what_stays_of_a_document_is_found_all_the_while_it_changes(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[set[str]] = []
    changed = entry(CATS.document.path, "Cats sleep all day.\nCats hunt mice.", header="Cats")
    with Index.open(load_settings(data_dir=data_dir), CountingEmbedder()) as index:
        index.change([CATS])

        def look() -> None:
            found.append({passage.text for passage in index.passages([h.chunk_id for h in index.sparse(["mice"], 9)])})

        for step in ("upsert", "delete_documents"):
            real = getattr(EdgeVectors, step)

            def looking(*given: Any, real: Any = real) -> None:
                look()
                real(*given)

            monkeypatch.setattr(EdgeVectors, step, looking)
        index.change([changed])
        look()
    assert found == [{"Cats hunt mice."}] * 3


@pytest.mark.parametrize("step", ["delete_documents", "upsert"])
def test_a_kill_between_the_stores_is_repaired_at_the_next_opening(
    data_dir: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = load_settings(data_dir=data_dir)
    embedder = CountingEmbedder()
    changed = entry(CATS.document.path, "Cats purr.\nMice fear cats.", header="Cats")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with Index.open(options, embedder) as index:
        index.library.set_roots([ROOT])
        index.change([CATS])
        with monkeypatch.context() as patch:
            patch.setattr(EdgeVectors, step, killed)
            with pytest.raises(KeyboardInterrupt):
                index.change([changed, DOGS])
        assert set(index.library.outbox()) == {CATS.document.id, DOGS.document.id}
        stale = index.passages([hit.chunk_id for hit in index.sparse(["mice"], 9)])
        assert {passage.text for passage in stale} <= {"Mice fear cats."}
    with Index.open(options, embedder) as index:
        repaired = snapshot(index, embedder)
    assert repaired == fresh(data_dir / "fresh", [changed, DOGS])


def test_documents_leave_the_outbox_when_their_vectors_are_on_the_disk(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    flush, clear = EdgeVectors.flush, Library.clear_outbox
    monkeypatch.setattr(EdgeVectors, "flush", lambda store: events.append("flush") or flush(store))
    monkeypatch.setattr(Library, "clear_outbox", lambda *given: events.append("clear") or clear(*given))
    with Index.open(load_settings(data_dir=data_dir), CountingEmbedder()) as index:
        events.clear()
        index.change([CATS])
        assert (list(index.library.outbox()), events) == ([CATS.document.id], [])
        index.change([DOGS])
        index.settle()
        index.settle()
        assert (index.library.outbox(), events) == ({}, ["flush", "clear"])


def test_a_change_that_comes_while_its_document_follows_is_not_lost(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = CountingEmbedder()
    upsert = EdgeVectors.upsert
    changed = entry(CATS.document.path, "Cats purr.", header="Cats")
    with Index.open(load_settings(data_dir=data_dir), embedder) as index:

        def late(store: EdgeVectors, windows: Sequence[Window]) -> None:
            # as another process would: the library only
            monkeypatch.undo()
            index._memory.remember({span.key: "Cats\nCats purr." for span in changed.spans})
            index.library.change([(changed, {"cat": 1})], [])
            upsert(store, windows)

        monkeypatch.setattr(EdgeVectors, "upsert", late)
        index.change([CATS])
        index.settle()
        assert list(index.library.outbox()) == [CATS.document.id]
        index._vectors.follow()
        assert {hit.window_id for hit in index.sparse(["cat", "mice"], 9)} == {span.id for span in changed.spans}


def fresh(data_dir: Path, entries: Sequence[Entry]) -> tuple[object, ...]:
    """What a new index over ``entries`` shows."""
    embedder = CountingEmbedder()
    with Index.open(load_settings(data_dir=data_dir), embedder) as index:
        index.library.set_roots([ROOT])
        index.change(entries)
        return snapshot(index, embedder)


TEXTS = st.lists(st.sampled_from(["cat hunts", "dog barks", "mice hide", "cat and dog"]), min_size=1, max_size=3)
CHANGES = st.lists(st.tuples(st.sampled_from("abc"), st.none() | TEXTS), min_size=1, max_size=6)


@given(CHANGES)
@settings(max_examples=10)
def test_any_order_of_changes_gives_what_a_fresh_index_gives(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, list[str] | None]]
) -> None:
    home = tmp_path_factory.mktemp("changes")
    embedder = CountingEmbedder()
    state: dict[str, Entry] = {}
    with Index.open(load_settings(data_dir=home / "worked"), embedder) as index:
        index.library.set_roots([ROOT])
        for name, lines in changes:
            path = f"{ROOT}/{name}.md"
            if lines is None:
                state.pop(path, None)
                index.remove([scope_id(path)])
            else:
                state[path] = entry(path, "\n".join(lines))
                index.change([state[path]])
        shown = snapshot(index, embedder)
    assert shown == fresh(home / "fresh", list(state.values()))
