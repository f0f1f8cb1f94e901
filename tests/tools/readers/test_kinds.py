"""Which reader reads what: first bytes decide where a suffix lies; archives are looked through before."""

import json
import struct
import zipfile
from pathlib import Path

import pytest

from infra.errors import DocumentError
from tests.tools.files import pdf_bytes, zip_bomb
from tests.tools.samples import assert_well_divided, every_format, read_as, xls_bytes, zipped
from tools.readers import archive, kinds, plain
from tools.readers.kinds import HEADING_CHARS, kind_of


def test_every_format_is_read_and_divided(tmp_path: Path) -> None:
    for suffix, data in every_format(tmp_path).items():
        assert_well_divided(read_as(tmp_path, f"a{suffix}", data))


@pytest.mark.parametrize("name", ["a.txt", "a", "a.bin", "a.html", "a.docx"])
def test_a_suffix_that_lies_is_found_out(tmp_path: Path, name: str) -> None:
    good = every_format(tmp_path)
    for suffix in (".pdf", ".docx", ".pptx", ".xlsx", ".xls", ".epub"):
        assert read_as(tmp_path, name, good[suffix]) == read_as(tmp_path, f"a{suffix}", good[suffix])


def test_a_page_without_a_suffix_loses_its_tags_and_a_script_keeps_them(tmp_path: Path) -> None:
    page = "\ufeff <!DOCTYPE HTML><p>Text"
    assert [read_as(tmp_path, name, page).text for name in ("a.txt", "a")] == ["Text", "Text"]
    assert "<p>" in read_as(tmp_path, "a.php", page).text


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (zipped({"a.txt": "x"}), "it is a ZIP archive: unpack it and give the folder"),
        (b"{\\rtf1 text}", "it is Rich Text (RTF): save it as DOCX"),
        (b"\x89PNG\r\n\x1a\n\0\0", "it is a binary file, not text"),
        (xls_bytes([["a"]])[:600], "it is an old Office file (.doc, .ppt, .msg): save it as DOCX, PPTX or EML"),
    ],
)
def test_what_nobody_reads_is_named(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_as(tmp_path, "a.xyz", data)
    assert str(caught.value) == reason


def test_a_zip_bomb_is_refused_by_its_size_and_by_its_ratio(tmp_path: Path) -> None:
    zip_bomb(tmp_path / "bomb", 50_000_000)
    data = (tmp_path / "bomb").read_bytes()
    with pytest.raises(
        DocumentError, match=r"unpacks to 50 MB or more, at most 40 MB are read; DOCMIND_INGEST__MAX_FILE_MB"
    ):
        read_as(tmp_path, "a.docx", data)
    with pytest.raises(DocumentError, match="it is a zip bomb: it unpacks to more than 200 times its size"):
        read_as(tmp_path, "a.docx", data, max_bytes=100_000_000)


def test_a_size_that_is_declared_too_small_hides_nothing(tmp_path: Path) -> None:
    zip_bomb(tmp_path / "bomb", 50_000_000)
    declared = struct.pack("<I", 50_000_000)
    lying = (tmp_path / "bomb").read_bytes().replace(declared, struct.pack("<I", 9))
    with pytest.raises(DocumentError, match="it is a zip bomb: it unpacks to more than 200 times its size"):
        read_as(tmp_path, "a.xlsx", lying)


def test_archives_of_too_many_files_of_odd_methods_and_with_passwords_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = every_format(tmp_path)[".xlsx"]
    locked = bytearray(good)
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        locked[locked.find(mark) + at] |= 1
    with pytest.raises(DocumentError, match="it is encrypted: save it without a password"):
        read_as(tmp_path, "a.xlsx", bytes(locked))
    with zipfile.ZipFile(tmp_path / "lzma.xlsx", "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr("xl/workbook.xml", "x")
    with pytest.raises(DocumentError, match="it is packed by a method that no document uses"):
        read_as(tmp_path, "a.xlsx", (tmp_path / "lzma.xlsx").read_bytes())
    monkeypatch.setattr(archive, "MAX_ENTRIES", 3)
    with pytest.raises(DocumentError, match="it is an archive of 6 files, at most 3 are unpacked"):
        read_as(tmp_path, "a.xlsx", good)


def test_the_reason_is_one_short_line(tmp_path: Path) -> None:
    with pytest.raises(DocumentError) as caught:
        read_as(tmp_path, "a.pdf", pdf_bytes(["x"])[:250])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 350


def test_a_document_of_more_parts_than_memory_can_bear_is_joined_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "MAX_UNITS", 2)
    extracted = read_as(tmp_path, "a.csv", "n\n1\n2\n3\n4\n5\n")
    assert [extracted.text[start:end] for start, end in extracted.sections[0].units] == ["n\n1\n2", "3\n4\n5"]
    monkeypatch.setattr(kinds, "MAX_SECTIONS", 1)
    with pytest.raises(DocumentError, match="it has 2 sections, at most 1 are read: divide it"):
        read_as(tmp_path, "a.md", "# a\nb\n# c\nd\n")


def test_a_heading_without_end_is_cut_wherever_it_is_told(tmp_path: Path) -> None:
    words = "w" * 9_000
    for name, text in (("a.md", f"# {words}\na\n## b\nc\n"), ("a.html", f"<h1>{words}</h1>a<h2>b</h2>c")):
        extracted = read_as(tmp_path, name, text)
        assert words in extracted.text
        assert extracted.title == words[:HEADING_CHARS]
        assert [section.headings for section in extracted.sections] == [
            (words[:HEADING_CHARS],),
            (words[:HEADING_CHARS], "b"),
        ]


def test_a_file_that_becomes_much_longer_as_text_is_refused(tmp_path: Path) -> None:
    data = json.dumps({f"long key {'k' * 70}": [{"a": {"b": 1}}] * 1_000})
    refused = r"it holds 0\.\d million characters, as many are read as a file may have bytes; DOCMIND_INGEST__MAX_FILE"
    with pytest.raises(DocumentError, match=refused):
        read_as(tmp_path, "a.json", data, max_bytes=len(data))


def test_a_message_does_not_tell_where_an_object_lies_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: object) -> None:
        raise ValueError("loop in Thing(5, 0, 140249957853392)\nat <T at 0x7f5f80d54210>")

    monkeypatch.setattr(plain, "read_plain", failing)
    with pytest.raises(DocumentError) as caught:
        read_as(tmp_path, "a.txt", "x")
    assert str(caught.value) == "the text is broken: loop in Thing(5, 0) at <T at>"


def test_suffixes_are_told_whatever_their_case() -> None:
    assert kind_of(Path("A.MD"), b"") == "markdown"
    assert kind_of(Path("A.Py"), b"") == "code"
    assert kind_of(Path("LICENSE"), b"") == "plain"
