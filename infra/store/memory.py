"""Embeddings that are computed once: by model and by the embedded text, kept in the library.

A changed document therefore embeds only the windows whose words (or header) changed, and a moved one none.
"""

from collections.abc import Mapping
from math import ceil

import numpy as np
from numpy.typing import NDArray

from infra.store.embeddings import Embedder
from infra.store.library import Library

PIECE_TEXTS = 512
"""Texts computed before they are kept: an interruption loses no more, five to ten seconds of work for two cores."""


class EmbeddingMemory:
    """An embedder whose results are kept; thread-safe as both are."""

    def __init__(self, library: Library, embedder: Embedder) -> None:
        """Keep what ``embedder`` computes in ``library``."""
        self._library = library
        self._embedder = embedder

    def remember(self, texts: Mapping[str, str]) -> int:
        """Make sure that the embedding of every text is kept under its key; return how many were computed."""
        known = self._library.embedded(self._embedder.model_id, list(texts))
        # long texts first and side by side: pieces of texts of one length waste little on padding
        missing = sorted((key for key in texts if key not in known), key=lambda key: -len(texts[key]))
        pieces = ceil(len(missing) / PIECE_TEXTS)
        for number in range(pieces):
            # of one size: a last piece of few texts would leave cores idle
            keys = missing[len(missing) * number // pieces : len(missing) * (number + 1) // pieces]
            vectors = self._embedder.embed([texts[key] for key in keys])
            self._library.keep_embeddings(self._embedder.model_id, dict(zip(keys, vectors, strict=True)))
        return len(missing)

    def recall(self, texts: Mapping[str, str]) -> dict[str, NDArray[np.float32]]:
        """The embedding of every text, by its key; what is not known is computed."""
        self.remember(texts)
        return self._library.embedded(self._embedder.model_id, list(texts))
