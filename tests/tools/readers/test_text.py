"""Text files: their text unchanged, their structure found."""

import os
import struct
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import DocumentError
from tests.tools.samples import read_as, stretches
from tools.extracted import Section, from_json, to_json
from tools.readers.source import Source, content_digest, decode

PLAIN = "Plain words with a damaged end, as no encoding has them. " * 3
FRENCH = "L'\u00e9t\u00e9 \u00e0 la plage, o\u00f9 l'on mange des cr\u00eapes. \u00c7a co\u00fbte 5 \u20ac.\n"
POLISH = (
    "Za\u017c\u00f3\u0142\u0107 g\u0119\u015bl\u0105 ja\u017a\u0144. Ksi\u0105\u017cka le\u017cy na p\u00f3\u0142ce.\n"
)
CHINESE = "\u8fd9\u662f\u4e00\u4e2a\u4e2d\u6587\u53e5\u5b50\u3002\u7f13\u5b58\u4fdd\u5b58\u8bfb\u53d6\u7684\u3002\n"
JAPANESE = "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3067\u3059\u3002\u4fdd\u5b58\u3057\u307e\u3059\u3002"
GERMAN = "Die Stra\u00dfe f\u00fchrt \u00fcber die Br\u00fccke nach K\u00f6ln."


def test_text_is_unchanged_but_for_newlines(tmp_path: Path) -> None:
    extracted = read_as(tmp_path, "a.txt", "one\r\ntwo\rthree\n\n  four\t5 \u00e9\u2028x ")
    assert extracted.text == "one\ntwo\nthree\n\n  four\t5 \u00e9\u2028x "
    assert extracted.sections == (Section(0, len(extracted.text)),)


def test_no_more_is_read_than_a_file_may_have_however_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("123456")
    with pytest.raises(DocumentError, match=r"at most 0.0 MB are read; DOCMIND_INGEST__MAX_FILE_MB decides"):
        Source(path, 5).text()
    assert content_digest(path, 5) == ""
    assert content_digest(path, 6) == sha256(b"123456").hexdigest()


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    for read in (Source(tmp_path / "a.txt", 5).data, lambda: content_digest(tmp_path / "a.txt", 5)):
        with pytest.raises(DocumentError, match="it is not a file any more"):
            read()


def test_a_first_line_that_stands_alone_is_the_title(tmp_path: Path) -> None:
    assert read_as(tmp_path, "a.txt", "On caches\n\nA cache keeps things.").title == "On caches"
    assert read_as(tmp_path, "a.txt", "A cache keeps things.\n\nOther things it drops.").title == ""
    assert read_as(tmp_path, "a.txt", "A cache keeps\nthings.").title == ""
    assert read_as(tmp_path, "a.txt", "Only line").title == ""


def test_a_conversation_keeps_its_lines_and_names_its_speakers(tmp_path: Path) -> None:
    text = "Time: 20260506_12:00\nLiHua: Hi! How are you?\nAnn: Fine.\nLiHua: Good.\n"
    extracted = read_as(tmp_path, "a.txt", text)
    assert (extracted.date, extracted.people, extracted.title) == ("6 May 2026 12:00", ("Li Hua", "Ann"), "")
    units = extracted.sections[0].units
    assert [text[start:end] for start, end in units] == text.rstrip("\n").split("\n")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain", "plain"),
        ("gr\u00fcn".encode(), "gr\u00fcn"),
        (b"\xef\xbb\xbfmark", "mark"),
        ("zwei \u00e4".encode("utf-16"), "zwei \u00e4"),
        ("zwei \u00e4".encode("utf-16-le"), "zwei \u00e4"),
        ((CHINESE * 9).encode("utf-16-be"), CHINESE * 9),
        (FRENCH.encode("cp1252"), FRENCH),
        (POLISH.encode("cp1250"), POLISH),
        (("a" * 300_000 + GERMAN).encode("cp1252"), "a" * 300_000 + GERMAN),
        ((CHINESE * 9_000).encode("gb18030"), CHINESE * 9_000),
        (("x" + JAPANESE * 9_000).encode("shift_jis"), "x" + JAPANESE * 9_000),
        (GERMAN.encode("cp1252"), GERMAN),
        (GERMAN.encode() + b" \xff!", GERMAN + " \ufffd!"),
        (PLAIN.encode() + b"\x1b\xc0 \x8f", PLAIN + "\x1b\ufffd \ufffd"),
    ],
)
def test_encodings_are_found(data: bytes, text: str) -> None:
    assert decode(data) == text


@pytest.mark.parametrize(
    "data",
    [
        Path(sys.executable).resolve().read_bytes()[:99_999],
        struct.pack("<999h", *range(-500, 499)),
        b"a line\0 and a NUL\n",
        b"\x00\x01\x02",
        b"\x89PNG\r\n\x1a\n\x00\x00",
        bytes(range(1, 256)) * 8,
        bytes(range(1, 32)) * 9,
    ],
)
def test_binary_files_are_refused(data: bytes) -> None:
    with pytest.raises(DocumentError, match="binary file"):
        decode(data)


