"""The sources of a call, cut into units that can be quoted.

A unit is what a person would read out as one thing: a line said by somebody (``Name: ...``) with all its sentences, or one
sentence of prose. Its text stands verbatim in its source. A line that only states a date (``Time: 2026-11-13 13:00``) is
no unit: it belongs to the context of all units of its document and is kept aside as the document's date line.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from infra.text.blocks import Block
from infra.text.sentences import split_sentences
from infra.text.terms import terms

LINE_CHARS = 700
"""A said line up to this length is one unit (a long chat message, about 120 words); a longer one is cut into sentences."""

DATE_LINE_CHARS = 60

_SPEAKER = re.compile(r"[ \t]*([^\W\d_][\w.'’()-]*(?: [\w.'’()-]+){0,4}):[ \t]+\S")
_DATED = re.compile(r"\d{4}|\d{1,2}[:./-]\d{1,2}")
_LETTERS = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True, slots=True)
class Unit:
    """One quotable stretch of a source.

    Attributes:
        index: position among all units of the call; neighbours in one source differ by one.
        source: the mark of its source (``E1``).
        doc: the document of its source ('' where the caller gave none).
        text: exactly as it stands in the source.
        speaker: who says it, '' where the line names nobody.
        spoken: the terms of the speaker's name.
        said: the terms of its sentences that state something, with the speaker's.
        asked: the terms of its sentences that ask something.
        stated_chars: length of ``text`` up to the end of its last stating sentence; 0 where it only asks.
    """

    index: int
    source: str
    doc: str
    text: str
    speaker: str
    spoken: frozenset[str]
    said: frozenset[str]
    asked: frozenset[str]
    stated_chars: int

    @property
    def terms(self) -> frozenset[str]:
        """All terms of the unit."""
        return self.said | self.asked


@dataclass(frozen=True, slots=True)
class Source:
    """One source block.

    Attributes:
        id: its mark.
        rank: 0 for the source that came first.
        doc: its document.
        context: the terms of its context line, its document's name and its date line.
        units: in order of the text.
        date_line: the line that dates it, '' where it has none.
    """

    id: str
    rank: int
    doc: str
    context: frozenset[str]
    units: tuple[Unit, ...]
    date_line: str


def read_sources(blocks: Sequence[Block]) -> list[Source]:
    """Return the sources in the order given; of two with one id the first counts, and one without id is numbered."""
    sources: dict[str, Source] = {}
    count = 0
    for position, block in enumerate(blocks, start=1):
        name = block.attrs.get("id", f"E{position}")
        if name not in sources:
            sources[name] = _read(name, len(sources), block, count)
            count += len(sources[name].units) + 1
    return list(sources.values())


def _read(name: str, rank: int, block: Block, first: int) -> Source:
    doc = block.attrs.get("doc", "")
    pieces = cut(block.body)
    date_line = next((text for text, _ in pieces[:3] if is_date_line(text)), "")
    kept = [(text, speaker) for text, speaker in pieces if not is_date_line(text)]
    units = tuple(_unit(first + n, name, doc, text, speaker) for n, (text, speaker) in enumerate(kept))
    context = frozenset(terms(f"{block.attrs.get('context', '')} {doc} {date_line}"))
    return Source(name, rank, doc, context, units, date_line)


def _unit(index: int, source: str, doc: str, text: str, speaker: str) -> Unit:
    said, asked, stated = list[str](), list[str](), 0
    for start, end in split_sentences(text):
        if asks(text[start:end]):
            asked += terms(text[start:end])
        else:
            said += terms(text[start:end])
            stated = end
    spoken = frozenset(terms(speaker))
    return Unit(index, source, doc, text, speaker, spoken, frozenset(said) | spoken, frozenset(asked), stated)


def asks(sentence: str) -> bool:
    """Tell whether ``sentence`` is a question (a question mark before nothing but signs and emoji)."""
    return bool(re.search(r"\?[^\w?]*$", sentence))


def is_date_line(text: str) -> bool:
    """Tell whether ``text`` says nothing but a date or time, with at most one word as its label."""
    return len(text) <= DATE_LINE_CHARS and bool(_DATED.search(text)) and len(_LETTERS.findall(text)) <= 1


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
