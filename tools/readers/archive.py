"""ZIP archives and old Office files, looked through before any library opens them.

What an archive says of its sizes may be a lie, so each member is unpacked here once, piece by piece, and counted: an
archive that gets through unpacks to no more than was allowed, whoever unpacks it.
"""

import mmap
import zipfile

from infra.errors import DocumentError
from tools.readers.source import Source

UNZIPPED_TIMES = 4
"""A document may unpack to this many times the allowed file size; more is a zip bomb."""
MAX_ENTRIES = 10_000
MAX_RATIO = 200
"""Unpacked over packed size; Office documents stay under 50 (own measurement), deflate ends at 1,032."""
SMALL_BYTES = 20_000_000
"""What unpacks to less may have any ratio."""

_PIECE_BYTES = 1 << 18
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
_INSIDE = {
    "word/document.xml": "docx",
    "ppt/presentation.xml": "pptx",
    "xl/workbook.xml": "sheets",
    "xl/workbook.bin": "sheets",
    "META-INF/container.xml": "epub",
}


def check_zip(source: Source) -> str:
    """Look an archive through; return the kind of document in it, or "" when its contents do not tell.

    Raises:
        DocumentError: it is a zip bomb, encrypted, or packed as no document is.
        zipfile.BadZipFile: it is damaged.
    """
    with zipfile.ZipFile(source.path) as archive:
        items = archive.infolist()
        if len(items) > MAX_ENTRIES:
            raise DocumentError(f"it is an archive of {len(items):,} files, at most {MAX_ENTRIES:,} are unpacked")
        for item in items:
            if item.flag_bits & _ENCRYPTED:
                raise DocumentError("it is encrypted: save it without a password")
            if item.compress_type not in _METHODS:
                raise DocumentError("it is packed by a method that no document uses")
        packed = source.path.stat().st_size
        _check_size(sum(item.file_size for item in items), packed, source.max_bytes)
        _check_size(_unpacked(archive, items, packed, source.max_bytes), packed, source.max_bytes)
    return next((kind for name, kind in _INSIDE.items() if name in archive.NameToInfo), "")


def _unpacked(archive: zipfile.ZipFile, items: list[zipfile.ZipInfo], packed: int, max_bytes: int) -> int:
    """The bytes that come out, counted until they are too many."""
    unpacked = 0
    for item in items:
        # zipfile stops at the declared size; raised here, so that what is really there comes out
        item.file_size = UNZIPPED_TIMES * max_bytes + _PIECE_BYTES
        with archive.open(item) as member:
            while piece := member.read(_PIECE_BYTES):
                unpacked += len(piece)
                _check_size(unpacked, packed, max_bytes)
    return unpacked


def _check_size(unpacked: int, packed: int, max_bytes: int) -> None:
    if unpacked > UNZIPPED_TIMES * max_bytes:
        raise DocumentError(
            f"it unpacks to {unpacked / 1e6:,.0f} MB or more, at most {UNZIPPED_TIMES * max_bytes / 1e6:,.0f} MB are "
            "read; DOCMIND_INGEST__MAX_FILE_MB decides"
        )
    if unpacked > max(SMALL_BYTES, MAX_RATIO * packed):
        raise DocumentError(f"it is a zip bomb: it unpacks to more than {MAX_RATIO} times its size")


def check_ole(source: Source) -> None:
    """Let old Excel workbooks pass; say of any other old Office file what it is.

    Raises:
        DocumentError: it is an encrypted Office document, or one in a format of before 2007 that is not read.
    """
    with source.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data.find(_stream("EncryptedPackage")) >= 0:
            raise DocumentError("the document is encrypted: save it without a password")
        if data.find(_stream("Workbook")) < 0 and data.find(_stream("Book")) < 0:
            raise DocumentError("it is an old Office file (.doc, .ppt, .msg): save it as DOCX, PPTX or EML")


def _stream(name: str) -> bytes:
    """How the name of a stream stands in the file's directory."""
    return name.encode("utf-16-le") + b"\0\0"
