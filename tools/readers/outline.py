"""A text put together block by block under headings and pages, and the sections that come of it."""

from tools.context import find_date
from tools.extracted import Extracted, Section, Span, Writer
from tools.readers.plain import lines_of


class Outline:
    """Collects blocks under headings and gives the sections between them.

    Attributes:
        title: the first heading, or "".
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._writer = Writer()
        self._path: list[tuple[int, str]] = []
        self._sections: list[Section] = []
        self._open: Span | None = None
        self._bare = True
        self._kind = ""
        self._page = 0
        self._pages = ""
        self.title = ""

    def page(self, number: int, kind: str = "") -> None:
        """Begin a page, called ``kind``: what was opened before ends, and its headings with it."""
        self._end()
        self._page, self._pages, self._path = number, kind, []

    def under(self, level: int, words: str) -> None:
        """Let what follows stand under ``words`` without adding them to the text."""
        self._end()
        self._path = [*((depth, text) for depth, text in self._path if depth < level), (level, words)]

    def leave(self, level: int) -> None:
        """Let what follows stand under the headings above ``level`` only."""
        if self._path and self._path[-1][0] >= level:
            self._end()
            self._path = [(depth, text) for depth, text in self._path if depth < level]

    def heading(self, level: int, words: str) -> None:
        """Add a heading; it ends those of the same level and deeper ones, and is joined to one it follows directly."""
        if not self._bare:
            self._end()
        self._path = [*((depth, text) for depth, text in self._path if depth < level), (level, words)]
        self._kind = ""
        self.title = self.title or words
        self._grow(self._writer.add(words))

    def block(self, text: str, kind: str = "") -> None:
        """Add a block; neighbours of one ``kind`` (list items, table rows) stand on neighbouring lines."""
        self._grow(self._writer.add(text, before="\n" if kind and kind == self._kind else "\n\n"))
        self._bare, self._kind = False, kind

    def table(self, rows: list[str], columns: tuple[str, ...] = ()) -> None:
        """Add rows, each on its line; they make a section of their own."""
        self._end()
        spans = tuple(self._writer.add(row, before="\n" if number else "\n\n") for number, row in enumerate(rows))
        self._add((spans[0][0], spans[-1][1]), columns, spans)

    def lines(self, text: str) -> None:
        """Add a text whose lines are not to be divided; it makes a section of its own."""
        self._end()
        span = self._writer.add(text)
        self._add(span, (), tuple(lines_of(text, span[0])))

    def extracted(self, title: str, name: str) -> Extracted:
        """What was collected; a file called ``name`` without a ``title`` of its own is called by its first heading."""
        self._end()
        text = self._writer.text()
        return Extracted(text, title or self.title, tuple(self._sections), find_date(text, name))

    def _add(self, span: Span, columns: tuple[str, ...] = (), units: tuple[Span, ...] = ()) -> None:
        headings = tuple(words for _, words in self._path)
        self._sections.append(Section(*span, headings, self._page, columns, units, self._pages))

    def _grow(self, span: Span) -> None:
        self._open = (self._open[0] if self._open else span[0], span[1])

    def _end(self) -> None:
        if self._open:
            self._add(self._open)
        self._open, self._bare, self._kind = None, True, ""
