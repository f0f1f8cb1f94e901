"""PowerPoint: text, lists and tables in the order of the slides, a slide being a page; and what Word has in common."""

from collections.abc import Iterable, Iterator
from typing import Any

import pptx

from tools.extracted import Extracted, clean, column_names
from tools.readers.outline import Outline
from tools.readers.source import Source


def read_pptx(source: Source) -> Extracted:
    """Read a presentation: a slide is a page under its title; its tables and speaker's notes follow its text."""
    deck: Any = pptx.Presentation(str(source.path))
    outline = Outline()
    for number, slide in enumerate(deck.slides, start=1):
        outline.page(number, "slide")
        heading = slide.shapes.title
        words = line_of(heading.text_frame.text) if heading is not None else ""
        if words:
            outline.heading(1, words)
        for shape in _shapes(slide.shapes):
            if heading is None or shape.shape_id != heading.shape_id:
                _add_shape(outline, shape)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame:
            _add_frame(outline, slide.notes_slide.notes_text_frame)
    return outline.extracted(line_of(deck.core_properties.title or ""), source.name)


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
        add_table(outline, ([cell.text for cell in row.cells if not cell.is_spanned] for row in shape.table.rows))


def _add_frame(outline: Outline, frame: Any) -> None:  # noqa: ANN401 - python-pptx's text frame
    lines = [line for paragraph in frame.paragraphs if (line := line_of(paragraph.text))]
    if lines:
        outline.block("\n".join(f"- {line}" for line in lines) if len(lines) > 1 else lines[0])


def add_table(outline: Outline, rows: Iterable[list[str]]) -> None:
    """Add a table whose first row names the columns; rows of nothing are passed over."""
    cells = [line for row in rows if any(line := [line_of(cell) for cell in row])]
    if cells:
        outline.table([" | ".join(line) for line in cells], column_names(cells[0]) if len(cells) > 1 else ())


def line_of(text: str) -> str:
    """A text on one line."""
    return " ".join(clean(text).split())
