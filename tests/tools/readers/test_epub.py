"""EPUB: chapters in reading order under their headings; what is protected or damaged is refused."""

from pathlib import Path

import pytest

from infra.errors import DocumentError
from tests.tools.samples import epub_bytes, read_as, stretches, zipped

CHAPTERS = [
    "<h1>One</h1><p>Once upon a time.</p>",
    "<p>No heading here.</p>",
    "<h1>Two</h1><h2>Last</h2><p>The end.</p>",
]


def protected_by(algorithm: str) -> dict[str, str | bytes]:
    names = 'xmlns:enc="http://www.w3.org/2001/04/xmlenc#"'
    method = f'<enc:EncryptedData {names}><enc:EncryptionMethod Algorithm="{algorithm}"/></enc:EncryptedData>'
    return {"META-INF/encryption.xml": f"<encryption>{method}</encryption>"}


def test_a_book_is_read_chapter_by_chapter(tmp_path: Path) -> None:
    extracted = read_as(tmp_path, "a.epub", epub_bytes(CHAPTERS))
    assert extracted.title == "Tales"
    assert stretches(extracted) == [
        (("One",), "One\n\nOnce upon a time."),
        ((), "No heading here."),
        (("Two", "Last"), "Two\n\nLast\n\nThe end."),
    ]


def test_a_chapter_without_a_heading_stands_under_the_title_of_its_page(tmp_path: Path) -> None:
    head = "<html><head><title>The\n Wood</title></head><body>"
    chapters = [f"{head}<p>Trees.</p><h2>Fox</h2><p>It ran.</p></body></html>", f"{head}<svg><title>x</title></svg>Oak"]
    assert stretches(read_as(tmp_path, "a.epub", epub_bytes([*chapters, "<p>No title.</p>"]))) == [
        (("The Wood",), "Trees."),
        (("Fox",), "Fox\n\nIt ran."),
        (("The Wood",), "Oak"),
        ((), "No title."),
    ]


def test_a_protected_book_is_refused_and_one_with_hidden_fonts_is_not(tmp_path: Path) -> None:
    aes = epub_bytes(CHAPTERS, more=protected_by("http://www.w3.org/2001/04/xmlenc#aes128-cbc"))
    with pytest.raises(DocumentError, match="the book is protected against copying"):
        read_as(tmp_path, "a.epub", aes)
    fonts = epub_bytes(CHAPTERS, more=protected_by("http://www.idpf.org/2008/embedding"))
    assert read_as(tmp_path, "a.epub", fonts).title == "Tales"


def test_chapters_that_are_missing_are_passed_over(tmp_path: Path) -> None:
    container = '<container><rootfile full-path="b.opf"/></container>'
    package = (
        '<package><item id="a" href="../../etc/hosts" media-type="text/html"/><itemref idref="a"/><itemref/></package>'
    )
    data = zipped({"META-INF/container.xml": container, "b.opf": package})
    with pytest.raises(DocumentError, match="there is no text in it"):
        read_as(tmp_path, "a.epub", data)


@pytest.mark.parametrize("container", ["<container/>", "", "<container><rootfile full-path='none.opf'/></container>"])
def test_a_book_that_names_no_package_is_broken(tmp_path: Path, container: str) -> None:
    with pytest.raises(DocumentError, match="the EPUB is broken: "):
        read_as(tmp_path, "a.epub", zipped({"META-INF/container.xml": container}))


def test_entities_that_multiply_stay_small(tmp_path: Path) -> None:
    names = "".join(f'<!ENTITY {b} "{f"&{a};" * 20}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    package = f'<!DOCTYPE p [<!ENTITY a "ha">{names}]><package><title>&i;</title></package>'
    data = epub_bytes(
        CHAPTERS, more={"OEBPS/bomb.opf": package, "META-INF/container.xml": "<rootfile full-path='OEBPS/bomb.opf'/>"}
    )
    with pytest.raises(DocumentError, match="there is no text in it"):
        read_as(tmp_path, "a.epub", data)
