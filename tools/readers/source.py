"""A file to be read, and its bytes as text: the encoding found, binary files refused."""

import codecs
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from charset_normalizer import from_bytes

from infra.errors import DocumentError
from tools.extracted import clean

SNIFFED_BYTES = 262_144
MAX_CONTROL_SHARE = 0.01
MAX_DAMAGED_SHARE = 0.05
"""Of the characters of a text that fits no other encoding, the share that may be damaged."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BOMS = tuple(mark for mark, _ in _BOMS)
_CONTROL = re.compile(r"[\x01-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Source:
    """A file: where it is, and how many bytes a file may have (what it unpacks to is bounded by that, too)."""

    path: Path
    max_bytes: int

    @property
    def name(self) -> str:
        """Its name without the suffix."""
        return self.path.stem

    def text(self) -> str:
        """Its text, decoded and with line feeds.

        Raises:
            DocumentError: it is binary, in no known encoding, or empty.
            OSError: it cannot be opened.
        """
        text = clean(decode(self.path.read_bytes()))
        if not text.strip():
            raise DocumentError("there is no text in it")
        return text


def decode(data: bytes) -> str:
    """Decode by byte order mark, as UTF-8 (damaged bytes become U+FFFD), or by the likeliest old encoding.

    Raises:
        DocumentError: it is not text.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if b"\0" in data:
        raise DocumentError("it is a binary file, not text")
    text = _likeliest(data)
    allowed = int(MAX_CONTROL_SHARE * len(text))
    if next(islice(_CONTROL.finditer(text), allowed, None), None):
        raise DocumentError("it is a binary file, not text")
    return text


def _likeliest(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
    if beyond_ascii >= 2 * text.count("\ufffd"):
        # UTF-8, or UTF-8 with a few damaged bytes: an old encoding would hardly ever make valid sequences
        return text
    best = from_bytes(data[:SNIFFED_BYTES]).best()
    if best is None and text.count("\ufffd") <= MAX_DAMAGED_SHARE * len(text):
        return text
    if best is None:
        raise DocumentError("it is a binary file, or in an unknown encoding")
    return data.decode(best.encoding, "replace")
