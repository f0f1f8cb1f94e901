"""Tagged blocks: how text of different origin travels in one prompt without being mistaken for instructions.

A block is ``<tag key="value">`` on a line of its own, a body, ``</tag>``. Only the names in ``TAGS`` are blocks. A
body is somebody's words: any look-alike of a block's tag inside it has its ``<`` replaced by ``‹`` (one character for
one, so offsets hold), so a document can neither close its own block nor open another.
"""

import re
from dataclasses import dataclass
from html import escape, unescape

TAGS = ("source", "question", "history", "part", "claim", "text", "tool")
STAND_IN = "‹"

_LOOK_ALIKE = re.compile(rf"<(?=\s*/?\s*(?:{'|'.join(TAGS)})\b)", re.IGNORECASE)
_BLOCK = re.compile(
    rf"^<(?P<tag>{'|'.join(TAGS)})(?P<attrs>(?: [a-z]+=\"[^\"\n]*\")*)>\n(?P<body>.*?)\n?^</(?P=tag)>$",
    re.DOTALL | re.MULTILINE,
)
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
    found = (
        Block(m["tag"], {k: unescape(v) for k, v in _ATTR.findall(m["attrs"])}, m["body"])
        for m in _BLOCK.finditer(text)
    )
    return [b for b in found if tag is None or b.tag == tag]


def stretches(text: str, *, but: str) -> list[tuple[int, int]]:
    """Return the spans of what ``text`` is made of: the body of each block that is no ``but``, the words between."""
    spans: list[tuple[int, int]] = []
    at = 0
    for m in _BLOCK.finditer(text):
        spans += [(at, m.start()), *([m.span("body")] if m["tag"] != but else [])]
        at = m.end()
    return [(start, end) for start, end in [*spans, (at, len(text))] if start < end]
