"""Whatever happens to files and folders, the index becomes what a fresh build gives, and known words embed nothing."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from infra.settings import IngestSettings, load_settings
from infra.store.index import Index
from tests.tools.files import write
from tests.tools.library_state import fresh_state, state_of
from tests.tools.words import WordEmbedder
from tools.extracted import Extracted
from tools.ingest import ingest
from tools.reading import Reading

BOUNDS = IngestSettings()
TITLED = "# Caches\n\nA cache keeps what was read.\n\n## Kinds\n\nExact and semantic ones.\n"


class CountingEmbedder(WordEmbedder):
    """Knows what it was asked for, call by call."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.calls.append(list(texts))
        return super().embed(texts)


@pytest.fixture
def embedder() -> CountingEmbedder:
    return CountingEmbedder()


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    write(folder / "caches.md", TITLED)
    write(folder / "notes" / "prices.csv", "name,price\nsaw,12\nhammer,7\n")
    write(folder / "notes" / "deep" / "plain.txt", "Plain words about weather.\n")
    return folder


@pytest.fixture
def index(data_dir: Path, embedder: CountingEmbedder) -> Iterator[Index]:
    with Index.open(load_settings(data_dir=data_dir), embedder) as opened:
        yield opened


class Counts(NamedTuple):
    added: int = 0
    changed: int = 0
    moved: int = 0
    removed: int = 0
    unchanged: int = 0
    embedded: int = 0


def run(index: Index, embedder: CountingEmbedder, *paths: Path, prune: bool = False) -> Counts:
    report = ingest(index, embedder, paths, settings=BOUNDS, prune=prune)
    return Counts(*(getattr(report, name) for name in Counts._fields))


def move_a_file(docs: Path) -> None:
    (docs / "caches.md").rename(docs / "other.md")


def move_a_file_whose_header_is_its_name(docs: Path) -> None:
    (docs / "notes" / "deep" / "plain.txt").rename(docs / "notes" / "deep" / "renamed.txt")


def rename_a_folder(docs: Path) -> None:
    (docs / "notes").rename(docs / "12")


def change_the_case_of_a_name(docs: Path) -> None:
    (docs / "caches.md").rename(docs / "Caches.md")


def exchange_two_files(docs: Path) -> None:
    (docs / "caches.md").rename(docs / "x.md")
    (docs / "notes" / "prices.csv").rename(docs / "caches.md")
    (docs / "x.md").rename(docs / "notes" / "prices.csv")


def put_a_folder_in_the_place_of_a_file(docs: Path) -> None:
    (docs / "caches.md").unlink()
    write(docs / "caches.md" / "inner.md", "# Inner\n\nWords.")


def put_a_file_in_the_place_of_a_folder(docs: Path) -> None:
    (docs / "notes" / "prices.csv").unlink()
    (docs / "notes" / "deep" / "plain.txt").rename(docs / "x")
    (docs / "notes" / "deep").rmdir()
    (docs / "notes").rmdir()
    (docs / "x").rename(docs / "notes")


def make_a_file_unreadable(docs: Path) -> None:
    (docs / "caches.md").write_bytes(b"\0\1\2")


def put_links(docs: Path) -> None:
    (docs / "caches.md").rename(docs / "real.md")
    (docs / "caches.md").symlink_to(docs / "real.md")
    (docs / "loop").symlink_to(docs)


def copy_a_file(docs: Path) -> None:
    write(docs / "copy.md", TITLED)


def move_one_of_two_equal_files(docs: Path) -> None:
    write(docs / "notes" / "caches.md", TITLED)
    (docs / "caches.md").rename(docs / "first.md")


def touch_all(docs: Path) -> None:
    for path in docs.rglob("*.*"):
        os.utime(path, ns=(0, 10**18 + 999))


def remove_all_but_one(docs: Path) -> None:
    (docs / "caches.md").unlink()
    (docs / "notes" / "prices.csv").unlink()


