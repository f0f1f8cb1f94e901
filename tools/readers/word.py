"""Word: paragraphs, lists, tables, text boxes and notes in the order of the document.

The elements are walked here, since python-docx passes over what stands in content controls, insertions that are
tracked, text boxes, tables inside tables, and notes. What is deleted or moved away in tracked changes is left out. Page
headers and footers are, too. Time and memory go with the document: a cell that claims to be a million columns wide is
one cell.
"""

import re
from collections.abc import Iterator
from typing import Any

import docx
from docx.oxml.parser import parse_xml

from tools.extracted import Extracted
from tools.readers.office import add_table, line_of
from tools.readers.outline import Outline
from tools.readers.source import Source

_HEADING_STYLE = re.compile(r"(?:heading|überschrift|titre) (\d)", re.IGNORECASE)
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_PARAGRAPH, _TABLE, _ROW, _CELL, _BOX = f"{_W}p", f"{_W}tbl", f"{_W}tr", f"{_W}tc", f"{_W}txbxContent"
_VALUE = f"{_W}val"
_HOLDERS = frozenset(f"{_W}{name}" for name in ("sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag"))
_APART = frozenset({_BOX, _FALLBACK, f"{_W}moveFrom"})
"""What stands in a paragraph and is none of its words."""
_BLANKS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-", _PARAGRAPH: "\n"}
_NOTES = {"/footnotes": "Footnotes", "/endnotes": "Endnotes"}


def read_docx(source: Source) -> Extracted:
    """Read a Word document: headings by their style, tables with their first row as column names."""
    document: Any = docx.Document(str(source.path))
    styles = {style.style_id: style.name or "" for style in document.styles}
    outline = Outline()
    _add_blocks(outline, document.element.body, styles)
    for name, notes in _notes(document):
        outline.under(1, name)
        for note in notes:
            if text := _words(note):
                outline.block(text)
    return outline.extracted(line_of(document.core_properties.title or ""), source.name)


def _add_blocks(outline: Outline, container: Any, styles: dict[str, str]) -> None:  # noqa: ANN401 - lxml is untyped
    for element in _inside(container, _PARAGRAPH, _TABLE):
        if element.tag == _TABLE:
            add_table(outline, _rows(element))
            continue
        _add_paragraph(outline, _words(element), styles.get(_value(element, "pPr", "pStyle"), ""))
        for node in _walk(element):
            if node.tag == _BOX:
                _add_blocks(outline, node, styles)


def _add_paragraph(outline: Outline, text: str, style: str) -> None:
    if not text:
        return
    heading = _HEADING_STYLE.match(style)
    if style.casefold() == "title":
        outline.heading(0, text)
    elif heading:
        outline.heading(int(heading[1]), text)
    else:
        item = style.startswith("List")
        outline.block(f"- {text}" if item else text, "list" if item else "")


def _rows(table: Any) -> Iterator[list[str]]:  # noqa: ANN401 - as above
    """The cells of each row; one that is merged with that above it says the same."""
    above: dict[int, str] = {}
    for row in _inside(table, _ROW):
        here: dict[int, str] = {}
        at = 0
        for cell in _inside(row, _CELL):
            merged = cell.find(f"{_W}tcPr/{_W}vMerge")
            goes_on = merged is not None and merged.get(_VALUE, "continue") == "continue"
            here[at] = above.get(at, "") if goes_on else _words(cell)
            span = _value(cell, "tcPr", "gridSpan")
            at += int(span) if span.isdecimal() else 1
        yield list(here.values())
        above = here


def _notes(document: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - python-docx's document
    for relation in document.part.rels.values():
        name = next((name for end, name in _NOTES.items() if relation.reltype.endswith(end)), "")
        if name and not relation.is_external:
            yield name, parse_xml(relation.target_part.blob)


def _inside(container: Any, *tags: str) -> Iterator[Any]:  # noqa: ANN401 - lxml is untyped
    """The elements of these tags in a container, those in content controls and insertions too, in order."""
    for child in container:
        if child.tag in tags:
            yield child
        elif child.tag in _HOLDERS:
            yield from _inside(child, *tags)


def _words(element: Any) -> str:  # noqa: ANN401 - as above
    """The words in a paragraph, a cell or a note, on one line."""
    pieces = (node.text or "" if node.tag == f"{_W}t" else _BLANKS.get(node.tag, "") for node in _walk(element))
    return line_of("".join(pieces))


def _walk(element: Any) -> Iterator[Any]:  # noqa: ANN401 - as above
    """All elements in one, in order; those that stand apart are given, and not gone into."""
    stack = [element]
    while stack:
        node = stack.pop()
        yield node
        if node.tag not in _APART:
            stack += node[::-1]


def _value(element: Any, group: str, name: str) -> str:  # noqa: ANN401 - as above
    found = element.find(f"{_W}{group}/{_W}{name}")
    return "" if found is None else found.get(_VALUE, "")
