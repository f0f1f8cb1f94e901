"""The index: what is stored can be found, quoted and named."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.settings import load_settings
from infra.store.index import Index
from infra.store.library import Stamp, Unreadable
from infra.store.records import Counts, DocumentInfo, StoredPassage, StoredWindow, Window, digest_of
from infra.store.vectors import EdgeVectors
from tests.infra.store.samples import CATS, DOGS, ROOT, CountingEmbedder, entry


@pytest.fixture
def index(data_dir: Path) -> Iterator[Index]:
    with Index.open(load_settings(data_dir=data_dir), CountingEmbedder()) as opened:
        opened.library.set_roots([ROOT])
        yield opened


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


def test_what_stands_after_a_nul_is_found_and_quoted_too(index: Index) -> None:
    odd = entry(f"{ROOT}/odd.md", "Cats\0 purr softly.\nDogs bark.")
    index.change([odd])
    assert [window.text for window in index.windows([span.id for span in odd.spans])] == [
        "Cats\0 purr softly.",
        "Dogs bark.",
    ]
    assert [hit.document_id for hit in index.sparse(["purr"], 9)] == [odd.document.id]


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
    assert (grown, index.generation) == (before + 1, before + 1)
    index.remove([CATS.document.id])
    assert (index.generation, index.counts().documents) == (before + 2, 0)
    index.library.set_roots(["/elsewhere"])  # documents are called otherwise
    assert index.generation == before + 3
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
