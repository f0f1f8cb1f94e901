"""The index has one owner, its changes are whole, and what a kill or damage leaves is repaired."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import StoreError, StoreLocked
from infra.settings import load_settings
from infra.store.index import Index, tenant_folder
from infra.store.records import Counts, Entry
from infra.store.roots import scope_id
from infra.store.vectors import EdgeVectors
from tests.infra.store.samples import CATS, DOGS, ROOT, CountingEmbedder, entry, snapshot


def test_a_second_owner_is_refused_and_closing_twice_does_no_harm(data_dir: Path) -> None:
    options = load_settings(data_dir=data_dir)
    first = Index.open(options, CountingEmbedder())
    with pytest.raises(StoreLocked, match="in use by process"):
        Index.open(options, CountingEmbedder())
    with Index.open(load_settings(data_dir=data_dir, tenant="other"), CountingEmbedder()) as other:
        assert other.counts() == Counts(0, 0, 0, 0)
    first.close()
    first.close()
    Index.open(options, CountingEmbedder()).close()


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
    with pytest.raises(StoreError, match=r"made by another version of DocMind \(schema 99, this one has 1\)"):
        Index.open(options, CountingEmbedder())


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


def test_another_model_gets_vectors_of_its_own(data_dir: Path) -> None:
    options = load_settings(data_dir=data_dir)
    with Index.open(options, CountingEmbedder("first")) as index:
        index.change([CATS])
    second = CountingEmbedder("second")
    with Index.open(options, second) as index:
        assert sorted(second.asked) == sorted(f"Cats\n{line}" for line in CATS.document.text.split("\n"))
        assert len(index.dense(second.embed(["cats"])[0], 9)) == 3


@pytest.mark.parametrize("step", ["delete_documents", "upsert", "flush"])
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
        assert sorted(index.library.outbox()) == sorted([CATS.document.id, DOGS.document.id])
        stale = index.passages([hit.chunk_id for hit in index.sparse(["mice"], 9)])
        assert {passage.text for passage in stale} <= {"Mice fear cats."}
    with Index.open(options, embedder) as index:
        repaired = snapshot(index, embedder)
    assert repaired == fresh(data_dir / "fresh", [changed, DOGS])


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
