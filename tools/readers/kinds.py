"""Which reader reads a file: by what its first bytes say, or else by its suffix; and the one door to all readers.

A reader's module is loaded when its first file comes. ``read`` is meant for the helper process of ``tools.reading``,
which bounds time and memory; what ``LIGHT`` names may be read anywhere when it is small.
"""

import errno
import re
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import PurePath

from infra.errors import DocumentError
from tools.extracted import Extracted, Section, Span
from tools.readers import archive
from tools.readers.source import Source

SNIFFED_BYTES = 4_096
REASON_CHARS = 300
MAX_SECTIONS = 100_000
MAX_UNITS = 400_000
HEADING_CHARS = 300
"""Of a heading or title; nobody reads more of one, and headers and citations show less."""

GRAMMARS = {
    **dict.fromkeys((".py", ".pyi"), "tree_sitter_python:language"),
    **dict.fromkeys((".js", ".mjs", ".cjs", ".jsx"), "tree_sitter_javascript:language"),
    **dict.fromkeys((".ts", ".mts", ".cts"), "tree_sitter_typescript:language_typescript"),
    ".tsx": "tree_sitter_typescript:language_tsx",
    ".java": "tree_sitter_java:language",
    ".go": "tree_sitter_go:language",
    ".rs": "tree_sitter_rust:language",
    **dict.fromkeys((".c", ".h"), "tree_sitter_c:language"),
    **dict.fromkeys((".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx"), "tree_sitter_cpp:language"),
}
"""Where the grammar of a programming language is found."""
_LINES = """
    .sh .bash .zsh .fish .ps1 .bat .rb .php .pl .lua .r .jl .scala .kt .kts .swift .cs .fs .vb .dart .ex .exs .erl .hs
    .clj .ml .sql .proto .graphql .tf .yaml .yml .toml .ini .cfg .conf .properties .css .scss .less .vue .svelte .cmake
    .mk .gradle .groovy .m .mm .asm .s .f90 .pas .nim .zig .sol
""".split()  # noqa: SIM905 - a list to be read by people
SUFFIXES = {
    **dict.fromkeys((".md", ".markdown"), "markdown"),
    **dict.fromkeys((".rst", ".rest"), "rst"),
    **dict.fromkeys((".csv", ".tsv"), "table"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    ".pdf": "pdf",
    ".docx": "docx",
    ".pptx": "pptx",
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), "sheets"),
    ".epub": "epub",
    ".ipynb": "notebook",
    ".json": "json",
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    ".eml": "mail",
    **dict.fromkeys(GRAMMARS, "code"),
    **dict.fromkeys(_LINES, "lines"),
}
"""The kind a suffix stands for; any other is plain text, if it is text."""

_READERS = {
    "plain": ("text", "plain:read_plain"),
    "lines": ("text", "plain:read_lines"),
    "markdown": ("Markdown", "plain:read_markdown"),
    "rst": ("reStructuredText", "rst:read_rst"),
    "table": ("table", "tables:read_table"),
    "html": ("HTML", "web:read_html"),
    "pdf": ("PDF", "pdf:read_pdf"),
    "docx": ("DOCX", "word:read_docx"),
    "pptx": ("PPTX", "office:read_pptx"),
    "sheets": ("workbook", "sheets:read_sheets"),
    "epub": ("EPUB", "epub:read_epub"),
    "notebook": ("notebook", "notebook:read_notebook"),
    "json": ("JSON", "records:read_json"),
    "jsonl": ("JSON Lines", "records:read_jsonl"),
    "mail": ("mail", "mail:read_mail"),
    "code": ("source code", "code:read_code"),
    "zip": ("ZIP", ""),
    "ole": ("old Office file", "sheets:read_sheets"),
}
LIGHT = frozenset({"plain", "lines", "markdown", "table"})
"""Kinds whose readers take time and memory in proportion to the file."""
_ZIPPED = frozenset({"docx", "pptx", "sheets", "epub", "zip"})
_ADDRESS = re.compile(r",? ?\b(?:0x[0-9a-f]{8,}|\d{12,})\b")
"""Where an object lies in memory: some messages tell, and no two runs alike."""
_PARSERS_FAULTS = frozenset({None, errno.EINVAL})
"""What a parser that jumps about in a broken file raises; any other number is the system's word about the disk."""
_PLAIN_SUFFIXES = ("", ".txt", ".text")


