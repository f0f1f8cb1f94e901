"""The sources of a call as units that can be quoted, with the terms they say and ask.

A unit stands verbatim in its source (``cutting`` says where it begins and ends). Two kinds of lines are no units,
they give context to units: a heading or a table's first row to what follows it in its source, and a line that only
states a date (``Time: 2026-11-13 13:00``) to its whole source.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from infra.engine.tasks.cutting import (
    cut,
    has_list,
    is_date_line,
    is_fragment,
    is_heading,
    is_row,
    is_rule,
    speaker_of,
    without_bullet,
)
from infra.engine.tasks.sentence_kinds import asks, is_remark, is_suggestion
from infra.text.blocks import Block
from infra.text.sentences import split_sentences
from infra.text.terms import terms


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a text that can be quoted, with what stands above it.

    Attributes:
        text: exactly as it stands there.
        heading: the heading it stands under, '' where there is none.
        table_head: the first row of the table it is a row of, '' where it is none.
    """

    text: str
    heading: str
    table_head: str


@dataclass(frozen=True, slots=True)
class Unit:
    """One quotable stretch of a source.

    Attributes:
        index: position among all units of the call; neighbours in one source differ by one, others by more.
        source: the mark of its source (``E1``).
        doc: the document of its source (its mark where the caller names none).
        text: exactly as it stands in the source.
        table_head: the first row of the table it is a row of, '' where it is none.
        speaker: who says it, '' where the line names nobody.
        spoken: the terms of the speaker's name.
        said: the terms of what it states, proposes or asks to be confirmed, with the speaker's.
        asked: the terms of all its questions.
        stated_chars: length of ``text`` without the open questions at its end; 0 where it only asks.
        headed: the terms of its heading and its table's first row.
        is_list: whether it is a lead line with its list, whose line breaks matter.
        is_fragment: whether it is many words without an end of sentence, as in menus and captions.
    """

    index: int
    source: str
    doc: str
    text: str
    table_head: str
    speaker: str
    spoken: frozenset[str]
    said: frozenset[str]
    asked: frozenset[str]
    stated_chars: int
    headed: frozenset[str]
    is_list: bool
    is_fragment: bool

    @property
    def terms(self) -> frozenset[str]:
        """All terms of the unit's own words."""
        return self.said | self.asked


@dataclass(frozen=True, slots=True)
class Source:
    """One source block.

    Attributes:
        id: its mark.
        rank: 0 for the source that came first.
        doc: its document.
        context: the terms of its context line, its document's name and its date line.
        units: in the order of the text.
        date_line: the line that dates it, '' where it has none.
    """

    id: str
    rank: int
    doc: str
    context: frozenset[str]
    units: tuple[Unit, ...]
    date_line: str


def read_sources(blocks: Iterable[Block]) -> list[Source]:
    """Return the sources in the order given; of two with one id the first counts, one without an id gets its number."""
    sources: dict[str, Source] = {}
    first = 0
    for position, block in enumerate(blocks, start=1):
        name = block.attrs.get("id", f"E{position}")
        if name not in sources:
            sources[name] = _read(name, len(sources), block, first)
            first += len(sources[name].units) + 1
    return list(sources.values())


def _read(name: str, rank: int, block: Block, first: int) -> Source:
    doc = block.attrs.get("doc") or name
    texts = [block.body[start:end] for start, end in cut(block.body)]
    date_line = next((text for text in texts[:3] if is_date_line(text)), "")
    context = frozenset(terms(f"{block.attrs.get('context', '')} {doc} {date_line}"))
    units = tuple(_unit(first + n, name, doc, piece) for n, piece in enumerate(_pieces(texts)))
    return Source(name, rank, doc, context, units, date_line)


def _pieces(texts: Sequence[str]) -> Iterator[Piece]:
    """Give the quotable pieces of ``texts`` with what stands above them; drawn lines and date lines fall away.

    A heading or a table's first row is given only where nothing follows that it could stand above.
    """
    shown = [text for text in texts if not (is_rule(text) or is_date_line(text))]
    heading = head = ""
    for text, following in zip_longest(shown, shown[1:], fillvalue=""):
        row = is_row(text)
        if is_heading(text) and following:
            heading = text
        elif row and not head and is_row(following):
            head = text
        else:
            yield Piece(without_bullet(text), heading, head if row else "")
        head = head if row else ""


def _unit(index: int, source: str, doc: str, piece: Piece) -> Unit:
    said, asked, stated = _said_and_asked(piece.text)
    speaker = speaker_of(piece.text)
    spoken = frozenset(terms(speaker))
    return Unit(
        index=index,
        source=source,
        doc=doc,
        text=piece.text,
        table_head=piece.table_head,
        speaker=speaker,
        spoken=spoken,
        said=said | spoken,
        asked=asked,
        stated_chars=stated,
        headed=frozenset(terms(f"{piece.heading}\n{piece.table_head}")),
        is_list=has_list(piece.text),
        is_fragment=is_fragment(piece.text),
    )


def _said_and_asked(text: str) -> tuple[frozenset[str], frozenset[str], int]:
    """Return the terms ``text`` says, the terms it asks, and where its last saying sentence ends."""
    said: list[str] = []
    asked: list[str] = []
    stated = 0
    for start, end in split_sentences(text):
        sentence = text[start:end]
        found = terms(sentence)
        question = asks(sentence) and not is_suggestion(sentence)
        if question:
            asked += found
        if not question or not is_remark(sentence):
            said += found
            stated = end
    return frozenset(said), frozenset(asked), stated
