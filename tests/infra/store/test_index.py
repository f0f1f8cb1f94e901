"""The index: what is stored can be found and quoted, changes are whole, and a kill between two stores is repaired."""

import math
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import StoreError, StoreLocked
from infra.settings import load_settings
from infra.store.embeddings import Embedder
from infra.store.index import Index, tenant_folder
from infra.store.library import Stamp, Unreadable
from infra.store.records import Counts, DocumentInfo, Entry, StoredPassage, StoredWindow, Window, digest_of
from infra.store.roots import scope_id
from infra.store.vectors import EdgeVectors
from tests.infra.store.samples import ROOT, CountingEmbedder, entry

CATS = entry(f"{ROOT}/cats.md", "Cats sleep all day.\nCats hunt mice.\nMice fear cats.", header="Cats")
DOGS = entry(f"{ROOT}/pets/dogs.md", "Dogs bark.\nDogs chase cats.", header="Dogs")


@pytest.fixture
def index(data_dir: Path) -> Index:
    opened = Index.open(load_settings(data_dir=data_dir), CountingEmbedder())
    opened.library.set_roots([ROOT])
    return opened


def snapshot(index: Index, embedder: Embedder) -> tuple[object, ...]:
    """Everything readers can see, so that two indexes can be compared."""
    documents = index.documents()
    vector = embedder.embed(["cats and mice"])[0]
    return (
        documents,
        [index.text_of(document.id) for document in documents],
        index.counts(),
        sorted((hit.window_id, round(hit.score, 5)) for hit in index.dense(vector, 100)),
        sorted((hit.window_id, round(hit.score, 5)) for hit in index.sparse(["cat", "mice", "dog"], 100)),
        index.idf(["cat", "dog", "bark", "nowher"]),
        index.library.outbox(),
    )


def test_what_is_stored_is_found_by_meaning_and_by_words(index: Index) -> None:
    index.change([CATS, DOGS])
    vector = CountingEmbedder().embed(["Dogs bark"])[0]
    assert index.dense(vector, 1)[0].document_id == DOGS.document.id
    found = index.passages([hit.chunk_id for hit in index.sparse(["mice"], 9)])
    assert {passage.text for passage in found} == {"Cats hunt mice.", "Mice fear cats."}
    assert index.sparse(["cats"], 9) == []
    index.close()


def test_a_passage_comes_with_its_place_and_its_document(index: Index) -> None:
    index.change([CATS, DOGS])
    chunk = CATS.chunks[1]
    assert index.passages([chunk.id, "unknown", DOGS.chunks[0].id])[0] == StoredPassage(
        id=chunk.id,
        document_id=CATS.document.id,
        doc="cats.md",
        ordinal=1,
        start=20,
        end=35,
        text="Cats hunt mice.",
        header="Cats",
        digest=digest_of("Cats hunt mice."),
    )
    assert [p.doc for p in index.passages([DOGS.chunks[0].id, chunk.id])] == ["pets/dogs.md", "cats.md"]
    assert index.text_of(CATS.document.id)[20:35] == "Cats hunt mice."
    assert [p.ordinal for p in index.neighbours(chunk.id)] == [0, 2]
    assert [p.ordinal for p in index.neighbours(CATS.chunks[0].id)] == [1]
    span = CATS.spans[1]
    assert index.windows(["unknown", span.id]) == [
        StoredWindow(span.id, chunk.id, CATS.document.id, 20, 35, "Cats hunt mice.", "Cats")
    ]
    index.close()


def test_documents_are_listed_and_named_for_the_roots_in_play(index: Index) -> None:
    index.change([CATS, DOGS])
    assert index.documents() == [
        DocumentInfo(CATS.document.id, CATS.document.path, "cats.md", "cats.md", CATS.document.digest, 3),
        DocumentInfo(DOGS.document.id, DOGS.document.path, "pets/dogs.md", "dogs.md", DOGS.document.digest, 2),
    ]
    assert [document.doc for document in index.documents([f"{ROOT}/pets"])] == ["dogs.md"]
    assert index.text_named("dogs.md", [f"{ROOT}/pets"]) == DOGS.document.text
    assert index.text_named("dogs.md") is None
    assert index.counts() == Counts(1, 2, 5, 5)
    assert index.counts([f"{ROOT}/pets", "/elsewhere"]) == Counts(2, 1, 2, 2)
    with pytest.raises(KeyError):
        index.text_of("unknown")
    index.close()


