"""What the store keeps and what it hands out: plain values, no code that touches a disk.

Offsets are characters (code points) of a document's extracted text, half-open. Ids are hex digests: the same content in
the same document gives the same id in every run. Paths are absolute POSIX paths unless a name says otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def digest_of(*parts: str | bytes) -> str:
    """Return 32 hex characters that stand for ``parts`` (blake2b, 128 bits; parts cannot run into each other)."""
    state = blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return state.hexdigest()


def embedded_text(header: str, text: str) -> str:
    """What is embedded and searched of a window: its chunk's header, a newline, its words."""
    return f"{header}\n{text}" if header else text


@dataclass(frozen=True, slots=True)
class Document:
    """One file, as it was read.

    Attributes:
        id: the scope id of its path (see ``infra.store.roots``).
        root: absolute path of the root it belongs to (the outermost root that contains it; may be the file itself).
        path: absolute path of the file.
        digest: sha256 of the file's bytes (hex).
        size: bytes of the file.
        mtime_ns: the file's modification time when read; -1 when it was too fresh to be trusted.
        version: version of reader and splitter that made what is stored.
        title: the document's own title, or its file name.
        text: the extracted text that all offsets count in.
    """

    id: str
    root: str
    path: str
    digest: str
    size: int
    mtime_ns: int
    version: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage: whole sentences, about 200 tokens at most.

    Attributes:
        id: digest of the document's id, header and text (and how many of the same stand before it): it stays the same
            when words before it change.
        document_id: the document it stands in.
        ordinal: its place among the document's chunks, from 0.
        start: offset of its first character in the document's text.
        end: offset after its last character.
        header: its context (title, headings, page, date, speakers, columns); embedded and searched, never quoted.
        digest: digest of its text alone.
        section: where in the document it stands, as a citation says it ("page 3", "Caches > Kinds"), or "".
    """

    id: str
    document_id: str
    ordinal: int
    start: int
    end: int
    header: str
    digest: str
    section: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A window: 64-128 tokens inside one chunk; what is embedded is the chunk's header, a newline and its text.

    Attributes:
        id: UUID text, made from the chunk's id and the place in the chunk.
        chunk_id: the chunk it stands in.
        start: offset of its first character in the document's text.
        end: offset after its last character.
        key: digest of the embedded text; equal texts share one embedding.
    """

    id: str
    chunk_id: str
    start: int
    end: int
    key: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A document with everything cut from it, ready to be stored."""

    document: Document
    chunks: tuple[Chunk, ...]
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """A window as the vector store takes it.

    Attributes:
        id: UUID text.
        chunk_id: the chunk it stands in.
        document_id: the document it stands in.
        scopes: ids of the document, of its folders and of its root; a search may be limited to any of them.
        dense: L2-normalised embedding, shape (dimension,).
        terms: how often each term stands in header and text together.
    """

    id: str
    chunk_id: str
    document_id: str
    scopes: tuple[str, ...]
    dense: NDArray[np.float32]
    terms: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Hit:
    """One window a search found.

    Attributes:
        window_id: the window.
        chunk_id: the chunk it stands in.
        document_id: the document it stands in.
        score: cosine (dense, -1..1) or BM25 (sparse, > 0); comparable within one list only.
    """

    window_id: str
    chunk_id: str
    document_id: str
    score: float


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A chunk with its words and the name of its document, as readers get it.

    Attributes:
        id: the chunk's id.
        document_id: its document's id.
        doc: the document's name for the roots in play (see ``infra.store.roots``).
        ordinal: its place among the document's chunks, from 0.
        start: offset of its first character in the document's text.
        end: offset after its last character.
        text: the words, exactly ``text_of(document_id)[start:end]``.
        header: its context; never quoted.
        digest: digest of ``text``.
        section: as in ``Chunk``.
    """

    id: str
    document_id: str
    doc: str
    ordinal: int
    start: int
    end: int
    text: str
    header: str
    digest: str
    section: str = ""


@dataclass(frozen=True, slots=True)
class StoredWindow:
    """A window with its words: ``text`` is ``text_of(document_id)[start:end]``, ``header`` its chunk's header."""

    id: str
    chunk_id: str
    document_id: str
    start: int
    end: int
    text: str
    header: str


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """A document without its text: what lists, links between documents and name look-ups need.

    Attributes:
        id: as in ``Document``.
        path: absolute path of the file.
        doc: its name for the roots in play.
        title: as in ``Document``.
        digest: sha256 of the file's bytes (hex).
        chunks: how many chunks were cut from it.
    """

    id: str
    path: str
    doc: str
    title: str
    digest: str
    chunks: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How much an index (or the part under some roots) holds."""

    roots: int
    documents: int
    chunks: int
    windows: int
