"""The sources of a call, cut into units that can be quoted.

A unit is what a person would read out as one thing, and its text stands verbatim in its source:

* a line somebody says (``Name: ...``) with all its sentences;
* a line that ends in a colon with the list that follows it;
* otherwise one sentence, one list item (without its bullet) or one table row.

Two kinds of lines are no units, they give context to units: a heading (or a table's first row) to what follows it in
its source, and a line that only states a date (``Time: 2026-11-13 13:00``) to its whole document.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from infra.engine.tasks.sentence_kinds import asks, is_remark, is_suggestion
from infra.text.blocks import Block
from infra.text.sentences import split_sentences
from infra.text.terms import terms

UNIT_CHARS = 700
"""A said line or a list up to this length is one unit (a long chat message, about 120 words); a longer one is cut."""
DATE_LINE_CHARS = 60
HEADING_CHARS = 80

_SPEAKER = re.compile(r"[ \t]*([^\W\d_][\w.'’()-]*(?: [\w.'’()-]+){0,4}):[ \t]+\S")
_DATED = re.compile(r"\d{4}|\d{1,2}[:./-]\d{1,2}")
_LETTERS = re.compile(r"[^\W\d_]{3,}")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+•‣▪–]|\(?(?:\d{1,3}|[a-zA-Z])[.)])[ \t]")
_BULLET = re.compile(r"[ \t]*[-*+•‣▪–][ \t]+")
_LIST_LINE = re.compile(r"\n[ \t]*(?:[-*+•‣▪–]|\(?(?:\d{1,3}|[a-zA-Z])[.)])[ \t]")
_FRAGMENT = re.compile(r"^(?:\S+\s+){7,}[^\s.!?:;]+$")
_LEAD = re.compile(r":[^\w\n]*$")
_RULE = re.compile(r"[\s|:+=_*~-]+")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Unit:
    """One quotable stretch of a source.

    Attributes:
        index: position among all units of the call; neighbours in one source differ by one, others by more.
        source: the mark of its source (``E1``).
        doc: the document of its source (its mark where the caller names none).
        text: exactly as it stands in the source.
        speaker: who says it, '' where the line names nobody.
        spoken: the terms of the speaker's name.
        said: the terms of what it states, proposes or asks to be confirmed, with the speaker's.
        asked: the terms of all its questions.
        stated_chars: length of ``text`` without the open questions at its end; 0 where it only asks.
        headed: the terms of the heading it stands under.
        is_list: whether it is a lead line with its list, whose line breaks matter.
        is_fragment: whether it is many words without an end of sentence, as in menus and captions.
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


def cut(text: str) -> list[Span]:
    """Cut ``text`` into spans: said lines whole, a lead line with its list, otherwise sentences."""
    return _with_lists(text, [span for line in _lines(text) for span in _pieces(text, line)])


def speaker_of(line: str) -> str:
    """Return who says ``line`` (``Name: ...``), '' where it names nobody."""
    match = _SPEAKER.match(line)
    return match[1] if match else ""


def is_date_line(text: str) -> bool:
    """Tell whether ``text`` says nothing but a date or time, with at most one word as its label."""
    return len(text) <= DATE_LINE_CHARS and bool(_DATED.search(text)) and len(_LETTERS.findall(text)) <= 1


def is_heading(text: str) -> bool:
    """Tell whether ``text`` is a heading: marked by ``#``, or short, on one line and without an end of sentence."""
    plain = text.strip()
    if plain.startswith("#"):
        return True
    if len(plain) > HEADING_CHARS or "\n" in plain or "|" in plain or _LIST_ITEM.match(plain) or speaker_of(plain):
        return False
    return bool(_LETTERS.search(plain)) and plain[-1].isalnum() and plain[0].isupper()


def _read(name: str, rank: int, block: Block, first: int) -> Source:
    doc = block.attrs.get("doc") or name
    texts = [block.body[start:end] for start, end in cut(block.body)]
    date_line = next((text for text in texts[:3] if is_date_line(text)), "")
    blank = Unit(
        0, name, doc, "", "", frozenset(), frozenset(), frozenset(), 0, frozenset(), is_list=False, is_fragment=False
    )
    units = tuple(replace(unit, index=first + n) for n, unit in enumerate(_units(texts, blank)))
    return Source(
        name, rank, doc, frozenset(terms(f"{block.attrs.get('context', '')} {doc} {date_line}")), units, date_line
    )


def _units(texts: Sequence[str], blank: Unit) -> list[Unit]:
    """Make units of ``texts``: headings and table heads go with what follows them, rules and date lines fall away."""
    units: list[Unit] = []
    heading = head = frozenset[str]()
    for place, text in enumerate(texts):
        row = "|" in text
        if _RULE.fullmatch(text) or is_date_line(text):
            continue
        if row and not head:
            head = frozenset(terms(text))
            if place + 1 < len(texts) and "|" in texts[place + 1]:
                continue
        elif not row:
            head = frozenset[str]()
        if is_heading(text) and place + 1 < len(texts):
            heading = frozenset(terms(text))
        else:
            units.append(_unit(replace(blank, text=_BULLET.sub("", text, count=1), headed=heading | head)))
    return units


def _unit(bare: Unit) -> Unit:
    """Fill in what the sentences of ``bare.text`` say."""
    said: list[str] = []
    asked: list[str] = []
    stated = 0
    for start, end in split_sentences(bare.text):
        sentence = bare.text[start:end]
        found = terms(sentence)
        question = asks(sentence) and not is_suggestion(sentence)
        if question:
            asked += found
        if not question or not is_remark(sentence):
            said += found
            stated = end
    speaker = speaker_of(bare.text)
    spoken = frozenset(terms(speaker))
    return replace(
        bare,
        speaker=speaker,
        spoken=spoken,
        said=spoken.union(said),
        asked=frozenset(asked),
        stated_chars=stated,
        is_list=_LIST_LINE.search(bare.text) is not None,
        is_fragment=not speaker and "|" not in bare.text and bool(_FRAGMENT.search(bare.text)),
    )


def _lines(text: str) -> list[Span]:
    """Spans of the lines that somebody says, and of the stretches between them (whole: sentences may span lines)."""
    spans: list[Span] = []
    open_from = 0
    for match in re.finditer(r"[^\n]+", text):
        if speaker_of(match[0]):
            spans += [(open_from, match.start()), match.span()]
            open_from = match.end()
    spans.append((open_from, len(text)))
    return [(start, end) for start, end in spans if text[start:end].strip()]


def _pieces(text: str, line: Span) -> list[Span]:
    start, end = line
    stripped = text[start:end].strip()
    if speaker_of(stripped) and len(stripped) <= UNIT_CHARS:
        begin = text.index(stripped, start)
        return [(begin, begin + len(stripped))]
    return [(start + a, start + b) for a, b in split_sentences(text[start:end])]


def _with_lists(text: str, spans: Sequence[Span]) -> list[Span]:
    """Join a line that ends in a colon with the list items that follow it, as far as they fit one unit."""
    joined: list[Span] = []
    leading = False
    for start, end in spans:
        inside = leading and (_LIST_ITEM.match(text, start) or "\n" not in text[joined[-1][1] : start])
        if inside and end - joined[-1][0] <= UNIT_CHARS:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
            leading = bool(_LEAD.search(text[start:end]))
    return joined
