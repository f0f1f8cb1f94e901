"""A file to be read, and its bytes as text: the encoding found, binary files refused.

What was a file when it was listed may be a pipe by now, or grow for ever: nothing is waited for, and no more is read
than a file may have.
"""

import codecs
import os
import re
import stat
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from charset_normalizer import from_bytes

from infra.errors import DocumentError
from tools.extracted import clean

SNIFFED_BYTES = 16_384
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
_WIDE = ("utf-16-le", "utf-16-be")
MIN_ASCII_SHARE, MAX_ODD_SHARE = 0.02, 0.01
"""Text in UTF-16 without a byte order mark has at least so many ASCII characters (blanks, line ends, digits, in Latin
script nearly all), and hardly any that are no text."""
MIN_ASCII_NULS = 0.4
"""Where every byte is ASCII so must nearly every character be, and half of its bytes are NUL."""
_WESTERN = "cp1252"
NEARLY_AS_NEAT, NEARLY_AS_COHERENT = 0.15, 0.05
"""Western text is by far the commonest in an old encoding, so it is taken for that unless another fits clearly better
(of 12 languages' sentences, charset-normalizer alone took 6 of 8 in cp1252 for Eastern European; own measurement)."""
BOMS = tuple(mark for mark, _ in _BOMS)
_PIECE_BYTES = 1 << 20
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

    def data(self) -> bytes:
        """All its bytes.

        Raises:
            DocumentError: it has too many, or is no file any more.
            OSError: it cannot be opened.
        """
        with open_file(self.path) as file:
            check_size(os.fstat(file.fileno()).st_size, self.max_bytes)
            data = file.read(self.max_bytes + 1)
        check_size(len(data), self.max_bytes)
        return data

    def text(self) -> str:
        """Its text, decoded and with line feeds.

        Raises:
            DocumentError: it is too large, binary, in no known encoding, or empty.
            OSError: it cannot be opened.
        """
        text = clean(decode(self.data()))
        if not text.strip():
            raise DocumentError("there is no text in it")
        return text


def open_file(path: Path) -> BinaryIO:
    """Open a file without waiting, should a pipe or a device have taken its place.

    Raises:
        DocumentError: it is no file any more.
        OSError: it cannot be opened.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise DocumentError("it is not a file any more")
    return os.fdopen(number, "rb")


def check_size(size: int, max_bytes: int) -> None:
    """Raise DocumentError when a file has more bytes than are read."""
    if size > max_bytes:
        raise DocumentError(
            f"it has {size / 1e6:,.1f} MB, at most {max_bytes / 1e6:,.1f} MB are read; "
            "DOCMIND_INGEST__MAX_FILE_MB decides"
        )


def content_digest(path: Path, max_bytes: int) -> str:
    """The sha256 of a file's content, in hex; "" when there is more of it than is read.

    Raises:
        DocumentError: it is no file any more.
        OSError: it cannot be read.
    """
    digest, left = sha256(), max_bytes
    with open_file(path) as file:
        while piece := file.read(_PIECE_BYTES):
            left -= len(piece)
            if left < 0:
                return ""
            digest.update(piece)
    return digest.hexdigest()


def decode(data: bytes) -> str:
    """Decode by byte order mark, as UTF-8 (damaged bytes become U+FFFD), or by the likeliest old encoding.

    Raises:
        DocumentError: it is not text.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if b"\0" in data:
        return _wide(data)
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
    sample = _sample(data)
    encoding = _old_encoding(sample) or _old_encoding(sample[:-1])  # without half a character
    if encoding is None and text.count("\ufffd") <= MAX_DAMAGED_SHARE * len(text):
        return text
    if encoding is None:
        raise DocumentError("it is a binary file, or in an unknown encoding")
    return data.decode(encoding, "replace")


def _sample(data: bytes) -> bytes:
    """The lines around the first byte that is not UTF-8: the text before it may be ASCII only and tells nothing."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        start = max(0, error.start - SNIFFED_BYTES // 2)
        start = data.find(b"\n", start, error.start) + 1 or start if start else 0
        end = start + SNIFFED_BYTES
        if end < len(data):
            # a character of several bytes must not be cut in two
            end = data.rfind(b"\n", error.start, end) + 1 or end
        return data[start:end]
    return data[:SNIFFED_BYTES]


def _old_encoding(sample: bytes) -> str | None:
    matches = from_bytes(sample)
    best = matches.best()
    western = next((match for match in matches if _WESTERN in match.could_be_from_charset), None)
    if best is None or western is None:
        return best and best.encoding
    neat = western.chaos <= best.chaos + NEARLY_AS_NEAT
    return _WESTERN if neat and western.coherence >= best.coherence - NEARLY_AS_COHERENT else best.encoding


def _wide(data: bytes) -> str:
    tried = ((_ascii_share(data[:SNIFFED_BYTES], encoding), encoding) for encoding in _WIDE)
    share, encoding = max(tried)
    if share < MIN_ASCII_SHARE:
        raise DocumentError("it is a binary file, not text")
    return data.decode(encoding, "replace")


def _ascii_share(sample: bytes, encoding: str) -> float:
    """How much of the sample is ASCII when it is decoded so; 0 when it is no text then."""
    if sample.count(0) < MIN_ASCII_NULS * len(sample) and sample.isascii() and not _CONTROL.search(sample.decode()):
        return 0  # lines of ASCII with some NULs between them
    text = sample.decode(encoding, "replace")
    odd = sum(not character.isprintable() and not character.isspace() for character in text) + text.count("\ufffd")
    return 0 if odd > MAX_ODD_SHARE * len(text) else sum(character.isascii() for character in text) / len(text)
