"""What gives a passage context: the date a text carries, who speaks in it, and the header made of all that is known.

Pure functions over text and names; the rules are general (no set of documents is known here). A header is embedded and
searched with every window of its passage, shown to the model, and never quoted.
"""

import re
from collections import Counter
from datetime import datetime
from pathlib import PurePosixPath

from infra.text.plain import short_line
from tools.extracted import Extracted, Section, Span

HEADER_CHARS = 320
PART_CHARS = 100
SECTION_CHARS = 200
"""Of a section's name in a citation; the outermost headings give way."""
COLUMNS_CHARS = 220
"""A row says little without the names of its columns: they get more room than any other part."""
MAX_PEOPLE = 8
FIRST_LINES = 3
DATE_LINE_CHARS = 60
CHAT_SHARE = 0.6
"""Of the lines with text, the share that must read ``Name: words`` for a text to be a conversation."""

MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905 - a list to be read by people
)
_MONTH = "|".join(f"{name[:3]}(?:{name[3:]})?" for name in MONTHS)
_CLOCK = r"(?:[T_ ,]{1,2}(?P<clock>[012]\d:?[0-5]\d))?(?!\d)"
_DATE = re.compile(
    r"(?<!\d)(?P<y>(?:19|20)\d\d)(?P<sep>[-/.]?)(?P<m>0[1-9]|1[0-2])(?P=sep)(?P<d>0[1-9]|[12]\d|3[01])" + _CLOCK
)
_WRITTEN = re.compile(
    rf"\b(?:(?P<d1>[0-3]?\d)(?:st|nd|rd|th)? (?P<m1>{_MONTH})|(?P<m2>{_MONTH})\.? (?P<d2>[0-3]?\d)(?:st|nd|rd|th)?,?)"
    r" (?P<y>(?:19|20)\d\d)\b",
    re.IGNORECASE,
)
_LABEL = re.compile(r"\W{0,4}(?:time|date|datetime|timestamp|published|updated|created|sent|when)\b", re.IGNORECASE)
_UTTERANCE = re.compile(r"(?P<name>[A-Z][\w.'’-]{0,30}(?: [A-Z][\w.'’-]{0,30}){0,3}):\s+\S")
_NAME_WORDS = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+")


def find_date(text: str, name: str) -> str:
    """The day (and time) a text is of: from one of its first lines, if that says so, or from its file name; else "".

    A first line says so when it has a label (``Time:``, ``Published``) or hardly anything but the date.
    """
    for line in [line for line in text[:2_000].split("\n") if line.strip()][:FIRST_LINES]:
        if len(line) <= DATE_LINE_CHARS or _LABEL.match(line):
            found = _first_date(line[:200])
            if found:
                return found
    return _first_date(name)


def _first_date(text: str) -> str:
    match = _DATE.search(text)
    if match:
        clock = (match["clock"] or "").replace(":", "")
        time = f" {clock[:2]}:{clock[2:]}" if clock else ""
        return f"{int(match['d'])} {MONTHS[int(match['m']) - 1]} {match['y']}{time}"
    match = _WRITTEN.search(text)
    if match:
        month = (match["m1"] or match["m2"])[:3].casefold()
        number = next(n for n, full in enumerate(MONTHS) if full[:3].casefold() == month)
        return f"{int(match['d1'] or match['d2'])} {MONTHS[number]} {match['y']}"
    return ""


def written_time(when: datetime) -> str:
    """A moment as ``find_date`` writes it."""
    return f"{when.day} {MONTHS[when.month - 1]} {when.year} {when:%H:%M}"


def find_people(text: str, lines: list[Span]) -> tuple[str, ...]:
    """Who speaks, in order of their share, when ``text`` is a conversation of ``Name: words`` lines; else nobody."""
    names = [match["name"] for start, end in lines if (match := _UTTERANCE.match(text, start, end))]
    names = [name for name in names if not _LABEL.match(name)]
    counts = Counter(names)
    # a list of settings also reads "Name: words", but there each name stands once
    if len(names) < max(2, CHAT_SHARE * len(lines)) or len(counts) > max(2, len(names) // 2):
        return ()
    return tuple(_spaced(name) for name, _ in counts.most_common(MAX_PEOPLE))


def _spaced(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


def header_of(extracted: Extracted, section: Section, path: str) -> str:
    """The header of a passage: title, headings, page, date, people, columns, and the words of the relative ``path``."""
    place = PurePosixPath(path)
    folders = " ".join(_words(folder) for folder in place.parts[:-1])
    parts = [
        extracted.title or _words(place.stem),
        *section.headings,
        f"page {section.page}" if section.page else "",
        extracted.date,
        ", ".join(extracted.people),
    ]
    columns = "columns: " + ", ".join(section.columns) if section.columns else ""
    shown = [_line(part, PART_CHARS) for part in parts]
    shown += [_line(columns, COLUMNS_CHARS), _line(folders, PART_CHARS)]
    return " | ".join(dict.fromkeys(part for part in shown if part))[:HEADER_CHARS]


def section_name(section: Section) -> str:
    """Where a section stands, as a citation names it (``page 3``, ``Caches > Kinds``, ``function get``), or ""."""
    headings = [short_line(words, PART_CHARS) for words in section.headings if words.strip()]
    first = f"{section.kind or 'page'} {section.page}" if section.page else ""
    if section.kind and not section.page and headings:
        headings[-1] = f"{section.kind} {headings[-1]}"
    while len(name := " > ".join(filter(None, [first, *headings]))) > SECTION_CHARS:
        del headings[0]
    return name


def _line(text: str, most: int) -> str:
    return " ".join(text.split())[:most]


def _words(name: str) -> str:
    """The words of a file or folder name; mere numbers are dropped (a date is found elsewhere)."""
    return " ".join(word for word in re.split(r"[\W_]+", name) if _NAME_WORDS.search(word))