def kind_of(path: PurePath, head: bytes) -> str:
    """The kind of a file that begins with ``head`` (``SNIFFED_BYTES`` are enough).

    Raises:
        DocumentError: its first bytes say that nothing here reads it.
    """
    suffix = path.suffix.casefold()
    kind = SUFFIXES.get(suffix, "plain")
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return kind if kind in _ZIPPED else "zip"
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        return "ole"
    if head.startswith(b"%PDF-"):
        return "pdf"
    if head.startswith(b"{\\rtf"):
        raise DocumentError("it is Rich Text (RTF): save it as DOCX")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower()
    if suffix in _PLAIN_SUFFIXES and start.startswith((b"<!doctype html", b"<html")):
        return "html"
    return kind


def read(kind: str, source: Source) -> Extracted:
    """Read a file as what ``kind_of`` said it is.

    Raises:
        DocumentError: it cannot be read; the message is one line and says why.
        MemoryError: there is not enough memory for it.
        OSError: it cannot be opened, or the disk fails.
    """
    try:
        return _read(kind, source)
    except (DocumentError, MemoryError):
        raise
    except OSError as error:
        if error.errno in _PARSERS_FAULTS:
            raise _broken(kind, error) from error
        raise
    # a parser may raise anything over a file that is not what it says it is, and the file is to blame
    except Exception as error:
        raise _broken(kind, error) from error


def _read(kind: str, source: Source) -> Extracted:
    if kind in _ZIPPED:
        kind = archive.check_zip(source) or kind
        if kind == "zip":
            raise DocumentError("it is a ZIP archive: unpack it and give the folder")
    elif kind == "ole":
        archive.check_ole(source)
    module, function = _READERS[kind][1].split(":")
    extracted: Extracted = getattr(import_module(f"tools.readers.{module}"), function)(source)
    if not extracted.text.strip():
        raise DocumentError("there is no text in it")
    return _bounded(extracted, source.max_bytes)


def _bounded(extracted: Extracted, max_bytes: int) -> Extracted:
    """The same with no more of anything than memory can bear.

    Where a section has too many units, neighbours are joined. Titles and headings are cut, as a heading is told with
    each of its sections.
    """
    if len(extracted.text) > max_bytes:
        raise DocumentError(
            f"it holds {len(extracted.text) / 1e6:,.1f} million characters, as many are read as a file may have bytes; "
            "DOCMIND_INGEST__MAX_FILE_MB decides"
        )
    if len(extracted.sections) > MAX_SECTIONS:
        raise DocumentError(
            f"it has {len(extracted.sections):,} sections, at most {MAX_SECTIONS:,} are read: divide it"
        )
    sections = tuple(map(_bounded_section, extracted.sections))
    return replace(extracted, title=extracted.title[:HEADING_CHARS], sections=sections)


def _bounded_section(section: Section) -> Section:
    units = tuple(_joined(section.units)) if len(section.units) > MAX_UNITS else section.units
    return replace(section, headings=tuple(words[:HEADING_CHARS] for words in section.headings), units=units)


def _joined(units: tuple[Span, ...]) -> Iterator[Span]:
    number = -(-len(units) // MAX_UNITS)
    for at in range(0, len(units), number):
        group = units[at : at + number]
        yield group[0][0], group[-1][1]


def _broken(kind: str, error: Exception) -> DocumentError:
    reason = _ADDRESS.sub("", " ".join(str(error).split()))[:REASON_CHARS] or type(error).__name__
    return DocumentError(f"the {_READERS[kind][0]} is broken: {reason}")
