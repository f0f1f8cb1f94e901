"""Embeddings (skeleton; the model follows)."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Embedder(Protocol):
    """Turns texts into vectors; thread-safe, blocking."""

    @property
    def model_id(self) -> str:
        """Name of model and arithmetic, e.g. ``all-MiniLM-L6-v2/fp32``; vectors of different ids do not mix."""
        ...

    @property
    def dimension(self) -> int:
        """Length of every vector."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One L2-normalised row a text, shape (len(texts), dimension); longer texts are cut at 256 tokens."""
        ...

    def embed_tokens(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Per text its token vectors, shape (tokens, dimension), rows L2-normalised, special tokens left out."""
        ...
