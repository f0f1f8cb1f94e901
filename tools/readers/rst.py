"""reStructuredText: docutils says which lines are headings and how deep; the text stands as it was written.

Docutils may include no file, fetch nothing and run nothing here, and complains to nobody: directives it does not know
(Sphinx has many) are text like any other.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any, cast

from docutils import core, nodes

from tools.extracted import Extracted
from tools.readers.plain import Heading, divided
from tools.readers.source import Source

_SILENT = 5
_TAB_WIDTH = 8
_SETTINGS: dict[str, Any] = {
    "_disable_config": True,
    "doctitle_xform": False,
    "file_insertion_enabled": False,
    "halt_level": _SILENT,
    "line_length_limit": 10_000_000,
    "raw_enabled": False,
    "report_level": _SILENT,
    "syntax_highlight": "none",
    "tab_width": _TAB_WIDTH,
    "warning_stream": False,
}


def read_rst(source: Source) -> Extracted:
    """Read reStructuredText, divided at its headings."""
    text = source.text()
    document: nodes.document = cast("Any", core).publish_doctree(text, settings_overrides=_SETTINGS)
    return divided(text, _located(text, _titles(document)), source.name)


def _titles(document: nodes.document) -> Iterator[tuple[int, str, str]]:
    """Level, words, and line as written of every section's title."""
    stack: list[tuple[int, nodes.Node]] = [(0, document)]
    while stack:
        level, node = stack.pop()
        if isinstance(node, nodes.section):
            title = node.next_node(nodes.title)
            if title is not None:
                yield level, title.astext(), title.rawsource
        stack += [(level + 1, child) for child in reversed(node.children) if isinstance(child, nodes.section)]


def _located(text: str, titles: Iterable[tuple[int, str, str]]) -> Iterator[Heading]:
    """Each title where it stands in the text: at the next such line that is underlined, with what is drawn above it."""
    lines = text.split("\n")
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    places: defaultdict[str, list[int]] = defaultdict(list)
    for number in range(len(lines) - 1):
        if _is_drawn(lines[number + 1]):
            # docutils has no tabs in its titles
            places[lines[number].expandtabs(_TAB_WIDTH).strip()].append(number)
    at = 0
    for level, words, written in titles:
        same = places[written]
        following = bisect_left(same, at)
        if following < len(same):
            found = same[following]
            first = found - 1 if found > at and _is_drawn(lines[found - 1]) else found
            at = found + 2
            yield level, words, starts[first], min(starts[at], len(text))


def _is_drawn(line: str) -> bool:
    """Whether a line is one mark of punctuation, repeated."""
    line = line.rstrip()
    return len(set(line)) == 1 and not line[0].isalnum() and not line[0].isspace()
