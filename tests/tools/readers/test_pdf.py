"""PDF: a section a page, and why some cannot be read."""

from pathlib import Path

import pytest

from infra.errors import DocumentError
from tests.tools.files import encrypted_pdf, pdf_bytes
from tests.tools.samples import read_as
from tools.extracted import Extracted, Section


def test_each_page_of_a_pdf_is_a_section(tmp_path: Path) -> None:
    data = pdf_bytes(["First page.\nSecond line.", "", "Third page."], title="Report")
    assert read_as(tmp_path, "a.pdf", data) == Extracted(
        "First page.\nSecond line.\n\nThird page.", "Report", (Section(0, 24, page=1), Section(26, 37, page=3))
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"%PDF-1.4\nnothing more", "the PDF is broken: "),
        (b"", "the PDF is broken: "),
        (pdf_bytes(["x"])[:200], "the PDF is broken: "),
        (encrypted_pdf(["secret"], "password"), "the PDF is encrypted: save it without a password"),
        (pdf_bytes([""]), "there is no text in the PDF"),
    ],
)
def test_pdfs_that_cannot_be_read_say_why(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(DocumentError, match=reason):
        read_as(tmp_path, "a.pdf", data)


def test_a_pdf_locked_with_an_empty_password_is_read(tmp_path: Path) -> None:
    assert read_as(tmp_path, "a.pdf", encrypted_pdf(["Open to all."], "")).text == "Open to all."
