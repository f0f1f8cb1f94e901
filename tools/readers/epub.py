"""EPUB: the chapters in reading order, each read as the HTML it is.

A chapter without a heading of its own stands under its page's title. Nothing is unpacked to disk, so no name in the
archive can lead anywhere.
"""

import posixpath
import zipfile
from collections.abc import Iterator
from urllib.parse import unquote

from bs4 import BeautifulSoup
from bs4.filter import SoupStrainer

from infra.errors import DocumentError
from tools.extracted import Extracted, clean
from tools.readers.outline import Outline
from tools.readers.source import Source
from tools.readers.web import add_html

_TITLE_LEVEL = 7
"""Below every HTML heading, so that a chapter's first one takes its place."""
_TITLE_BYTES = 10_000

_CONTAINER, _ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
_FONTS_ONLY = frozenset({"http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"})
"""Algorithms that hide nothing but fonts (EPUB 3.3, font obfuscation; Adobe's own)."""


def read_epub(source: Source) -> Extracted:
    """Read a book.

    Raises:
        DocumentError: it is protected, or has no list of chapters.
    """
    outline = Outline()
    with zipfile.ZipFile(source.path) as archive:
        _check_open(archive)
        package = _package(archive)
        book = _xml(archive, package)
        for chapter in _chapters(book, posixpath.dirname(package)):
            if chapter in archive.NameToInfo:
                page = archive.read(chapter)
                outline.page(0)
                if words := _title(page):
                    outline.under(_TITLE_LEVEL, words)
                add_html(outline, page)
    return outline.extracted(_words(book), source.name)


def _check_open(archive: zipfile.ZipFile) -> None:
    if _ENCRYPTION not in archive.NameToInfo:
        return
    methods = {str(method.get("Algorithm")) for method in _xml(archive, _ENCRYPTION).find_all("EncryptionMethod")}
    if not methods <= _FONTS_ONLY:
        raise DocumentError("the book is protected against copying (DRM): no program but its shop's can read it")


def _package(archive: zipfile.ZipFile) -> str:
    root = _xml(archive, _CONTAINER).find("rootfile")
    if root is None:
        raise DocumentError("the EPUB is broken: it names no package")
    return str(root.get("full-path"))


def _chapters(book: BeautifulSoup, folder: str) -> Iterator[str]:
    """The names of the chapters in the archive, in reading order, each once."""
    items = {str(item.get("id")): item for item in book.find_all("item")}
    names: dict[str, None] = {}
    for reference in book.find_all("itemref"):
        item = items.get(str(reference.get("idref")))
        if item is not None and "html" in str(item.get("media-type")):
            names[posixpath.normpath(posixpath.join(folder, unquote(str(item.get("href")))))] = None
    yield from names


def _title(page: bytes) -> str:
    """The title of a chapter's page, as far as it stands at its beginning; or ""."""
    return _words(BeautifulSoup(page[:_TITLE_BYTES], "lxml", parse_only=SoupStrainer("title")))


def _words(document: BeautifulSoup) -> str:
    """The words of the first title in a document, or ""."""
    title = document.find("title")
    return " ".join(clean(title.get_text()).split()) if title else ""


def _xml(archive: zipfile.ZipFile, name: str) -> BeautifulSoup:
    return BeautifulSoup(archive.read(name), "xml")
