"""What a question limits itself to: files and folders it names, kinds of files, days and months.

Gives the documents a search may be limited to, and the dates that a passage's header should carry. Files, folders and
kinds are limits ("in report.pdf", "in the folder plans", "in the spreadsheets"); a date only makes passages of that day
or month better, because it may as well be what is asked about. Pure functions; a limit that leaves nothing is lifted by
whoever searches.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from infra.store.records import DocumentInfo
from infra.text.terms import terms

MAX_DOCUMENTS = 1_000
"""Documents a search is limited to at once; a limit that more fit is no help and is not applied."""

MAX_NAMES = 8

_KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"pdfs?", (".pdf",)),
    (r"docx|word(?=\s+(?:files?|documents?))", (".docx",)),
    (r"powerpoints?|slides?|slide\s?decks?|presentations?", (".pptx",)),
    (r"excel|workbooks?|spreadsheets?", (".xlsx", ".xls", ".ods", ".csv", ".tsv")),
    (r"csvs?", (".csv", ".tsv")),
    (r"notebooks?", (".ipynb",)),
    (r"e-?mails?", (".eml",)),
    (r"e-?books?|epubs?", (".epub",)),
    (r"markdown", (".md", ".markdown")),
    (r"html|web\s?pages?", (".html", ".htm", ".xhtml")),
    (r"json", (".json", ".jsonl")),
)
_SOURCE = r"\b(?:in|from|within|inside|among|across|according\s+to)\s+(?:(?:all|any|the|my|our|these|those|of)\s+){0,3}"
_HOLDER = r"(?:\s+(?:files?|documents?|attachments?))?"
_KIND = re.compile(
    _SOURCE
    + "(?:"
    + "|".join(f"(?P<k{n}>{words})" for n, (words, _) in enumerate(_KINDS))
    + ")"
    + _HOLDER
    + r"(?=\s*(?:[?.,;:!]|$|\b(?:from|of|about|that|which|where|on|is|are|was|were|what|who|how|when)\b))",
    re.IGNORECASE,
)
_FILE = re.compile(r"(?<![\w/.-])(?:[\w.-]{1,80}/){0,16}[\w.-]{1,120}\.[A-Za-z][A-Za-z0-9]{0,7}\b(?![\w/@])")
_FOLDER = re.compile(
    _SOURCE
    + r"(?:(?:folders?|director(?:y|ies))\s+[\"'`\u2018\u201c]?(?P<named>[\w.-]{1,120}(?:/[\w.-]{1,120}){0,16})"
    + r"|[\"'`\u2018\u201c]?(?P<written>[\w.-]{1,120}(?:/[\w.-]{1,120}){0,16})/(?![\w/]))",
    re.IGNORECASE,
)
_DAY = re.compile(r"(?:\d{4}-)?\d\d-\d\d")
_YEAR = re.compile(r"(?:1[5-9]|20|21)\d\d")
_MONTHS = frozenset(terms(f"2000-{number:02d}-01")[-2] for number in range(1, 13))


@dataclass(frozen=True, slots=True)
class Limits:
    """What a question says about where to look.

    Attributes:
        names: files it names, in lower case, as written (``report.pdf``, ``notes/todo.md``); folders end in ``/``.
        suffixes: suffixes of the kinds of files it names.
        dates: for each date the terms that a header must carry for it, as ``infra.text.terms`` writes them.
    """

    names: tuple[str, ...] = ()
    suffixes: frozenset[str] = frozenset()
    dates: tuple[frozenset[str], ...] = ()


def limits_of(question: str) -> Limits:
    """Read the limits that ``question`` states; linear in its length."""
    found = [match[0] for match in _FILE.finditer(question)]
    found += [f"{match['named'] or match['written']}/" for match in _FOLDER.finditer(question)]
    names = dict.fromkeys(name.casefold() for name in found)
    kinds = {int(name[1:]) for match in _KIND.finditer(question) for name, found in match.groupdict().items() if found}
    suffixes = frozenset(suffix for number in kinds for suffix in _KINDS[number][1])
    return Limits(tuple(names)[:MAX_NAMES], suffixes, _dates(terms(question)))


def chosen(limits: Limits, documents: Iterable[DocumentInfo]) -> list[str] | None:
    """Return the absolute paths of the documents that ``limits`` name, or None when they name none.

    A named file or folder wins over a named kind. None also when more than ``MAX_DOCUMENTS`` fit.
    """
    known = list(documents)
    named = [d.path for d in known if any(_is_named(d.path.casefold(), name) for name in limits.names)]
    of_kind = [d.path for d in known if PurePosixPath(d.path.casefold()).suffix in limits.suffixes]
    found = named or of_kind
    return found if 0 < len(found) <= MAX_DOCUMENTS else None


def carries(header: frozenset[str], dates: Sequence[frozenset[str]]) -> bool:
    """Tell whether a header's terms hold one of ``dates``."""
    return any(date <= header for date in dates)


def _is_named(path: str, name: str) -> bool:
    if name.endswith("/"):
        return f"/{name.rstrip('.,/')}/" in path
    return path == name or path.endswith("/" + name)


def _dates(found: Sequence[str]) -> tuple[frozenset[str], ...]:
    """The days among the terms of a question; without a day, its months (each with the year, if there is just one)."""
    days = [term for term in found if _DAY.fullmatch(term)]
    if days:
        # "2026-05-06" is followed by "05-06": where the year is known, it counts
        full = {day for day in days if _YEAR.match(day)}
        return tuple(frozenset({day}) for day in dict.fromkeys(days) if day in full or not _ends(full, day))
    years = {term for term in found if _YEAR.fullmatch(term)}
    months = [term for term in dict.fromkeys(found) if term in _MONTHS]
    return tuple(frozenset({month} | (years if len(years) == 1 else set())) for month in months)


def _ends(days: Iterable[str], day: str) -> bool:
    return any(full.endswith(day) for full in days)