@pytest.mark.parametrize(
    ("roots", "found"),
    [
        ([ROOT], {"cats.md", "dogs.md"}),
        (["/home"], {"cats.md", "dogs.md"}),
        ([f"{ROOT}/pets"], {"dogs.md"}),
        ([f"{ROOT}/cats.md"], {"cats.md"}),
        (["/elsewhere"], set[str]()),
        (list[str](), set[str]()),
        (None, {"cats.md", "dogs.md"}),
    ],
)
def test_searches_are_limited_to_roots_folders_and_files(
    index: Index, roots: Sequence[str] | None, found: set[str]
) -> None:
    index.change([CATS, DOGS])
    vector = CountingEmbedder().embed(["cats"])[0]
    for hits in (index.dense(vector, 9, roots), index.sparse(["cat"], 9, roots)):
        assert {passage.doc.split("/")[-1] for passage in index.passages([h.chunk_id for h in hits])} == found
    index.close()


def test_idf_follows_every_change(index: Index) -> None:
    def idf(total: int, df: int) -> float:
        return math.log(1 + (total - df + 0.5) / (df + 0.5))

    index.change([CATS, DOGS])
    # the header belongs to every window: all three of cats.md, and one of dogs.md
    assert index.idf(["cat", "bark", "nowher"]) == {"cat": idf(5, 4), "bark": idf(5, 1), "nowher": idf(5, 0)}
    index.change([entry(CATS.document.path, "Fish swim.")], [DOGS.document.id])
    assert index.idf(["cat", "fish"]) == {"cat": idf(1, 0), "fish": idf(1, 1)}
    index.close()


def test_a_term_given_twice_counts_twice(index: Index) -> None:
    index.change([CATS, DOGS])
    once, twice = index.sparse(["bark"], 1)[0].score, index.sparse(["bark", "bark"], 1)[0].score
    assert twice == pytest.approx(2 * once)
    index.close()


def test_the_generation_grows_with_changes_only(index: Index) -> None:
    before = index.generation
    index.change([CATS])
    grown = index.generation
    index.passages([CATS.chunks[0].id])
    index.remove([])
    assert (before, grown, index.generation) == (0, 1, 1)
    index.remove([CATS.document.id])
    assert (index.generation, index.counts().documents) == (2, 0)
    index.close()


def test_a_changed_document_embeds_only_its_changed_windows(data_dir: Path) -> None:
    embedder = CountingEmbedder()
    with Index.open(load_settings(data_dir=data_dir), embedder) as index:
        index.change([CATS])
        embedder.asked.clear()
        text = "A new first line.\n" + CATS.document.text
        index.change([entry(CATS.document.path, text, header="Cats")])
        assert embedder.asked == ["Cats\nA new first line."]
        assert len(index.sparse(["cat"], 99)) == 4


def test_embeddings_nobody_uses_are_dropped(data_dir: Path) -> None:
    embedder = CountingEmbedder()
    with Index.open(load_settings(data_dir=data_dir), embedder) as index:
        index.change([CATS, DOGS])
        index.remove([CATS.document.id])
        index.library.drop_unused_embeddings()
        embedder.asked.clear()
        index.change([CATS, DOGS])
        assert sorted(embedder.asked) == sorted(f"Cats\n{line}" for line in CATS.document.text.split("\n"))


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


def test_readers_in_threads_never_see_half_a_change(index: Index) -> None:
    versions = [entry(CATS.document.path, f"cat one {n}\ncat two {n}") for n in range(20)]
    index.change([versions[0]])

    def read(_: int) -> set[str]:
        return {text for _ in range(30) for text in [index.text_of(CATS.document.id)]}

    with ThreadPoolExecutor(4) as pool:
        reads = [pool.submit(read, n) for n in range(3)]
        for version in versions:
            index.change([version])
        seen = set[str]().union(*(one.result() for one in reads))
    assert seen <= {version.document.text for version in versions}
    assert index.counts() == Counts(1, 1, 2, 2)
    index.close()


def test_stamps_and_unreadable_files_are_kept(index: Index) -> None:
    index.change([CATS])
    stamp = index.library.stamps()[CATS.document.path]
    assert stamp == Stamp(CATS.document.path, ROOT, CATS.document.digest, CATS.document.size, 1, "v1")
    index.library.touch([Stamp(stamp.path, stamp.root, stamp.digest, 7, 8, stamp.version)])
    touched = index.library.stamps()[CATS.document.path]
    assert (touched.size, touched.mtime_ns) == (7, 8)
    broken = Unreadable(f"{ROOT}/x.pdf", 5, 6, "v1", "broken")
    index.library.set_unreadable([broken], [])
    assert index.library.unreadable() == {broken.path: broken}
    index.library.set_unreadable([], [broken.path])
    assert index.library.unreadable() == {}
    index.close()


def test_many_windows_follow_in_pieces(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[int] = []
    upsert = EdgeVectors.upsert

    def counted(store: EdgeVectors, windows: Sequence[Window]) -> None:
        pieces.append(len(windows))
        upsert(store, windows)

    monkeypatch.setattr(EdgeVectors, "upsert", counted)
    index.change([entry(f"{ROOT}/{n}.md", "\n".join(f"line {n} {m}" for m in range(300))) for n in range(5)])
    assert pieces == [1200, 300]
    assert index.counts().windows == 1500
    index.close()
