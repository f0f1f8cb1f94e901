"""Word and PowerPoint: paragraphs, lists and tables in the order of the document; a slide is a page."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import docx
import pptx
from docx.table import Table
from docx.text.paragraph import Paragraph

from tools.extracted import Extracted, clean, column_names
from tools.readers.outline import Outline
from tools.readers.source import Source

_HEADING_STYLE = re.compile(r"(?:heading|überschrift|titre) (\d)", re.IGNORECASE)


def read_docx(source: Source) -> Extracted:
    """Read a Word document: headings by their style, tables with their first row as column names."""
    document: Any = docx.Document(str(source.path))
    outline = Outline()
    for item in document.iter_inner_content():
        if isinstance(item, Table):
            _add_table(outline, ([cell.text for cell in _distinct(row)] for row in item.rows))
        else:
            _add_paragraph(outline, item)
    return outline.extracted(_line(document.core_properties.title or ""), source.name)


def _add_paragraph(outline: Outline, paragraph: Paragraph) -> None:
    text = _line(paragraph.text)
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


def _distinct(row: Any) -> Iterator[Any]:  # noqa: ANN401 - python-docx's row
    """The cells of a row, a merged one once."""
    last = None
    for cell in row.cells:
        if cell._tc is not last:  # noqa: SLF001 - the only way to see that two cells are one
            yield cell
        last = cell._tc  # noqa: SLF001 - as above


def read_pptx(source: Source) -> Extracted:
    """Read a presentation: a slide is a page under its title; its tables and speaker's notes follow its text."""
    deck: Any = pptx.Presentation(str(source.path))
    outline = Outline()
    for number, slide in enumerate(deck.slides, start=1):
        outline.page(number, "slide")
        heading = slide.shapes.title
        words = _line(heading.text_frame.text) if heading is not None else ""
        if words:
            outline.heading(1, words)
        for shape in _shapes(slide.shapes):
            if heading is None or shape.shape_id != heading.shape_id:
                _add_shape(outline, shape)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame:
            _add_frame(outline, slide.notes_slide.notes_text_frame)
    return outline.extracted(_line(deck.core_properties.title or ""), source.name)


def _shapes(shapes: Iterable[Any]) -> Iterator[Any]:
    """Every shape, those of groups too, in order; the depth of groups is no danger."""
    stack = list(shapes)[::-1]
    while stack:
        shape = stack.pop()
        inner = getattr(shape, "shapes", None)
        if inner is None:
            yield shape
        else:
            stack += list(inner)[::-1]


def _add_shape(outline: Outline, shape: Any) -> None:  # noqa: ANN401 - python-pptx's shapes have no common type
    if shape.has_text_frame:
        _add_frame(outline, shape.text_frame)
    elif getattr(shape, "has_table", False):
        _add_table(outline, ([cell.text for cell in row.cells if not cell.is_spanned] for row in shape.table.rows))


def _add_frame(outline: Outline, frame: Any) -> None:  # noqa: ANN401 - python-pptx's text frame
    lines = [line for paragraph in frame.paragraphs if (line := _line(paragraph.text))]
    if lines:
        outline.block("\n".join(f"- {line}" for line in lines) if len(lines) > 1 else lines[0])


def _add_table(outline: Outline, rows: Iterable[list[str]]) -> None:
    cells = [line for row in rows if any(line := [_line(cell) for cell in row])]
    if cells:
        outline.table([" | ".join(line) for line in cells], column_names(cells[0]) if len(cells) > 1 else ())


def _line(text: str) -> str:
    return " ".join(clean(text).split())
