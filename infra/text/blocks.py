"""Tagged blocks: how text of different origin travels in one prompt without being mistaken for instructions.

A block is ``<tag key="value">`` on a line of its own, a body, ``</tag>``. Only the names in ``TAGS`` are blocks. A
body is somebody's words: any look-alike of a block's tag inside it has its ``<`` replaced by ``‹`` (one character for
one, so offsets hold), so a document can neither close its own block nor open another. Blocks are found in time that
grows with the text, whatever it holds: a tag that is never closed costs nothing more.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape, unescape

TAGS = ("source", "question", "history", "part", "claim", "text", "tool")
STAND_IN = "‹"

_LOOK_ALIKE = re.compile(rf"<(?=\s*+/?+\s*+(?:{'|'.join(TAGS)})\b)", re.IGNORECASE)
_OPEN = re.compile(rf"^<(?P<tag>{'|'.join(TAGS)})(?P<attrs>(?: [a-z]+=\"[^\"\n]*\")*)>\n", re.MULTILINE)
_CLOSE = re.compile(rf"^</({'|'.join(TAGS)})>$", re.MULTILINE)
_ATTR = re.compile(r'([a-z]+)="([^"\n]*)"')


@dataclass(frozen=True, slots=True)
class Block:
    """One tagged block: its tag, attributes and body (as rendered, look-alikes still replaced)."""

    tag: str
    attrs: dict[str, str]
    body: str


def neutral(text: str) -> str:
    """Return ``text`` with every look-alike of a block tag made harmless; the length stays the same."""
    return _LOOK_ALIKE.sub(STAND_IN, text)


def block(tag: str, body: str, **attrs: str) -> str:
    """Render one block. Raises ValueError for a tag that is not in ``TAGS``."""
    if tag not in TAGS:
        raise ValueError(f"unknown block tag {tag!r}; known: {', '.join(TAGS)}")
    shown = "".join(f' {key}="{escape(" ".join(value.split()), quote=True)}"' for key, value in attrs.items())
    return f"<{tag}{shown}>\n{neutral(body)}\n</{tag}>"


def find_blocks(text: str, tag: str | None = None) -> list[Block]:
    """Return the blocks of ``text`` in order, of one tag or of all."""
    return [placed.block for placed in place_blocks(text) if tag is None or placed.block.tag == tag]


@dataclass(frozen=True, slots=True)
class Placed:
    """A block and its place: half-open spans of all of it, and of its body."""

    block: Block
    span: tuple[int, int]
    body: tuple[int, int]


def place_blocks(text: str) -> Iterator[Placed]:
    """Yield the blocks of ``text`` with their places, in order; a block inside another is a part of its body."""
    closings: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for m in _CLOSE.finditer(text):
        closings[m[1]].append(m.span())
    at = 0
    for m in _OPEN.finditer(text):
        after = closings[m["tag"]]
        n = bisect_left(after, (m.end(),))
        if m.start() < at or n == len(after):
            continue
        close, at = after[n]
        body = m.end(), max(m.end(), close - 1)  # but for the line's end before the closing tag
        attrs = {key: unescape(value) for key, value in _ATTR.findall(m["attrs"])}
        yield Placed(Block(m["tag"], attrs, text[slice(*body)]), (m.start(), at), body)


def stretches(text: str, *, but: str) -> list[tuple[int, int]]:
    """Return the spans of what ``text`` is made of: the body of each block that is no ``but``, the words between."""
    spans: list[tuple[int, int]] = []
    at = 0
    for placed in place_blocks(text):
        spans += [(at, placed.span[0]), *([placed.body] if placed.block.tag != but else [])]
        at = placed.span[1]
    return [(start, end) for start, end in [*spans, (at, len(text))] if start < end]
