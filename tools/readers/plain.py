"""Plain text and Markdown: the text stands as it was written, and headings divide it.

A plain text that is a conversation keeps its lines whole and names its speakers. Text whose lines matter (scripts,
settings, source code in a language without a grammar here) is never divided within a line.
"""

import re
from collections.abc import Iterable, Iterator

from tools.context import find_date, find_people
from tools.extracted import Extracted, Section, Span
from tools.readers.source import Source

TITLE_CHARS = 80

Heading = tuple[int, str, int, int]
"""Level, words, and where the heading begins and ends."""

_HEADING = re.compile(r"[ ]{0,3}(?P<marks>#{1,6})[ \t]+(?P<text>[^\n]*)")
_FENCE = re.compile(r"[ ]{0,3}(?P<marks>`{3,}|~{3,})")
_LINE = re.compile(r"[^\n]+")


def read_plain(source: Source) -> Extracted:
    """Read plain text; a first line that stands alone is its title."""
    text = source.text()
    lines = lines_of(text)
    people = find_people(text, lines)
    title = "" if people else _title_line(text, lines)
    section = Section(0, len(text), units=tuple(lines) if people else ())
    return Extracted(text, title, (section,), find_date(text, source.name), people)


def read_lines(source: Source) -> Extracted:
    """Read text line by line."""
    text = source.text()
    return Extracted(text, "", (Section(0, len(text), units=tuple(lines_of(text))),))


def read_markdown(source: Source) -> Extracted:
    """Read Markdown; a heading alone is joined to what follows it."""
    text = source.text()
    return divided(text, markdown_headings(text), source.name)


def divided(text: str, headings: Iterable[Heading], name: str) -> Extracted:
    """Divide ``text`` at its ``headings`` (in order); ``name`` is the file's and may tell the date."""
    sections: list[Section] = []
    path: list[tuple[int, str]] = []
    start = body = 0
    title = ""
    for level, words, at, end in headings:
        if text[body:at].strip():
            sections.append(Section(start, at, tuple(above for _, above in path)))
            start = at
        path = [*((depth, above) for depth, above in path if depth < level), (level, words)]
        title = title or words
        body = end
    sections.append(Section(start, len(text), tuple(above for _, above in path)))
    return Extracted(text, title, tuple(sections), find_date(text, name))


def markdown_headings(text: str) -> Iterator[Heading]:
    """Every ``#`` heading outside fenced code."""
    fence = ""
    for match in _LINE.finditer(text):
        marks = _FENCE.match(match[0])
        if marks and not fence:
            fence = marks["marks"]
        elif marks and marks["marks"].startswith(fence):
            fence = ""
        elif not fence and (heading := _HEADING.match(match[0])) and (words := heading["text"].rstrip(" \t#")):
            yield len(heading["marks"]), words, match.start(), match.end()


def lines_of(text: str, start: int = 0) -> list[Span]:
    """The lines of ``text`` that hold anything, as if it began at ``start``."""
    return [(start + match.start(), start + match.end()) for match in _LINE.finditer(text) if not match[0].isspace()]


def _title_line(text: str, lines: list[Span]) -> str:
    """The first line, when it stands alone, is short and does not end like a sentence."""
    start, end = lines[0]
    line = text[start:end].strip()
    alone = len(lines) > 1 and text[end : end + 2] == "\n\n"
    return line if alone and len(line) <= TITLE_CHARS and line[-1] not in ".!?:,;" else ""
