"""Every format, from the file to the report: what is cited says where it stands, what cannot be read says why."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.settings import IngestSettings, load_settings
from infra.store.index import Index
from tests.tools.files import encrypted_pdf, zip_bomb
from tests.tools.samples import epub_bytes, every_format, ole_bytes, read_as
from tests.tools.words import WordEmbedder
from tools.chunk import cut
from tools.context import header_of
from tools.ingest import ingest

PLACES = {
    ".txt": "On caches",
    ".md": "Caches | Kinds",
    ".rst": "Caches | Kinds",
    ".html": "T | Caches",
    ".pdf": "Report | page 2",
    ".docx": "Prices | Price list | Tools | columns: tool, price",
    ".pptx": "Prices | Tools | page 2 | columns: tool, price",
    ".xlsx": "a | Prices | columns: tool, price",
    ".xls": "a | Prices | columns: tool, price",
    ".ods": "a | Prices | columns: tool, price",
    ".csv": "a | columns: name, price",
    ".tsv": "a | columns: name, price",
    ".epub": "Tales | Two",
    ".ipynb": "Study | Method | cell 2",
    ".json": "a | tools",
    ".jsonl": "a",
    ".eml": "Prices für May | 6 May 2026 12:30 | Ann Lee, bo@example.org, Cy",
    ".py": "a | Cache.get",
    ".js": "a | twice",
    ".ts": "a | Shop.open",
    ".java": "a | Shop.open",
    ".go": "a | Shop.Open",
    ".rs": "a | Shop.open",
    ".c": "a | add",
    ".cpp": "a | shop.Tool",
    ".yaml": "a",
}
"""The header of one passage of each good file, called ``a``."""


@pytest.fixture
def index(data_dir: Path) -> Iterator[Index]:
    with Index.open(load_settings(data_dir=data_dir), WordEmbedder()) as opened:
        yield opened


def test_a_passage_of_every_format_says_where_it_stands(tmp_path: Path) -> None:
    samples = every_format(tmp_path)
    assert samples.keys() == PLACES.keys()
    for suffix, data in samples.items():
        extracted = read_as(tmp_path, f"a{suffix}", data)
        cuts = cut(extracted, lambda section, whole=extracted: header_of(whole, section, "a"))
        assert PLACES[suffix] in [piece.header for piece in cuts]


def test_what_cannot_be_read_is_reported_by_name_with_its_reason_and_the_rest_is_read(
    tmp_path: Path, index: Index
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    drm = '<encryption><EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes256-cbc"/></encryption>'
    good = every_format(tmp_path)
    for suffix, data in good.items():
        (docs / f"good{suffix}").write_bytes(data)
    (docs / "broken.docx").write_bytes(good[".docx"][:3_000])
    (docs / "locked.pdf").write_bytes(encrypted_pdf(["x"], "password"))
    (docs / "locked.xlsx").write_bytes(ole_bytes("EncryptedPackage", b"x"))
    (docs / "locked.epub").write_bytes(epub_bytes(["x"], more={"META-INF/encryption.xml": drm}))
    (docs / "large.txt").write_bytes(b"x" * 3_000_000)
    (docs / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    zip_bomb(docs / "bomb.pptx", 30_000_000)
    (docs / "round").symlink_to(docs)

    report = ingest(index, WordEmbedder(), [docs], settings=IngestSettings(max_file_mb=2))

    assert report.added == len(good)
    assert {Path(failure.path).name: failure.error for failure in report.failed} == {
        "broken.docx": "the DOCX is broken: File is not a zip file",
        "locked.pdf": "the PDF is encrypted: save it without a password",
        "locked.xlsx": "the document is encrypted: save it without a password",
        "locked.epub": "the book is protected against copying (DRM): no program but its shop's can read it",
        "large.txt": "it has 3.0 MB, at most 2.0 MB are read; DOCMIND_INGEST__MAX_FILE_MB decides",
        "picture.txt": "it is a binary file, not text",
        "bomb.pptx": "it unpacks to 30 MB or more, at most 8 MB are read; DOCMIND_INGEST__MAX_FILE_MB decides",
        "round": "the link is a loop: it leads to a folder that it stands in",
    }
