"""Jupyter notebooks: Markdown under its headings, code by its lines, and what the code wrote as text.

Code cells stand under their number (counted from 1, all kinds of cells together), which is what a reader looks for.
Pictures and formatted output are passed over; text that ran with them is kept.
"""

import re
from collections.abc import Iterator
from typing import Any

import nbformat

from tools.extracted import Extracted, clean
from tools.readers.outline import Outline
from tools.readers.plain import markdown_headings
from tools.readers.source import Source

NOTEBOOK_FORMAT = 4

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CELL_LEVEL = 7
"""Below every Markdown heading."""


def read_notebook(source: Source) -> Extracted:
    """Read a notebook of any format version."""
    # converted, not validated: what is missing shows when it is asked for
    library: Any = nbformat
    cells: list[Any] = library.convert(library.reader.reads(source.text()), NOTEBOOK_FORMAT).cells
    outline = Outline()
    for number, cell in enumerate(cells, start=1):
        text = clean(_joined(cell.source)).strip("\n")
        if cell.cell_type == "markdown":
            _add_markdown(outline, text)
        else:
            outline.under(_CELL_LEVEL, f"cell {number}")
            for part in (text, *_outputs(cell)):
                if part.strip():
                    outline.lines(part)
    return outline.extracted("", source.name)


def _add_markdown(outline: Outline, text: str) -> None:
    at = 0
    for level, words, start, end in markdown_headings(text):
        _add_block(outline, text[at:start])
        outline.heading(level, words)
        at = end
    _add_block(outline, text[at:])


def _add_block(outline: Outline, text: str) -> None:
    if text.strip():
        # prose after code stands under its heading, not under the code's cell
        outline.leave(_CELL_LEVEL)
        outline.block(text.strip("\n"))


def _outputs(cell: Any) -> Iterator[str]:  # noqa: ANN401 - nbformat's node
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            text = _joined(output.text)
        elif output.output_type == "error":
            text = f"{output.ename}: {output.evalue}"
        else:
            text = _joined(output.data.get("text/plain", ""))
        yield _COLOUR.sub("", clean(text)).strip("\n")


def _joined(text: Any) -> str:  # noqa: ANN401 - a string, or its lines
    return text if isinstance(text, str) else "".join(text)
