"""HTML to an outline: scripts, styles, navigation, comments and everything hidden are gone; headings are kept.

Blocks stand apart, list items and table rows (``a | b``) on neighbouring lines. The depth of the tree is no danger.
"""

import re
from collections.abc import Iterator

from bs4 import BeautifulSoup
from bs4.element import NavigableString, PageElement, Tag

from tools.extracted import Extracted, clean
from tools.readers.outline import Outline
from tools.readers.source import Source

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


def read_html(source: Source) -> Extracted:
    """Read an HTML file; its encoding is taken from the file itself."""
    outline = Outline()
    title = add_html(outline, source.path.read_bytes())
    return outline.extracted(title, source.name)


def add_html(outline: Outline, data: bytes | str) -> str:
    """Add a page to ``outline``; return its title, or ""."""
    soup = BeautifulSoup(data, "lxml")
    title = clean(soup.title.get_text()) if soup.title else ""
    for tag, text in _blocks(soup):
        level = _HEADING_TAG.match(tag)
        if level:
            outline.heading(int(level[1]), text)
        else:
            outline.block(text, _CLOSE.get(tag, ""))
    return " ".join(title.split())


def _blocks(soup: BeautifulSoup) -> Iterator[tuple[str, str]]:
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
    """Every tag that is shown, when it opens (True) and closes, and the texts between."""
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