@pytest.mark.parametrize(
    ("happens", "expected"),
    [
        (move_a_file, Counts(moved=1, unchanged=2)),
        (move_a_file_whose_header_is_its_name, Counts(moved=1, unchanged=2, embedded=1)),
        (rename_a_folder, Counts(moved=2, unchanged=1, embedded=2)),
        (change_the_case_of_a_name, Counts(moved=1, unchanged=2)),
        (exchange_two_files, Counts(changed=2, unchanged=1, embedded=2)),
        (put_a_folder_in_the_place_of_a_file, Counts(added=1, removed=1, unchanged=2, embedded=1)),
        (put_a_file_in_the_place_of_a_folder, Counts(moved=1, removed=1, unchanged=1, embedded=1)),
        (make_a_file_unreadable, Counts(removed=1, unchanged=2)),
        (put_links, Counts(moved=1, unchanged=2)),
        (copy_a_file, Counts(added=1, unchanged=3)),
        (move_one_of_two_equal_files, Counts(added=1, moved=1, unchanged=2, embedded=2)),
        (touch_all, Counts(unchanged=3)),
        (remove_all_but_one, Counts(removed=2, unchanged=1)),
    ],
)
def test_the_index_becomes_what_a_fresh_build_gives(
    index: Index,
    embedder: CountingEmbedder,
    docs: Path,
    tmp_path: Path,
    happens: Callable[[Path], None],
    expected: Counts,
) -> None:
    run(index, embedder, docs)
    happens(docs)
    found = run(index, embedder, docs)
    assert state_of(index, embedder) == fresh_state(tmp_path / "fresh", embedder, [docs])
    assert found == expected


def test_what_was_unreadable_is_read_when_it_can_be(index: Index, embedder: CountingEmbedder, docs: Path) -> None:
    make_a_file_unreadable(docs)
    run(index, embedder, docs)
    assert run(index, embedder, docs) == Counts(unchanged=2)
    write(docs / "caches.md", TITLED)
    assert run(index, embedder, docs) == Counts(added=1, unchanged=2, embedded=2)
    assert index.library.unreadable() == {}


def test_a_broken_link_in_the_place_of_an_unreadable_file_leaves_no_note_of_that_file(
    index: Index, embedder: CountingEmbedder, docs: Path
) -> None:
    make_a_file_unreadable(docs)
    run(index, embedder, docs)
    (docs / "caches.md").unlink()
    (docs / "caches.md").symlink_to(docs / "nowhere.md")
    run(index, embedder, docs)
    assert index.library.unreadable() == {}


def test_a_file_beyond_a_bound_is_tried_again_under_another_bound(
    index: Index, embedder: CountingEmbedder, docs: Path
) -> None:
    write(docs / "large.txt", "Words of a large text. " * 200)
    small = IngestSettings(max_file_mb=0.003)
    assert ingest(index, embedder, [docs], settings=small).added == 3
    assert ingest(index, embedder, [docs], settings=small).added == 0
    assert ingest(index, embedder, [docs], settings=BOUNDS).added == 1


