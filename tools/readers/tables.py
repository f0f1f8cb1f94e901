"""CSV and its relatives: the text as it was written, every row in its place, the columns' names with every row."""

import csv
import io
import sys
from collections.abc import Iterator

from tools.extracted import Extracted, Section, Span, column_names
from tools.readers.source import Source

DELIMITERS = ",;\t|"

csv.field_size_limit(sys.maxsize)  # cells may hold whole texts, and how long a file may be is bounded elsewhere


def read_table(source: Source) -> Extracted:
    """Read a table whose first row names the columns; it is a row all the same, as it may be one of the data."""
    text = source.text()
    first = text.lstrip().split("\n", 1)[0]
    rows = _rows(text, max(DELIMITERS, key=first.count))
    header, cells = next(rows, ((0, len(text)), list[str]()))
    columns = column_names(cells)
    spans = (header, *(span for span, _ in rows))
    return Extracted(text, "", (Section(spans[0][0], spans[-1][1], columns=columns, units=spans),))


def _rows(text: str, delimiter: str) -> Iterator[tuple[Span, list[str]]]:
    """The rows of a table with their places; a quoted cell may span lines, so the lines the parser took are counted."""
    lines = io.StringIO(text, newline="\n")
    taken: list[str] = []

    def feed() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    at = 0
    for row in csv.reader(feed(), delimiter=delimiter):
        raw = "".join(taken)
        taken.clear()
        if any(cell.strip() for cell in row):
            yield (at, at + len(raw.rstrip("\n"))), row
        at += len(raw)
