"""Documents through LlamaIndex's ingestion pipeline: the only module, besides the cache's store, that knows LlamaIndex.

``Splitter.split`` takes one extracted document and gives the ``Entry`` to store. What LlamaIndex does by default would
go wrong, so: the pipeline runs once a document (its cache key covers the whole node list); the document's path is in
its metadata (equal texts under two paths are two entries of the cache); node ids are those of our windows; no workers.
Embedding is a pipeline of its own without LlamaIndex's cache, over the nodes of many documents at once: embeddings are
kept by window (``infra.store.memory``), so that a changed sentence does not embed its whole document again, and sorted
batches keep the model busy.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from llama_index.core.ingestion import IngestionCache, IngestionPipeline
from llama_index.core.schema import BaseNode, Document, MetadataMode, TextNode, TransformComponent
from pydantic import PrivateAttr

from infra.store.kv import SqliteKeyValues
from infra.store.library import Stamp
from infra.store.memory import EmbeddingMemory
from infra.store.records import Chunk, Entry, Span, digest_of, embedded_text
from infra.store.records import Document as StoredDocument
from infra.store.roots import relative, scope_id
from tools.chunk import Cut, cut
from tools.context import header_of
from tools.extracted import Extracted, from_json, to_json

Node = BaseNode
"""What ``Pipeline`` hands out; nobody else needs to know it as LlamaIndex's."""

CACHE_COLLECTION = "splits"
DOCUMENT, RELATIVE, STRUCTURE = "path", "relative", "structure"
CHUNK, ORDINAL, CHUNK_START, CHUNK_END = "chunk", "ordinal", "chunk_start", "chunk_end"
HEADER, START, END, SECTION = "header", "start", "end", "section"


class SplitWindows(TransformComponent):
    """A document to one node a window; which passage it belongs to stands in its metadata.

    Its fields are part of the cache's key.
    """

    version: str

    def __call__(self, nodes: Sequence[BaseNode], **_: Any) -> list[BaseNode]:
        """Cut each document."""
        return [window for node in nodes for window in _split(node)]


class EmbedWindows(TransformComponent):
    """Makes sure that the embedding of every window is kept; the nodes pass on as they are.

    Attributes:
        computed: how many embeddings were computed so far.
    """

    computed: int = 0
    _memory: EmbeddingMemory = PrivateAttr()

    def __init__(self, memory: EmbeddingMemory) -> None:
        super().__init__()
        self._memory = memory

    def __call__(self, nodes: Sequence[BaseNode], **_: Any) -> Sequence[BaseNode]:
        """Embed the windows whose embedding is not known yet."""
        self.computed += self._memory.remember(texts_of(nodes))
        return nodes


class Splitter:
    """Splits documents."""

    def __init__(self, version: str, cache_file: Path | None) -> None:
        """Keep LlamaIndex's cache in ``cache_file``, if given; ``version`` is that of readers and splitter."""
        self._values = SqliteKeyValues(cache_file) if cache_file else None
        cache = IngestionCache(cache=self._values, collection=CACHE_COLLECTION) if self._values else None
        split = SplitWindows(version=version)
        self._split = IngestionPipeline(transformations=[split], cache=cache, disable_cache=cache is None)

    def close(self) -> None:
        """Close the cache; safe to call twice."""
        if self._values:
            self._values.close()

    def split(self, stamp: Stamp, extracted: Extracted) -> tuple[Entry, list[Node]]:
        """Cut one document: what is to be stored, and its nodes for ``embed``."""
        identity = scope_id(stamp.path)
        metadata = {
            DOCUMENT: stamp.path,
            RELATIVE: relative(stamp.root, stamp.path),
            STRUCTURE: json.dumps({**to_json(extracted), "text": ""}, ensure_ascii=False),
        }
        document = Document(text=extracted.text, id_=identity, metadata=metadata)
        nodes = list(self._split.run(documents=[document]))
        return _entry(stamp, extracted, nodes), nodes


class Pipeline(Splitter):
    """Splits documents and has their windows embedded."""

    def __init__(self, memory: EmbeddingMemory, version: str, cache_file: Path) -> None:
        """Keep LlamaIndex's cache in ``cache_file``; ``version`` is that of readers and splitter."""
        super().__init__(version, cache_file)
        self._windows = EmbedWindows(memory)
        self._embed = IngestionPipeline(transformations=[self._windows], disable_cache=True)

    def embed(self, nodes: Sequence[Node]) -> int:
        """Have the windows of any number of documents embedded and kept; return how many were computed."""
        before = self._windows.computed
        self._embed.run(nodes=nodes)
        return self._windows.computed - before


def texts_of(nodes: Sequence[Node]) -> dict[str, str]:
    """What is to be embedded of these windows, by the keys that embeddings are kept under."""
    texts = (embedded_text(node.metadata[HEADER], node.get_content(MetadataMode.NONE)) for node in nodes)
    return {digest_of(text): text for text in texts}


def _split(node: BaseNode) -> list[BaseNode]:
    text = node.get_content(MetadataMode.NONE)
    extracted = from_json({**json.loads(node.metadata[STRUCTURE]), "text": text})
    cuts = cut(extracted, lambda section: header_of(extracted, section, node.metadata[RELATIVE]))
    seen: Counter[tuple[str, str]] = Counter()
    windows: list[BaseNode] = []
    for ordinal, piece in enumerate(cuts):
        words = (piece.header, text[piece.start : piece.end])
        chunk_id = digest_of(node.node_id, *words, str(seen[words]))
        seen[words] += 1
        windows += _nodes(node.node_id, chunk_id, ordinal, piece, text)
    return windows


def _nodes(document_id: str, chunk_id: str, ordinal: int, piece: Cut, text: str) -> list[TextNode]:
    return [
        TextNode(
            id_=str(UUID(hex=digest_of(chunk_id, f"{start - piece.start}-{end - piece.start}"))),
            text=text[start:end],
            metadata={
                DOCUMENT: document_id,
                CHUNK: chunk_id,
                ORDINAL: ordinal,
                CHUNK_START: piece.start,
                CHUNK_END: piece.end,
                HEADER: piece.header,
                START: start,
                END: end,
                SECTION: piece.section,
            },
        )
        for start, end in piece.windows
    ]


def _entry(stamp: Stamp, extracted: Extracted, nodes: Sequence[BaseNode]) -> Entry:
    title = extracted.title or Path(stamp.path).name
    identity = scope_id(stamp.path)
    document = StoredDocument(
        id=identity,
        root=stamp.root,
        path=stamp.path,
        digest=stamp.digest,
        size=stamp.size,
        mtime_ns=stamp.mtime_ns,
        version=stamp.version,
        title=title,
        text=extracted.text,
    )
    chunks = {node.metadata[CHUNK]: _chunk(identity, node, extracted.text) for node in nodes}
    return Entry(document, tuple(chunks.values()), tuple(_span(node) for node in nodes))


def _chunk(document_id: str, node: BaseNode, text: str) -> Chunk:
    m = node.metadata
    words = text[m[CHUNK_START] : m[CHUNK_END]]
    place = (m[ORDINAL], m[CHUNK_START], m[CHUNK_END])
    return Chunk(m[CHUNK], document_id, *place, m[HEADER], digest_of(words), m[SECTION])


def _span(node: BaseNode) -> Span:
    m = node.metadata
    key = digest_of(embedded_text(m[HEADER], node.get_content(MetadataMode.NONE)))
    return Span(node.node_id, m[CHUNK], m[START], m[END], key)