def test_a_moved_document_is_there_at_every_moment(
    index: Index, embedder: CountingEmbedder, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(index, embedder, docs)
    seen: list[int] = []
    change = index.library.change

    def watched(*given: object) -> None:
        seen.append(index.counts().documents)
        change(*given)  # pyright: ignore[reportArgumentType]
        seen.append(index.counts().documents)

    monkeypatch.setattr(index.library, "change", watched)
    move_a_file(docs)
    run(index, embedder, docs)
    assert seen == [3, 3]


def test_roots_inside_each_other_hold_each_document_once(
    index: Index, embedder: CountingEmbedder, docs: Path, tmp_path: Path
) -> None:
    inner = docs / "notes" / "deep"
    assert run(index, embedder, inner) == Counts(added=1, embedded=1)
    assert run(index, embedder, docs / "notes", inner) == Counts(added=1, changed=1, embedded=2)
    assert run(index, embedder, docs, docs / "notes").added == 1
    assert index.roots() == [str(docs)]
    assert state_of(index, embedder) == fresh_state(tmp_path / "fresh", embedder, [docs])


def test_a_move_from_one_root_to_another_is_a_move(
    index: Index, embedder: CountingEmbedder, docs: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    write(other / "x.md", "# Other\n\nThings.")
    run(index, embedder, docs, other)
    (docs / "caches.md").rename(other / "caches.md")
    assert run(index, embedder, docs, other) == Counts(moved=1, unchanged=3)
    assert state_of(index, embedder) == fresh_state(tmp_path / "fresh", embedder, [docs, other])
    assert run(index, embedder, other, prune=True) == Counts(removed=2, unchanged=2)
    assert state_of(index, embedder) == fresh_state(tmp_path / "pruned", embedder, [other])


def test_one_changed_chunk_is_one_call_of_the_embedder_for_its_windows_alone(
    index: Index, embedder: CountingEmbedder, docs: Path, tmp_path: Path
) -> None:
    sections = [f"## Part {n}\n\nSentence {n} of the text." for n in range(40)]
    write(docs / "long.md", "# Long\n\n" + "\n\n".join(sections))
    run(index, embedder, docs)
    embedder.calls.clear()
    sections[3] = "## Part 3\n\nQuite another sentence, and longer."
    write(docs / "long.md", "# Long\n\n" + "\n\n".join(sections), age=200)
    assert run(index, embedder, docs) == Counts(changed=1, unchanged=3, embedded=1)
    assert embedder.calls == [["Long | Part 3\n## Part 3\n\nQuite another sentence, and longer."]]
    assert state_of(index, embedder) == fresh_state(tmp_path / "fresh", embedder, [docs])


def test_words_put_at_the_start_leave_the_ids_of_all_other_passages(
    index: Index, embedder: CountingEmbedder, docs: Path
) -> None:
    sections = [f"## Part {n}\n\nSentence {n} of the text." for n in range(20)]

    def ids() -> set[str]:
        return {row[0] for row in index.library._database.rows("SELECT id FROM chunks")}

    write(docs / "long.md", "# Long\n\n" + "\n\n".join(sections))
    run(index, embedder, docs)
    before = ids()
    write(docs / "long.md", "# Long\n\nNew words.\n\n" + "\n\n".join(sections), age=200)
    run(index, embedder, docs)
    assert (len(before - ids()), len(ids() - before)) == (1, 2)


def test_passages_of_the_same_words_in_one_document_are_each_there(
    index: Index, embedder: CountingEmbedder, docs: Path
) -> None:
    write(docs / "twice.md", "# One\n\n" + "## Same\n\nThe same words.\n\n" * 3)
    assert run(index, embedder, docs / "twice.md") == Counts(added=1, embedded=2)
    found = index.passages([hit.chunk_id for hit in index.sparse(["word"], 9)])
    assert len({passage.id for passage in found}) == index.counts().windows == 3


def test_a_file_that_was_another_one_while_it_was_read_is_read_again(
    index: Index, embedder: CountingEmbedder, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = docs / "notes" / "deep" / "plain.txt", Reading.read
    before = path.read_text()

    def read_amid_edits(reading: Reading, at: Path, size: int) -> Extracted:
        if at != path:
            return read(reading, at, size)
        write(path, "Other words for a moment.\n", age=70)
        try:
            return read(reading, at, size)
        finally:
            write(path, "And others.\n", age=80)

    with monkeypatch.context() as patch:
        patch.setattr(Reading, "read", read_amid_edits)
        ingest(index, embedder, [docs], settings=BOUNDS)
    write(path, before, age=90)
    assert ingest(index, embedder, [docs], settings=BOUNDS).changed == 1
    assert index.text_named("notes/deep/plain.txt") == before
