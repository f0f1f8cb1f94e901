"""What a reader gives: the text of a document and how it is divided, ready to be cut.

``Extracted`` travels between processes as plain JSON (``to_json`` / ``from_json``). Offsets count characters of its
text.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

Span = tuple[int, int]

MAX_COLUMNS = 200
NAME_CHARS = 100

_LONE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch that a passage never crosses the border of.

    Attributes:
        start: offset of its first character.
        end: offset after its last character.
        headings: the headings it stands under, outermost first.
        page: its page, counted from 1; 0 when there are no pages.
        columns: the column names its rows have, when it is a table.
        units: spans that are not to be divided while they fit a passage (rows, chat lines); empty: sentences decide.
        kind: what a citation calls its page or its last heading ("slide", "function"); "": "page", and nothing.
    """

    start: int
    end: int
    headings: tuple[str, ...] = ()
    page: int = 0
    columns: tuple[str, ...] = ()
    units: tuple[Span, ...] = ()
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Extracted:
    """A document's text with its sections (in order, not overlapping; white space may lie between them).

    Attributes:
        text: the extracted text; newlines are line feeds, no NUL, no lone surrogate.
        title: the document's own title, or "".
        sections: how it is divided.
        date: the day it speaks of, as it would be written, or "".
        people: who speaks in it, when it is a conversation.
    """

    text: str
    title: str
    sections: tuple[Section, ...]
    date: str = ""
    people: tuple[str, ...] = ()


class Writer:
    """Puts an extracted text together, block by block, and knows where each block stands."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0

    def add(self, text: str, *, before: str = "\n\n") -> Span:
        """Append a block, ``before`` between it and what stands there already; return its span."""
        if self._length:
            self._put(before)
        start = self._length
        self._put(text)
        return start, self._length

    def text(self) -> str:
        """Everything added so far."""
        return "".join(self._pieces)

    def _put(self, text: str) -> None:
        self._pieces.append(text)
        self._length += len(text)


def column_names(cells: Iterable[str]) -> tuple[str, ...]:
    """The names of a table's columns, as far as anybody would read them."""
    return tuple(" ".join(cell.split())[:NAME_CHARS] for cell in islice(cells, MAX_COLUMNS))


def clean(text: str) -> str:
    """Return ``text`` with newlines as line feeds, and NULs and lone surrogates as U+FFFD; nothing else is changed."""
    return _LONE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def to_json(extracted: Extracted) -> dict[str, Any]:
    """As plain JSON values; a table may have a million units, so they are one flat list of numbers."""
    return {
        "text": extracted.text,
        "title": extracted.title,
        "sections": [_section_json(section) for section in extracted.sections],
        "date": extracted.date,
        "people": list(extracted.people),
    }


def from_json(data: dict[str, Any]) -> Extracted:
    """From what ``to_json`` gave."""
    sections = tuple(_section(item) for item in data["sections"])
    return Extracted(data["text"], data["title"], sections, data["date"], tuple(data["people"]))


def _section_json(section: Section) -> dict[str, Any]:
    return {
        "start": section.start,
        "end": section.end,
        "headings": list(section.headings),
        "page": section.page,
        "columns": list(section.columns),
        "units": [place for unit in section.units for place in unit],
        "kind": section.kind,
    }


def _section(item: dict[str, Any]) -> Section:
    places = iter(item["units"])
    units = tuple(zip(places, places, strict=True))
    headings, columns = tuple(item["headings"]), tuple(item["columns"])
    return Section(item["start"], item["end"], headings, item["page"], columns, units, item["kind"])
