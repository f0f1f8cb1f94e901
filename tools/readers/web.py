"""HTML to an outline: scripts, styles, navigation, comments and everything hidden are gone; headings are kept.

Blocks stand apart, list items and table rows (``a | b``) on neighbouring lines. The page is taken as lxml's parser goes
through it, and no tree is built: a page of a million tags needs little more memory than its text.
"""

import re
from typing import Any, cast

from bs4.dammit import EncodingDetector
from lxml import etree  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType] - compiled, untyped

from tools.extracted import Extracted, clean
from tools.readers.outline import Outline
from tools.readers.source import BOMS, Source, decode

DECLARED_BYTES = 8_192
"""Where a page may declare its encoding (HTML says: in the first 1,024 bytes)."""

_GONE = frozenset("script style noscript template svg iframe object canvas nav head button select".split())  # noqa: SIM905
_BLOCKS = frozenset(
    """
    address article aside blockquote body caption center dd details div dl dt fieldset figcaption figure footer h1 h2 h3
    h4 h5 h6 header hr html li main ol p pre section summary table tbody tfoot thead tr ul
    """.split()  # noqa: SIM905 - a list to be read by people
)
_CLOSE = {"li": "list", "tr": "table", "dt": "terms", "dd": "terms"}
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_HEADING_TAG = re.compile(r"h([1-6])$")


def read_html(source: Source) -> Extracted:
    """Read an HTML file; its encoding is taken from the file itself."""
    outline = Outline()
    title = add_html(outline, _decoded(source.data()))
    return outline.extracted(title, source.name)


def add_html(outline: Outline, page: str | bytes) -> str:
    """Add a page to ``outline``; return its title, or ""."""
    target = _Page(outline)
    parser: Any = cast("Any", etree).HTMLParser(target=target, encoding="utf-8")
    text = page if isinstance(page, str) else _decoded(page)
    if text.strip():
        parser.feed(text.encode("utf-8", "replace"))
        parser.close()
    return " ".join(clean("".join(target.title)).split())


def _decoded(data: bytes) -> str:
    head = data[:DECLARED_BYTES]
    declared = (
        None
        if data.startswith(BOMS)
        else EncodingDetector.find_declared_encoding(head, is_html=True, search_entire_document=True)
    )
    try:
        return data.decode(declared) if declared else decode(data)
    except (LookupError, UnicodeDecodeError):
        return decode(data)


class _Page:
    """What lxml tells while it parses; every tag it opens it closes.

    Attributes:
        title: the pieces of the page's title.
    """

    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self._line: list[str] = []
        self._inside = ["body"]
        self._hidden = 0
        self._titles = 0
        self._in_title = False
        self.title: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "title":
            self._titles += 1
            self._in_title = self._titles == 1
        if not self._hidden and (tag in _BLOCKS or tag == "br"):
            self._flush()
        if self._hidden or _is_gone(tag, attributes):
            self._hidden += 1
            return
        if tag in _BLOCKS:
            self._inside.append(tag)

    def end(self, tag: str) -> None:
        self._in_title = False
        if self._hidden:
            self._hidden -= 1
            return
        if tag in _BLOCKS:
            self._flush()
            self._inside.pop()
        elif tag in ("td", "th"):
            self._line.append(" | ")

    def data(self, text: str) -> None:
        if self._in_title:
            self.title.append(text)
        if not self._hidden:
            self._line.append(text)

    def close(self) -> None:
        self._flush()

    def _flush(self) -> None:
        tag = self._inside[-1]
        raw = clean("".join(self._line))
        self._line.clear()
        text = raw.strip("\n").rstrip() if tag == "pre" else " ".join(raw.split()).removesuffix("|").rstrip()
        level = _HEADING_TAG.match(tag)
        if not text.strip():
            return
        if level:
            self._outline.heading(int(level[1]), text)
        else:
            self._outline.block(f"- {text}" if tag == "li" else text, _CLOSE.get(tag, ""))


def _is_gone(tag: str, attributes: dict[str, str]) -> bool:
    return tag in _GONE or "hidden" in attributes or _HIDDEN.search(attributes.get("style", "")) is not None
