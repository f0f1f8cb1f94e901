"""Mail: subject, people and date; the text, or the HTML; attachments by name."""

from pathlib import Path

import pytest

from infra.errors import DocumentError
from tests.tools.samples import mail_bytes, read_as

HEAD = (
    "Subject: Prices f\u00fcr May\nFrom: Ann Lee <ann@example.org>\nTo: bo@example.org, Cy <cy@example.org>\n"
    "Date: Wed, 06 May 2026 12:30:00 +0000"
)


def test_a_mail_says_who_wrote_what_when_and_names_its_attachments(tmp_path: Path) -> None:
    extracted = read_as(tmp_path, "a.eml", mail_bytes())
    assert extracted.text == f"{HEAD}\n\nSaws cost 12.\n\nHammers cost 7.\n\nAttachments: prices.pdf"
    assert (extracted.title, extracted.date) == ("Prices f\u00fcr May", "6 May 2026 12:30")
    assert extracted.people == ("Ann Lee", "bo@example.org", "Cy")


def test_a_mail_of_html_only_is_read_as_html(tmp_path: Path) -> None:
    extracted = read_as(tmp_path, "a.eml", mail_bytes(html=True))
    assert extracted.text == f"{HEAD}\n\nList\n\nSaws cost 12.\n\nAttachments: prices.pdf"
    assert extracted.sections[-1].headings == ("List",)


def test_a_mail_in_an_unknown_character_set_is_read(tmp_path: Path) -> None:
    data = b"Subject: x\nContent-Type: text/plain; charset=nobody-knows\n\nSaws cost \xe2\x82\xac12.\n"
    assert read_as(tmp_path, "a.eml", data).text == "Subject: x\n\nSaws cost \u20ac12."


@pytest.mark.parametrize("header", ["Date: tomorrow", "From: <<>>,,;;", "Date: Mon, 99 Foo 2026 99:99", "To: a@b (("])
def test_damaged_headers_are_no_reason_to_give_up(tmp_path: Path, header: str) -> None:
    assert read_as(tmp_path, "a.eml", f"Subject: x\n{header}\n\nBody.\n").text.endswith("\n\nBody.")


def test_what_has_no_header_is_no_mail(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="it is not a mail"):
        read_as(tmp_path, "a.eml", "Just words.\n")
