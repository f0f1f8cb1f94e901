"""HTML, PDF and DOCX: what is read, what is left out, what is refused and why."""

from pathlib import Path

import pytest

from infra.errors import DocumentError
from tests.tools.files import encrypted_pdf, pdf_bytes, write_docx, zip_bomb
from tools.extracted import Extracted, Section
from tools.readers_rich import read_docx, read_html, read_pdf

MANY = 10_000_000


def html(tmp_path: Path, text: str) -> Extracted:
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    return read_html(path)


def stretches(extracted: Extracted) -> list[tuple[tuple[str, ...], str]]:
    return [(section.headings, extracted.text[section.start : section.end]) for section in extracted.sections]


def test_html_loses_its_tags_and_scripts_and_keeps_its_headings(tmp_path: Path) -> None:
    extracted = html(
        tmp_path,
        """<!doctype html><html><head><title> The  page </title><style>p {color: red}</style></head><body>
        <nav><a href="/">Home</a></nav><script>alert("x")</script><noscript>no</noscript><!-- comment -->
        <h1>Caches</h1><p>A <b>cache</b> keeps
        things.</p><h2>Kinds</h2><ul><li>Exact<li>Semantic</ul>
        <table><tr><th>name<th>size</tr><tr><td>KV</td><td>9&nbsp;GiB</td></tr></table>
        <pre>a = 1\n  b = 2\n</pre><p hidden>secret</p><div style="Display : None">secret</div>one<br>two
        <template>x</template></body></html>""",
    )
    assert extracted.title == "The page"
    assert extracted.text == (
        "Caches\n\nA cache keeps things.\n\nKinds\n\n- Exact\n- Semantic\n\nname | size\nKV | 9 GiB\n\n"
        "a = 1\n  b = 2\n\none\n\ntwo"
    )
    assert [headings for headings, _ in stretches(extracted)] == [("Caches",), ("Caches", "Kinds")]


def test_html_without_a_title_is_called_by_its_first_heading(tmp_path: Path) -> None:
    assert html(tmp_path, "<h3>Third</h3><p>Text").title == "Third"


def test_the_encoding_of_html_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes('<meta charset="iso-8859-1"><p>K\u00f6ln'.encode("latin-1"))
    assert read_html(path).text == "K\u00f6ln"


@pytest.mark.parametrize("text", ["", "<script>x</script>", "<p> </p>"])
def test_html_without_text_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DocumentError, match="there is no text in it"):
        html(tmp_path, text)


def test_deeply_nested_html_is_read(tmp_path: Path) -> None:
    assert html(tmp_path, "<div>" * 200 + "deep" + "</div>" * 200).text == "deep"


def test_each_page_of_a_pdf_is_a_section(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf_bytes(["First page.\nSecond line.", "", "Third page."], title="Report"))
    extracted = read_pdf(path)
    assert extracted == Extracted(
        "First page.\nSecond line.\n\nThird page.", "Report", (Section(0, 24, page=1), Section(26, 37, page=3))
    )


def test_pdfs_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    for data, reason in (
        (b"%PDF-1.4\nnothing more", "the PDF is broken"),
        (b"", "the PDF is broken"),
        (pdf_bytes(["x"])[:200], "the PDF is broken"),
        (encrypted_pdf(["secret"], "password"), "the PDF is encrypted: save it without a password"),
        (pdf_bytes([""]), "there is no text in the PDF"),
    ):
        path.write_bytes(data)
        with pytest.raises(DocumentError, match=reason):
            read_pdf(path)


def test_a_pdf_locked_with_an_empty_password_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(encrypted_pdf(["Open to all."], ""))
    assert read_pdf(path).text == "Open to all."


def test_word_documents_keep_headings_lists_and_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    write_docx(path)
    extracted = read_docx(path, MANY)
    assert extracted.title == "Prices"
    assert stretches(extracted) == [
        (("Price list", "Fruit"), "Price list\n\nFruit\n\nFruit is cheap.\n\n- Apples\n- Pears"),
        (("Price list", "Tools"), "Tools"),
        (("Price list", "Tools"), "tool | price\nsaw | 12"),
        (("Price list", "Tools"), "All prices in euro."),
    ]
    assert extracted.sections[2].columns == ("tool", "price")


def test_word_documents_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    for data, reason in (
        (b"\xd0\xcf\x11\xe0 old", "the document is encrypted, or an old .doc"),
        (b"no zip", "the DOCX is broken"),
        (b"", "the DOCX is broken"),
    ):
        path.write_bytes(data)
        with pytest.raises(DocumentError, match=reason):
            read_docx(path, MANY)
    zip_bomb(path, 1_000)
    with pytest.raises(DocumentError, match="the DOCX is broken"):
        read_docx(path, MANY)
    zip_bomb(path, 50_000_000)
    with pytest.raises(DocumentError, match=r"unpacks to 50 MB, at most 40 MB are read; DOCMIND_INGEST__MAX_FILE_MB"):
        read_docx(path, MANY)
