"""The sources of a call, cut into units that can be quoted.

A unit is what a person would read out as one thing: a line said by somebody (``Name: ...``) with all its sentences when it
is short, otherwise one sentence. Its text stands verbatim in its source. What surrounds it (the source's rank, document,
context line, the units before and after) stays reachable by index.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from infra.text.blocks import Block
from infra.text.sentences import split_sentences
from infra.text.terms import terms

LINE_CHARS = 320
"""A said line up to this length is one unit: about three sentences, as much as a person takes in at once."""

_SPEAKER = re.compile(r"\s*([^\W\d_][\w.'’ -]{0,39}):\s+\S")


@dataclass(frozen=True, slots=True)
class Unit:
    """One quotable stretch of a source.

    Attributes:
        index: position among all units of the call; neighbours differ by one.
        source: the mark of its source (``E1``).
        rank: 0 for the source that came first.
        doc: the document of its source ('' where the caller gave none).
        text: exactly as it stands in the source.
        speaker: who says it, '' where the line names nobody.
        terms: its normalised terms.
    """

    index: int
    source: str
    rank: int
    doc: str
    text: str
    speaker: str
    terms: frozenset[str]


@dataclass(frozen=True, slots=True)
class Source:
    """One source block: its mark, document, normalised context and units in order."""

    id: str
    rank: int
    doc: str
    context: str
    context_terms: frozenset[str]
    units: tuple[Unit, ...]


def read_sources(blocks: Sequence[Block]) -> list[Source]:
    """Return the sources in the order given; of two with one id the first counts, and one without id is numbered."""
    sources: dict[str, Source] = {}
    count = 0
    for position, block in enumerate(blocks, start=1):
        name = block.attrs.get("id", f"E{position}")
        if name in sources:
            continue
        source = _read(name, len(sources), block, count)
        count += len(source.units)
        sources[name] = source
    return list(sources.values())


def _read(name: str, rank: int, block: Block, first: int) -> Source:
    doc, context = block.attrs.get("doc", ""), block.attrs.get("context", "")
    units = tuple(
        Unit(first + n, name, rank, doc, text, speaker, frozenset(terms(text)))
        for n, (text, speaker) in enumerate(cut(block.body))
    )
    return Source(name, rank, doc, context, frozenset(terms(f"{context} {doc}")), units)


def cut(text: str) -> list[tuple[str, str]]:
    """Cut ``text`` into (unit text, speaker) in order."""
    found: list[tuple[str, str]] = []
    for start, end in _lines(text):
        line = text[start:end]
        speaker = speaker_of(line)
        if speaker and end - start <= LINE_CHARS:
            found.append((line, speaker))
        else:
            found.extend((line[a:b], speaker) for a, b in split_sentences(line))
    return found


def speaker_of(line: str) -> str:
    """Return who says ``line`` (``Name: ...``), '' where it names nobody."""
    match = _SPEAKER.match(line)
    return match[1] if match else ""


def _lines(text: str) -> list[tuple[int, int]]:
    """Spans of the lines that somebody says, and of the stretches between them (whole, so that sentences may span lines)."""
    spans: list[tuple[int, int]] = []
    open_from = 0
    for match in re.finditer(r"[^\n]+", text):
        if not speaker_of(match[0]):
            continue
        spans.append((open_from, match.start()))
        begin = match.start() + len(match[0]) - len(match[0].lstrip())
        spans.append((begin, match.start() + len(match[0].rstrip())))
        open_from = match.end()
    spans.append((open_from, len(text)))
    return [(start, end) for start, end in spans if text[start:end].strip()]
