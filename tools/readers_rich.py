"""HTML, PDF and DOCX to text with sections; runs in the helper of ``tools.reading``, where time and memory are bounded.

HTML: scripts, styles, navigation, comments and everything hidden are gone; blocks stand apart, table rows are ``a | b``
lines. PDF: the text of each page in reading order as pypdf gives it, one section a page. DOCX: paragraphs and tables in
the order of the document. Each reader raises ``DocumentError`` for a file it cannot read.
"""

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docx
import pypdf
from bs4 import BeautifulSoup
from bs4.element import NavigableString, PageElement, Tag
from docx.table import Table
from docx.text.paragraph import Paragraph
from pypdf.errors import PyPdfError

from infra.errors import DocumentError
from tools.context import find_date
from tools.extracted import Extracted, Section, Span, Writer, clean

UNZIPPED_TIMES = 4
"""A DOCX may unpack to this many times the allowed file size; more is a zip bomb."""

_GONE = "script style noscript template svg iframe object canvas nav head button select".split()  # noqa: SIM905
_BLOCKS = frozenset(
    """
    address article aside blockquote body caption center dd details div dl dt fieldset figcaption figure footer h1 h2 h3
    h4 h5 h6 header hr html li main ol p pre section summary table tbody tfoot thead tr ul
    """.split()  # noqa: SIM905 - a list to be read by people
)
_CLOSE = {"li": "list", "tr": "table", "dt": "terms", "dd": "terms"}
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_HEADING_TAG = re.compile(r"h([1-6])$")
_HEADING_STYLE = re.compile(r"(?:heading|überschrift|titre) (\d)", re.IGNORECASE)
_BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What the parsers raise, besides errors of their own, on a file that is not what it says."""
_OLE = b"\xd0\xcf\x11\xe0"


class _Outline:
    """Collects blocks under headings and gives the sections between them."""

    def __init__(self) -> None:
        self._writer = Writer()
        self._path: list[tuple[int, str]] = []
        self._sections: list[Section] = []
        self._open: Span | None = None
        self._bare = True
        self._kind = ""
        self.title = ""

    def heading(self, level: int, words: str) -> None:
        if not self._bare:
            self._end()
        self._kind = ""
        self._path = [*((depth, text) for depth, text in self._path if depth < level), (level, words)]
        self.title = self.title or words
        self._grow(self._writer.add(words))

    def block(self, text: str, kind: str = "") -> None:
        """Add a block; neighbours of one ``kind`` (list items, table rows) stand on neighbouring lines."""
        self._grow(self._writer.add(text, before="\n" if kind and kind == self._kind else "\n\n"))
        self._bare, self._kind = False, kind

    def table(self, rows: list[str], columns: tuple[str, ...]) -> None:
        self._end()
        spans = tuple(self._writer.add(row, before="\n" if number else "\n\n") for number, row in enumerate(rows))
        headings = tuple(words for _, words in self._path)
        self._sections.append(Section(spans[0][0], spans[-1][1], headings, columns=columns, units=spans))

    def extracted(self, title: str, name: str) -> Extracted:
        self._end()
        text = self._writer.text()
        if not text.strip():
            raise DocumentError("there is no text in it")
        return Extracted(text, title or self.title, tuple(self._sections), find_date(text, name))

    def _grow(self, span: Span) -> None:
        self._open = (self._open[0] if self._open else span[0], span[1])

    def _end(self) -> None:
        if self._open:
            self._sections.append(Section(*self._open, tuple(words for _, words in self._path)))
        self._open, self._bare = None, True


def read_html(path: Path) -> Extracted:
    """Read an HTML file; its encoding is taken from the file itself."""
    try:
        soup = BeautifulSoup(path.read_bytes(), "lxml")
        title = clean(soup.title.get_text()) if soup.title else ""
        outline = _Outline()
        for tag, text in _html_blocks(soup):
            level = _HEADING_TAG.match(tag)
            if level:
                outline.heading(int(level[1]), text)
            else:
                outline.block(text, _CLOSE.get(tag, ""))
    except _BROKEN as error:
        raise DocumentError(f"the HTML cannot be read: {error or type(error).__name__}") from error
    return outline.extracted(" ".join(title.split()), path.stem)


def _html_blocks(soup: BeautifulSoup) -> Iterator[tuple[str, str]]:
    """Tag and text of each block, in order."""
    line: list[str] = []
    inside: list[str] = ["body"]
    for opening, node in _walk(soup):
        if not isinstance(node, Tag):
            line.append(str(node))
            continue
        block = node.name in _BLOCKS
        if block or node.name == "br":
            yield from _flush(inside[-1], line)
        if block and opening:
            inside.append(node.name)
        elif block:
            inside.pop()
        elif node.name in ("td", "th") and not opening:
            line.append(" | ")
    yield from _flush(inside[-1], line)


def _walk(soup: BeautifulSoup) -> Iterator[tuple[bool, PageElement]]:
    """Every tag that is shown, when it opens (True) and closes, and the texts between; depth is no danger."""
    stack: list[tuple[bool, PageElement]] = [(True, soup)]
    while stack:
        opening, node = stack.pop()
        if isinstance(node, Tag):
            if opening and _is_gone(node):
                continue
            if opening:
                stack.append((False, node))
                stack += [(True, child) for child in reversed(node.contents)]
            yield opening, node
        elif type(node) is NavigableString:
            yield True, node


def _is_gone(node: Tag) -> bool:
    style = node.get("style")
    hidden = node.has_attr("hidden") or (isinstance(style, str) and _HIDDEN.search(style) is not None)
    return hidden or node.name in _GONE


def _flush(tag: str, line: list[str]) -> Iterator[tuple[str, str]]:
    raw = clean("".join(line))
    line.clear()
    text = raw.strip("\n").rstrip() if tag == "pre" else " ".join(raw.split()).removesuffix("|").rstrip()
    if text.strip():
        yield tag, f"- {text}" if tag == "li" else text


def read_pdf(path: Path) -> Extracted:
    """Read a PDF; a page without text is passed over."""
    try:
        reader = pypdf.PdfReader(path)
        unlocked = not reader.is_encrypted or bool(reader.decrypt(""))
        pages = [clean(page.extract_text()).strip() for page in reader.pages] if unlocked else []
        title = clean(str((reader.metadata and reader.metadata.title) or "")) if unlocked else ""
    except (PyPdfError, *_BROKEN) as error:
        raise DocumentError(f"the PDF is broken: {error or type(error).__name__}") from error
    if not unlocked:
        raise DocumentError("the PDF is encrypted: save it without a password")
    writer = Writer()
    sections = tuple(Section(*writer.add(text), page=number) for number, text in enumerate(pages, start=1) if text)
    if not sections:
        raise DocumentError("there is no text in the PDF (scanned pages?)")
    text = writer.text()
    return Extracted(text, " ".join(title.split()), sections, find_date(text, path.stem))


def read_docx(path: Path, max_bytes: int) -> Extracted:
    """Read a Word document that unpacks to no more than ``UNZIPPED_TIMES * max_bytes``."""
    _check_docx(path, max_bytes)
    try:
        document: Any = docx.Document(str(path))
        outline = _Outline()
        for item in document.iter_inner_content():
            if isinstance(item, Table):
                _docx_table(item, outline)
            else:
                _docx_paragraph(item, outline)
        title = clean(document.core_properties.title or "")
    except (OSError, *_BROKEN) as error:
        raise DocumentError(f"the DOCX is broken: {error or type(error).__name__}") from error
    return outline.extracted(" ".join(title.split()), path.stem)


def _check_docx(path: Path, max_bytes: int) -> None:
    with path.open("rb") as file:
        if file.read(4) == _OLE:
            raise DocumentError("the document is encrypted, or an old .doc under another name: save it as DOCX")
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(item.file_size for item in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DocumentError(f"the DOCX is broken: {error}") from error
    if unpacked > UNZIPPED_TIMES * max_bytes:
        raise DocumentError(
            f"the DOCX unpacks to {unpacked / 1e6:,.0f} MB, at most {UNZIPPED_TIMES * max_bytes / 1e6:,.0f} MB are "
            "read; DOCMIND_INGEST__MAX_FILE_MB decides"
        )


def _docx_paragraph(paragraph: Paragraph, outline: _Outline) -> None:
    text = " ".join(clean(paragraph.text).split())
    if not text:
        return
    style = (paragraph.style.name or "") if paragraph.style else ""
    heading = _HEADING_STYLE.match(style)
    if style.casefold() == "title":
        outline.heading(0, text)
    elif heading:
        outline.heading(int(heading[1]), text)
    else:
        item = style.startswith("List")
        outline.block(f"- {text}" if item else text, "list" if item else "")


def _docx_table(table: Table, outline: _Outline) -> None:
    rows = [[" ".join(clean(cell.text).split()) for cell in _distinct(row)] for row in table.rows]
    lines = [" | ".join(cells) for cells in rows if any(cells)]
    if lines:
        outline.table(lines, tuple(rows[0]) if len(lines) > 1 else ())


def _distinct(row: Any) -> list[Any]:  # noqa: ANN401 - python-docx's row
    """The cells of a row, a merged one once."""
    cells: list[Any] = []
    for cell in row.cells:
        if not cells or cells[-1]._tc is not cell._tc:  # noqa: SLF001 - the only way to see that two cells are one
            cells.append(cell)
    return cells
