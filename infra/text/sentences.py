"""Sentences with their exact places.

Gives half-open character spans. Lines decide first (a blank line, heading, list item, table row, chat line
``Name: ...`` or line of fenced code begins a unit of its own; a hard-wrapped paragraph is one unit), then the
punctuation inside a unit. English habits of writing; Chinese and Japanese full stops also end a sentence. Linear in
the text's length.
"""

import re

MAX_SENTENCE_CHARS = 2_000
"""A longer stretch without an end is cut at white space, so that no document can make a quote of any length."""

Span = tuple[int, int]

_LINE = re.compile(r"[^\n]*\n?")
_LIST_ITEM = re.compile(r"[ \t]{0,40}(?:[-*+•‣▪–]|\(?(?:\d{1,3}|[a-zA-Z])[.)])[ \t]")
_HEADING = re.compile(r"[ \t]{0,3}(?:#{1,6}[ \t]|[=\-*_~]{3,}[ \t]*$)")
_TABLE_ROW = re.compile(r"[ \t]{0,40}\||[^\n|]{0,400}[ \t]\|[ \t]|[^\n\t]{0,400}\t")
_CHAT_LINE = re.compile(
    r"[ \t]{0,3}(?:[>\[(][^\n\])]{0,40}[\])]?[ \t])?[A-Z][\w.'’-]{0,40}(?:[ ][A-Z(][\w.'’)-]{0,40}){0,4}:(?:[ \t]|$)"
)
_QUOTE_LINE = re.compile(r"[ \t]{0,3}>")
_FENCE = re.compile(r"[ \t]{0,12}(?:```|~~~)")

_WRAPPED_LINE_CHARS = range(40, 161)
_LIST_NUMBER_CHARS = 12

_EMOJI = "[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\ufe0f\u200d\u20e3]"
_END = re.compile(
    rf"(?P<mark>(?<![.!?])[.!?]++|…)(?P<close>[\"'”’)\]»*_]{{0,4}})(?P<face>(?:[ \t]?{_EMOJI}++){{0,4}})(?=\s)"
    rf"|(?<=\s)(?P<only>{_EMOJI}{{1,8}})(?=\s)|[。\uff01\uff1f]+[」』”’\uff09]{{0,3}}"
)
_ABBREVIATIONS = frozenset(
    """
    mr mrs ms dr prof sr jr st mt vs e.g i.e eg ie cf fig figs eq no nos vol pp ch sec approx dept est rev gen col
    lt sgt capt hon pres gov sen rep jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri
    sat sun u.s u.k u.n ph.d m.d b.a m.a d.c ave blvd rd al
    """.split()  # noqa: SIM905 - a list to be read by people
)
_MAY_END = frozenset({"etc", "a.m", "p.m", "inc", "ltd", "co", "corp"})
_LAST_WORD = re.compile(r"[^\s(\[\"“\u2018]{1,40}$")


def split_sentences(text: str) -> list[Span]:
    """Return the spans of the sentences of ``text``, in order, without overlap.

    A span is never empty, has no white space at its ends, never crosses a blank line or a line that is its own
    unit, and is at most ``MAX_SENTENCE_CHARS`` long.
    Abbreviations, decimals, versions, initials, URLs and ellipses do not end a sentence. Everything but white space
    is in some span.
    """
    spans: list[Span] = []
    for start, end in _units(text):
        cut = start
        for boundary in _boundaries(text, start, end):
            _append(spans, text, cut, boundary)
            cut = boundary
        _append(spans, text, cut, end)
    return spans


def _units(text: str) -> list[Span]:
    units: list[Span] = []
    open_at: int | None = None
    previous: Span = (0, 0)
    fenced = False
    for match in _LINE.finditer(text):
        start, end = match.span()
        line = match[0].strip()
        fence = _FENCE.match(match[0]) is not None
        alone = fenced or fence or _stands_alone(match[0])
        if open_at is not None and (not line or alone or not _continues(text, previous, match[0])):
            units.append((open_at, start))
            open_at = None
        if alone and line:
            units.append((start, end))
        elif line and open_at is None:
            open_at = start
        fenced ^= fence
        previous = (start, end)
    return units if open_at is None else [*units, (open_at, len(text))]


def _stands_alone(line: str) -> bool:
    return bool(_HEADING.match(line) or _TABLE_ROW.match(line))


def _continues(text: str, previous: Span, line: str) -> bool:
    """Whether ``line`` goes on with the line before: neither begins a unit, and the one before looks hard-wrapped."""
    if _LIST_ITEM.match(line) or _CHAT_LINE.match(line) or _QUOTE_LINE.match(line):
        return False
    first = line.lstrip()[:1]
    before = text[previous[0] : previous[1]].strip()
    return first.islower() or before[-1:] in ",;" or len(before) in _WRAPPED_LINE_CHARS


def _boundaries(text: str, start: int, end: int) -> list[int]:
    return [match.end() for match in _END.finditer(text, start, end) if _ends_sentence(text, match, start)]


def _ends_sentence(text: str, match: re.Match[str], start: int) -> bool:
    mark = match["mark"]
    following = text[match.end() : match.end() + 200].lstrip()[:1]
    if match["only"]:
        return following.isupper()
    if mark is None:
        return True
    if following.islower():
        return ("!" in mark or "?" in mark) and not match["close"]
    if mark == "…" or mark.endswith(".."):
        return False
    return mark != "." or bool(match["face"]) or not _is_abbreviation(text, match.start(), start, following)


def _is_abbreviation(text: str, dot: int, start: int, following: str) -> bool:
    found = _LAST_WORD.search(text[max(start, dot - 40) : dot])
    word = found[0] if found else ""
    if len(word) == 1 and word.isalpha() and word != "I":
        return True
    if word.isdigit() and dot - start <= _LIST_NUMBER_CHARS and not text[start : dot - len(word)].strip():
        return True
    plain = word.casefold()
    return plain in _ABBREVIATIONS or (plain in _MAY_END and not following.isupper())


def _append(spans: list[Span], text: str, start: int, end: int) -> None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    while end - start > MAX_SENTENCE_CHARS:
        space = text.rfind(" ", start + MAX_SENTENCE_CHARS // 2, start + MAX_SENTENCE_CHARS)
        cut = space if space > 0 else start + MAX_SENTENCE_CHARS
        spans.append((start, cut))
        start = cut
        while text[start].isspace():
            start += 1
    if start < end:
        spans.append((start, end))