@pytest.mark.parametrize("data", ["", " \n\t\r\n "])
def test_a_file_without_text_is_refused(tmp_path: Path, data: str) -> None:
    with pytest.raises(DocumentError, match="there is no text in it"):
        read_as(tmp_path, "a.txt", data)


def test_markdown_is_divided_at_its_headings(tmp_path: Path) -> None:
    text = "Intro.\n\n# Guide #\n\n## Setup\n\nInstall.\n\n```\n# no heading\n```\n\n### Deep\nx\n\n# End\ny\n#tag\n"
    extracted = read_as(tmp_path, "a.md", text)
    assert extracted.title == "Guide"
    assert stretches(extracted) == [
        ((), "Intro.\n\n"),
        (("Guide", "Setup"), "# Guide #\n\n## Setup\n\nInstall.\n\n```\n# no heading\n```\n\n"),
        (("Guide", "Setup", "Deep"), "### Deep\nx\n\n"),
        (("End",), "# End\ny\n#tag\n"),
    ]


def test_a_fence_ends_with_its_own_marks_only(tmp_path: Path) -> None:
    extracted = read_as(tmp_path, "a.md", "~~~~\n```\n# a\n~~~\n# b\n~~~~\n# c\nd")
    assert [headings for headings, _ in stretches(extracted)] == [(), ("c",)]


def test_a_heading_of_many_marks_takes_no_time(tmp_path: Path) -> None:
    marks, started = "#" * 60_000, time.thread_time()
    assert read_as(tmp_path, "a.md", f"# {marks}x\ny").title.startswith("##")
    assert time.thread_time() - started < 2


def test_rows_of_a_table_keep_their_places_and_know_their_columns(tmp_path: Path) -> None:
    text = 'name,note\nAnn,"likes\ncats, and ""dogs"""\n\nBo,x\n'
    extracted = read_as(tmp_path, "a.csv", text)
    (section,) = extracted.sections
    assert extracted.text == text
    assert section.columns == ("name", "note")
    assert [text[a:b] for a, b in section.units] == ["name,note", 'Ann,"likes\ncats, and ""dogs"""', "Bo,x"]
    assert (section.start, section.end) == (section.units[0][0], section.units[-1][1])


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
def test_the_delimiter_is_the_one_the_first_line_has(tmp_path: Path, delimiter: str) -> None:
    text = f"a{delimiter}b b{delimiter}c\n1{delimiter}2{delimiter}3\n"
    assert read_as(tmp_path, "t.csv", text).sections[0].columns == ("a", "b b", "c")


def test_a_table_of_one_line_is_that_line(tmp_path: Path) -> None:
    extracted = read_as(tmp_path, "t.tsv", "a\tb")
    assert extracted.sections == (Section(0, 3, columns=("a", "b"), units=((0, 3),)),)


def test_a_cell_may_hold_a_whole_text_and_a_quote_may_be_missing(tmp_path: Path) -> None:
    words = "x " * 200_000
    long = read_as(tmp_path, "t.csv", f'a,b\n1,"{words}"\n2,y\n')
    assert [end - start for start, end in long.sections[0].units] == [3, len(words) + 4, 3]
    open_ended = read_as(tmp_path, "u.csv", f'a,b\n1,"{words}\n2,y\n')
    assert open_ended.sections[0].end == len(open_ended.text) - 1


def test_a_first_row_that_names_no_columns_is_not_lost(tmp_path: Path) -> None:
    extracted = read_as(tmp_path, "t.csv", "saw,12\nhammer,7\n")
    assert [extracted.text[a:b] for a, b in extracted.sections[0].units] == ["saw,12", "hammer,7"]


@given(st.lists(st.lists(st.text(max_size=6), min_size=1, max_size=3), min_size=1, max_size=6))
@settings(max_examples=50)
def test_the_rows_of_any_table_stand_where_they_are_said_to(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    text = "\n".join(",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row) for row in rows)
    try:
        extracted = read_as(tmp_path_factory.getbasetemp(), "any.csv", text.encode("utf-8", "replace"))
    except DocumentError:
        return
    last = 0
    for start, end in extracted.sections[0].units:
        assert last <= start < end <= len(extracted.text)
        last = end


def test_what_a_reader_gives_travels_as_json(tmp_path: Path) -> None:
    for name, text in (("a.csv", "x,y\n1,2\n"), ("a.md", "# a\nb"), ("a.txt", "Ann: a\nBo: b\nAnn: c\nBo: d\n")):
        extracted = read_as(tmp_path, name, text)
        assert from_json(to_json(extracted)) == extracted
