"""Small documents for the store's tests: each line is a passage with one window."""

from collections.abc import Callable, Sequence
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from infra.store.embeddings import Embedder
from infra.store.index import Index
from infra.store.records import Chunk, Document, Entry, Span, digest_of, embedded_text
from infra.store.roots import scope_id
from tests.tools.words import WordEmbedder

ROOT = "/home/docs"

Opened = Callable[[], Index]
"""Opens one folder again and again, as one process each."""


def entry(path: str, text: str, *, root: str = ROOT, header: str = "") -> Entry:
    """A document whose lines are its passages."""
    identity = scope_id(path)
    document = Document(identity, root, path, digest_of(text), len(text), 1, "v1", path.rsplit("/", 1)[-1], text)
    chunks: list[Chunk] = []
    spans: list[Span] = []
    start = 0
    for ordinal, line in enumerate(text.split("\n")):
        end = start + len(line)
        chunk = Chunk(digest_of(identity, f"{start}", line), identity, ordinal, start, end, header, digest_of(line))
        window = str(UUID(hex=digest_of(chunk.id, "window")))
        chunks.append(chunk)
        spans.append(Span(window, chunk.id, start, end, digest_of(embedded_text(header, line))))
        start = end + 1
    return Entry(document, tuple(chunks), tuple(spans))


class CountingEmbedder(WordEmbedder):
    """Knows which texts it was asked for."""

    def __init__(self, model_id: str = "words/test") -> None:
        self.model_id = model_id
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        return super().embed(texts)


CATS = entry(f"{ROOT}/cats.md", "Cats sleep all day.\nCats hunt mice.\nMice fear cats.", header="Cats")
DOGS = entry(f"{ROOT}/pets/dogs.md", "Dogs bark.\nDogs chase cats.", header="Dogs")


def snapshot(index: Index, embedder: Embedder) -> tuple[object, ...]:
    """Everything readers can see, so that two indexes can be compared."""
    index.settle()
    documents = index.documents()
    vector = embedder.embed(["cats and mice"])[0]
    return (
        documents,
        [index.text_of(document.id) for document in documents],
        index.counts(),
        sorted((hit.window_id, round(hit.score, 5)) for hit in index.dense(vector, 100)),
        sorted((hit.window_id, round(hit.score, 5)) for hit in index.sparse(["cat", "mice", "dog"], 100)),
        index.idf(["cat", "dog", "bark", "nowher"]),
        index.library.outbox(),
    )


def found(index: Index, *words: str) -> set[str]:
    """Documents that hold one of the words."""
    return {hit.document_id for hit in index.sparse(words, 99)}
