"""Ingestion: the index follows the files, whatever happens to them; the unreadable is named and the rest goes on."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.settings import IngestSettings, load_settings
from infra.store.index import Index
from tests.tools.files import encrypted_pdf, pdf_bytes, write, write_docx
from tests.tools.words import WordEmbedder
from tools import ingest as door
from tools import ingest_work
from tools.ingest import ingest
from tools.ingest_report import IngestReport, Progress
from tools.ingest_scan import Found
from tools.reading import Reading

SETTINGS = IngestSettings()


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    write(folder / "caches.md", "# Caches\n\nA cache keeps what was read.\n\n## Kinds\n\nExact and semantic ones.\n")
    write(folder / "notes" / "prices.csv", "name,price\nsaw,12\nhammer,7\n")
    write(folder / "plain.txt", "Plain text about weather.\n")
    return folder


@pytest.fixture
def index(data_dir: Path) -> Iterator[Index]:
    with Index.open(load_settings(data_dir=data_dir), WordEmbedder()) as opened:
        yield opened


def run(index: Index, *paths: Path, prune: bool = False, settings: IngestSettings = SETTINGS) -> IngestReport:
    return ingest(index, WordEmbedder(), paths, settings=settings, prune=prune)


def counts(report: IngestReport) -> tuple[int, int, int, int]:
    return report.added, report.changed, report.removed, report.unchanged


def names(index: Index, roots: Sequence[str] | None = None) -> list[str]:
    return [document.doc for document in index.documents(roots)]


def contents(index: Index) -> object:
    """Everything that is stored, for comparison."""
    documents = index.documents()
    chunks = [hit.chunk_id for hit in index.sparse(["cach", "saw", "plain", "new", "hammer"], 99)]
    return documents, [index.text_of(d.id) for d in documents], sorted(chunks), index.roots(), index.counts()


def test_files_are_read_once_and_followed_from_then_on(index: Index, docs: Path) -> None:
    first = run(index, docs)
    assert (counts(first), first.chunks, first.failed) == ((3, 0, 0, 0), 4, ())
    assert names(index) == ["caches.md", "notes/prices.csv", "plain.txt"]
    generation = index.generation
    assert counts(run(index, docs)) == (0, 0, 0, 3)
    assert index.generation == generation
    write(docs / "caches.md", "# Caches\n\nA cache forgets.\n", age=120)
    write(docs / "new.txt", "A new file.")
    (docs / "plain.txt").unlink()
    assert counts(run(index, docs)) == (1, 1, 1, 1)
    assert index.text_named("caches.md") == "# Caches\n\nA cache forgets.\n"
    assert names(index) == ["caches.md", "new.txt", "notes/prices.csv"]


def test_unchanged_files_are_not_opened_and_touched_ones_only_hashed(
    index: Index, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(index, docs)
    hashed: list[str] = []
    digest = door._digest

    def noted(found: Found, max_bytes: int) -> object:
        hashed.append(Path(found.path).name)
        return digest(found, max_bytes)

    monkeypatch.setattr(door, "_digest", noted)
    assert (counts(run(index, docs)), hashed) == ((0, 0, 0, 3), [])
    os.utime(docs / "plain.txt", ns=(0, 10**18 + 5))
    assert (counts(run(index, docs)), hashed) == ((0, 0, 0, 3), ["plain.txt"])
    assert (counts(run(index, docs)), hashed) == ((0, 0, 0, 3), ["plain.txt"])


def test_an_edit_within_the_same_size_and_second_is_seen(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one")
    status = file.stat()
    monkeypatch.setattr("tools.ingest_scan.time", SimpleNamespace(time_ns=lambda: status.st_mtime_ns + 10**9))
    run(index, file)
    file.write_text("two")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert counts(run(index, file)) == (0, 1, 0, 0)
    assert index.text_named("a.txt") == "two"


def test_quotes_stand_at_their_places_in_every_format(index: Index, docs: Path) -> None:
    (docs / "report.pdf").write_bytes(pdf_bytes(["Page one is here.", "Page two is there."], title="Report"))
    (docs / "page.html").write_text("<title>Web</title><h1>Head</h1><p>Some words. Others.</p>")
    write_docx(docs / "prices.docx")
    assert run(index, docs).failed == ()
    headers: dict[str, list[str]] = {}
    for document in index.documents():
        text = index.text_of(document.id)
        found = [p for p in index.passages(chunk_ids(index)) if p.document_id == document.id]
        assert [p.text for p in found] == [text[p.start : p.end] for p in found]
        headers[document.doc] = [p.header for p in sorted(found, key=lambda p: p.start)]
    assert headers == {
        "caches.md": ["Caches", "Caches | Kinds"],
        "notes/prices.csv": ["prices | columns: name, price | notes"],
        "page.html": ["Web | Head"],
        "plain.txt": ["plain"],
        "prices.docx": [
            "Prices | Price list | Fruit",
            "Prices | Price list | Tools",
            "Prices | Price list | Tools | columns: tool, price",
            "Prices | Price list | Tools",
        ],
        "report.pdf": ["Report | page 1", "Report | page 2"],
    }


def chunk_ids(index: Index) -> list[str]:
    vector = WordEmbedder().embed(["anything"])[0]
    return list(dict.fromkeys(hit.chunk_id for hit in index.dense(vector, 999)))


def test_a_single_file_is_a_root_of_its_own_and_never_touches_its_neighbours(index: Index, docs: Path) -> None:
    report = run(index, docs / "plain.txt")
    assert (counts(report), report.chunks, names(index)) == ((1, 0, 0, 0), 1, ["plain.txt"])
    assert counts(run(index, docs / "caches.md")) == (1, 0, 0, 0)
    assert names(index) == ["caches.md", "plain.txt"]
    # the folder takes its files over: no document is there twice, and their names begin at the folder
    assert counts(run(index, docs))[:3] == (1, 2, 0)
    assert (index.roots(), index.counts().documents) == ([str(docs)], 3)
    (docs / "caches.md").unlink()
    assert counts(run(index, docs / "plain.txt")) == (0, 0, 0, 1)
    assert len(names(index)) == 3
    assert names(index, [str(docs / "plain.txt")]) == ["plain.txt"]


def test_a_folder_inside_a_root_brings_only_that_part_up_to_date(index: Index, docs: Path) -> None:
    run(index, docs)
    (docs / "notes" / "prices.csv").unlink()
    (docs / "plain.txt").unlink()
    assert counts(run(index, docs / "notes")) == (0, 0, 1, 0)
    assert (names(index), index.roots()) == (["caches.md", "plain.txt"], [str(docs)])


def test_several_roots_live_beside_each_other_until_pruned(index: Index, docs: Path, tmp_path: Path) -> None:
    write(tmp_path / "other" / "docs" / "x.txt", "Another folder.")
    run(index, docs)
    assert counts(run(index, tmp_path / "other" / "docs")) == (1, 0, 0, 0)
    base = tmp_path.name
    assert names(index)[0] == f"{base}/docs/caches.md"
    assert names(index)[3] == "other/docs/x.txt"
    assert counts(run(index, tmp_path / "other" / "docs", prune=True)) == (0, 0, 3, 1)
    assert (names(index), index.roots()) == (["x.txt"], [str(tmp_path / "other" / "docs")])


def test_files_that_cannot_be_read_are_named_and_the_rest_goes_on(
    index: Index, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (docs / "broken.pdf").write_bytes(b"%PDF-1.4")
    (docs / "locked.pdf").write_bytes(encrypted_pdf(["x"], "key"))
    (docs / "image.png").write_bytes(b"\x89PNG\0\0")
    (docs / "empty.txt").write_text("")
    (docs / "loop").symlink_to(docs)
    write(docs / "large.txt", "x" * 3_000)
    opened = os.open

    def refuse(path: Any, *how: Any, **options: Any) -> int:
        if str(path).endswith("plain.txt"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *how, **options)

    monkeypatch.setattr(os, "open", refuse)
    report = run(index, docs, settings=IngestSettings(max_file_mb=0.002))
    assert counts(report) == (2, 0, 0, 0)
    assert [(Path(failure.path).name, failure.error.split(":")[0]) for failure in report.failed] == [
        ("broken.pdf", "the PDF is broken"),
        ("empty.txt", "there is no text in it"),
        ("image.png", "it is a binary file, not text"),
        ("large.txt", "it has 0.0 MB, at most 0.0 MB are read; DOCMIND_INGEST__MAX_FILE_MB decides"),
        ("locked.pdf", "the PDF is encrypted"),
        ("loop", "the link is a loop"),
        ("plain.txt", "Permission denied"),
    ]


def test_a_broken_file_is_not_tried_again_until_it_changes_and_takes_its_old_content_along(
    index: Index, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = docs / "report.pdf"
    report.write_bytes(pdf_bytes(["A page."]))
    run(index, docs)
    write(report, "%PDF-1.4")
    broken = run(index, docs)
    assert (counts(broken), len(broken.failed)) == ((0, 0, 1, 3), 1)
    assert "report.pdf" not in names(index)
    with monkeypatch.context() as patch:
        patch.setattr(Reading, "read", None)
        again = run(index, docs)
    assert (counts(again), again.failed) == ((0, 0, 0, 3), broken.failed)
    report.write_bytes(pdf_bytes(["A better page."]))
    assert (counts(run(index, docs)), index.library.unreadable()) == ((1, 0, 0, 3), {})


def test_a_file_that_vanishes_while_it_is_read_is_reported(
    index: Index, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(progress: Progress) -> None:
        if progress.path.endswith("plain.txt"):
            Path(progress.path).unlink()

    report = ingest(index, WordEmbedder(), [docs], settings=SETTINGS, progress=vanish)
    assert (counts(report), report.failed[0].error) == ((2, 0, 0, 0), "No such file or directory")


def test_progress_is_told_for_files_that_are_read_and_windows_that_are_embedded(index: Index, docs: Path) -> None:
    told: list[Progress] = []
    ingest(index, WordEmbedder(), [docs], settings=SETTINGS, progress=told.append)
    assert [(Path(at.path).name, at.done, at.total, at.embedded, at.windows) for at in told] == [
        ("caches.md", 0, 3, 0, 0),
        ("prices.csv", 1, 3, 0, 0),
        ("plain.txt", 2, 3, 0, 0),
        ("", 3, 3, 0, 4),
        ("", 3, 3, 0, 0),
    ]
    told.clear()
    ingest(index, WordEmbedder(), [docs], settings=SETTINGS, progress=told.append)
    assert told == []


def test_progress_is_told_inside_a_single_large_file(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_work, "EMBED_WINDOWS", 4)
    write(tmp_path / "large.txt", "\n\n".join(f"Paragraph {n} of a long text about things." for n in range(150)))
    told: list[Progress] = []
    report = ingest(index, WordEmbedder(), [tmp_path], settings=SETTINGS, progress=told.append)
    steps = [at for at in told if at.windows]
    assert [at.embedded for at in steps] == list(range(0, report.embedded, 4))
    assert str(steps[1]) == f"embedding 4 of {report.embedded} windows"


@pytest.mark.parametrize("version", ["VERSION"])
def test_another_version_of_reader_or_splitter_reads_everything_again(
    index: Index, docs: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    run(index, docs)
    before = contents(index)
    monkeypatch.setattr(door, version, "another")
    assert counts(run(index, docs)) == (0, 3, 0, 0)
    assert contents(index) == before


def test_embeddings_of_what_is_gone_are_dropped_and_a_moved_file_needs_none_anew(index: Index, docs: Path) -> None:
    def kept() -> int:
        return len(index.library._database.rows("SELECT key FROM embeddings"))

    run(index, docs)
    before = kept()
    (docs / "plain.txt").rename(docs / "plain.md")
    assert counts(run(index, docs)) == (0, 0, 0, 2)
    assert kept() == before
    (docs / "plain.md").unlink()
    run(index, docs)
    assert kept() == before - 1


def test_equal_texts_under_two_paths_are_two_documents(index: Index, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        write(tmp_path / "twins" / name, "The same words.")
    run(index, tmp_path / "twins")
    found = index.passages(chunk_ids(index))
    assert sorted((p.doc, p.text) for p in found) == [("a.txt", "The same words."), ("b.txt", "The same words.")]
