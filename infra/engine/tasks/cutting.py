"""Where a text can be cut for quoting, and which of its lines only give context.

Pure functions over text. A cut piece is what a person would read out as one thing: a line somebody says (``Name: ...``)
with all its sentences, a line that ends in a colon with the list that follows it, otherwise one sentence.
"""

import re
from collections.abc import Sequence

from infra.text.sentences import split_sentences

UNIT_CHARS = 700
"""A said line or a list up to this length is one piece (a long chat message, about 120 words); a longer one is cut."""
DATE_LINE_CHARS = 60
HEADING_CHARS = 80
FRAGMENT_WORDS = 8

_SPEAKER = re.compile(r"[ \t]*([^\W\d_][\w.'’()-]*(?: [\w.'’()-]+){0,4}):[ \t]+\S")
_DATED = re.compile(r"\d{4}|\d{1,2}[:./-]\d{1,2}")
_LETTERS = re.compile(r"[^\W\d_]{3,}")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+•‣▪–]|\(?(?:\d{1,3}|[a-zA-Z])[.)])[ \t]")
_BULLET = re.compile(r"^[ \t]*[-*+•‣▪–][ \t]+")
_LEAD = re.compile(r":[^\w\n]*$")
_RULE = re.compile(r"[\s|:+=_*~-]+")

Span = tuple[int, int]


def cut(text: str) -> list[Span]:
    """Return the spans of the pieces of ``text``, in order."""
    return _with_lists(text, [span for line in _lines(text) for span in _pieces(text, line)])


def speaker_of(line: str) -> str:
    """Return who says ``line`` (``Name: ...``), '' where it names nobody."""
    match = _SPEAKER.match(line)
    return match[1] if match else ""


def is_date_line(text: str) -> bool:
    """Tell whether ``text`` says nothing but a date or time, with at most one word as its label."""
    return len(text) <= DATE_LINE_CHARS and bool(_DATED.search(text)) and len(_LETTERS.findall(text)) <= 1


def is_rule(text: str) -> bool:
    """Tell whether ``text`` is only drawn: a ruled line, or the line under a table's head."""
    return bool(_RULE.fullmatch(text))


def is_row(text: str) -> bool:
    """Tell whether ``text`` is a table row."""
    return "|" in text and not speaker_of(text)


def is_heading(text: str) -> bool:
    """Tell whether ``text`` is a heading: marked by ``#``, or short, on one line and without an end of sentence."""
    plain = text.strip()
    if plain.startswith("#"):
        return True
    if len(plain) > HEADING_CHARS or "\n" in plain or is_row(plain) or _LIST_ITEM.match(plain) or speaker_of(plain):
        return False
    return bool(_LETTERS.search(plain)) and plain[-1].isalnum() and plain[0].isupper()


def is_fragment(text: str) -> bool:
    """Tell whether ``text`` is many words without an end of sentence, as in menus and captions."""
    if speaker_of(text) or is_row(text):
        return False
    return len(text.split()) >= FRAGMENT_WORDS and (text[-1].isalnum() or text[-1] in ")]")


def has_list(text: str) -> bool:
    """Tell whether a line of ``text`` after its first is a list item."""
    return any(_LIST_ITEM.match(line) for line in text.split("\n")[1:])


def without_bullet(text: str) -> str:
    """Return ``text`` without the bullet it begins with."""
    return _BULLET.sub("", text, count=1)


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
    """Join a line that ends in a colon with the list items that follow it, as far as they fit one piece."""
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
