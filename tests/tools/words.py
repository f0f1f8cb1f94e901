"""A small embedder that knows words only."""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from infra.text.terms import terms

DIMENSION = 64


class WordEmbedder:
    """Bags of hashed terms as vectors: texts with the same words are near."""

    model_id = "words/test"
    dimension = DIMENSION

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.full((len(texts), DIMENSION), 1e-3, dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for term in terms(text):
                row[zlib.crc32(term.encode()) % DIMENSION] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.embed(texts)

    def embed_tokens(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        return [self.embed(text.split()) for text in texts]

    def embed_both(self, text: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self.embed([text])[0], self.embed_tokens([text])[0]
