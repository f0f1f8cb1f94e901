"""Files to text: one file in, its extracted text with sections out, or a ``DocumentError`` that says why not.

Text files (txt, Markdown, CSV, and whatever else decodes as text) keep their text unchanged but for the newlines. What
has a structure of its own (HTML, PDF, DOCX) goes through ``tools.readers_rich``, which ``tools.reading`` runs in a
process of its own. A file without text counts as unreadable: nothing in it could be found or quoted.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from charset_normalizer import from_bytes

from infra.errors import DocumentError
from tools.context import find_date, find_people
from tools.extracted import Extracted, Section, Span, clean

READER_VERSION = "read-1"
"""Raised when any reader gives another text or other sections, so that documents read before are read again."""

RICH = {".html": "html", ".htm": "html", ".xhtml": "html", ".pdf": "pdf", ".docx": "docx"}
"""Suffixes of the formats with a structure of their own."""
MARKDOWN = (".md", ".markdown")
TABLES = (".csv", ".tsv")
DELIMITERS = ",;\t|"
SNIFFED_BYTES = 262_144
MAX_CONTROL_SHARE = 0.01
TITLE_CHARS = 80

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HEADING = re.compile(r"[ ]{0,3}(?P<marks>#{1,6})[ \t]+(?P<text>[^\n]*?)[ \t#]*$")
_FENCE = re.compile(r"[ ]{0,3}(?P<marks>`{3,}|~{3,})")
_LINE = re.compile(r"[^\n]+")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_CONTROL = re.compile(r"[\x01-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f-\x9f]")


def read_text(path: Path) -> Extracted:
    """Read a file as text of its suffix's kind: Markdown, a table, or plain text.

    Raises:
        DocumentError: it is binary, in no known encoding, empty, or a damaged table.
        OSError: it cannot be opened.
    """
    text = clean(decode(path.read_bytes()))
    if not text.strip():
        raise DocumentError("there is no text in it")
    suffix = path.suffix.casefold()
    if suffix in TABLES:
        return _table(text)
    if suffix in MARKDOWN:
        return _markdown(text, path.stem)
    return _plain(text, path.stem)


def decode(data: bytes) -> str:
    """Decode by byte order mark, as UTF-8 (damaged bytes become U+FFFD), or by the likeliest old encoding.

    Raises:
        DocumentError: it is not text.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if b"\0" in data:
        raise DocumentError("it is a binary file, not text")
    text = _likeliest(data)
    if len(_CONTROL.findall(text)) > MAX_CONTROL_SHARE * len(text):
        raise DocumentError("it is a binary file, not text")
    return text


def _likeliest(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    if len(_BEYOND_ASCII.findall(text)) >= 2 * text.count("\ufffd"):
        # UTF-8, or UTF-8 with a few damaged bytes: an old encoding would hardly ever make valid sequences
        return text
    best = from_bytes(data[:SNIFFED_BYTES]).best()
    if best is None:
        raise DocumentError("it is a binary file, or in an unknown encoding")
    return data.decode(best.encoding, "replace")


def _plain(text: str, name: str) -> Extracted:
    lines = _lines(text, 0, len(text))
    people = find_people(text, lines)
    title = "" if people else _title_line(text, lines)
    section = Section(0, len(text), units=tuple(lines) if people else ())
    return Extracted(text, title, (section,), find_date(text, name), people)


def _lines(text: str, start: int, end: int) -> list[Span]:
    return [match.span() for match in _LINE.finditer(text, start, end) if match[0].strip()]


def _title_line(text: str, lines: list[Span]) -> str:
    """The first line, when it stands alone, is short and does not end like a sentence."""
    start, end = lines[0]
    line = text[start:end].strip()
    alone = len(lines) > 1 and not text[end : end + 2].strip("\n") and text[end : end + 2] == "\n\n"
    return line if alone and len(line) <= TITLE_CHARS and line[-1] not in ".!?:,;" else ""


def _markdown(text: str, name: str) -> Extracted:
    sections: list[Section] = []
    path: list[tuple[int, str]] = []
    start = 0
    title = ""
    for level, heading, at in _headings(text):
        if _has_body(text, start, at):
            sections.append(Section(start, at, tuple(words for _, words in path)))
            start = at
        path = [*((depth, words) for depth, words in path if depth < level), (level, heading)]
        title = title or heading
    sections.append(Section(start, len(text), tuple(words for _, words in path)))
    return Extracted(text, title, tuple(sections), find_date(text, name))


def _headings(text: str) -> Iterator[tuple[int, str, int]]:
    """Level, words and offset of every ``#`` heading outside fenced code."""
    fence = ""
    for match in _LINE.finditer(text):
        marks = _FENCE.match(match[0])
        if marks and not fence:
            fence = marks["marks"]
        elif marks and marks["marks"].startswith(fence):
            fence = ""
        elif not fence and (heading := _HEADING.match(match[0])) and heading["text"]:
            yield len(heading["marks"]), heading["text"], match.start()


def _has_body(text: str, start: int, end: int) -> bool:
    """Whether anything but headings stands there; a heading alone is joined to what follows it."""
    return any(not _HEADING.match(text[first:last]) for first, last in _lines(text, start, end))


def _table(text: str) -> Extracted:
    first = text.lstrip().split("\n", 1)[0]
    rows = list(_rows(text, max(DELIMITERS, key=first.count)))
    columns = tuple(" ".join(cell.split()) for cell in rows[0][1]) if rows else ()
    spans = tuple(span for span, _ in rows[1:]) or tuple(span for span, _ in rows)
    start, end = (spans[0][0], spans[-1][1]) if spans else (0, len(text))
    return Extracted(text, "", (Section(start, end, columns=columns, units=spans),))


def _rows(text: str, delimiter: str) -> Iterator[tuple[Span, list[str]]]:
    """The rows of a table with their places; a quoted cell may span lines, so the lines the parser took are counted."""
    lines = io.StringIO(text, newline="\n")
    taken: list[str] = []

    def feed() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    at = 0
    try:
        for row in csv.reader(feed(), delimiter=delimiter):
            raw = "".join(taken)
            taken.clear()
            if any(cell.strip() for cell in row):
                yield (at, at + len(raw.rstrip("\n"))), row
            at += len(raw)
    except csv.Error as error:
        raise DocumentError(f"the table is damaged: {error}") from error
