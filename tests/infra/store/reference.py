"""MiniLM a second time, in numpy and double precision, a text at a time: what the ONNX graph must agree with."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.store.embeddings_convert import Weights

Array = NDArray[np.float64]

_erf: Any = np.vectorize(math.erf)


class Reference:
    """The model's forward pass, straight from its weights."""

    def __init__(self, weights: Weights) -> None:
        self._weights = {name: tensor.astype(np.float64) for name, tensor in weights.items()}

    def tokens(self, ids: list[int]) -> Array:
        """The last layer's vector of each token (not normalised)."""
        prefix = "embeddings."
        x = self._weights[prefix + "word_embeddings.weight"][ids]
        x = x + self._weights[prefix + "position_embeddings.weight"][: len(ids)]
        x = x + self._weights[prefix + "token_type_embeddings.weight"][0]
        x = self._norm(x, prefix + "LayerNorm")
        for number in range(6):
            x = self._layer(x, f"encoder.layer.{number}.")
        return x

    def pooled(self, ids: list[int]) -> Array:
        """The mean over all tokens, L2-normalised."""
        mean = self.tokens(ids).mean(axis=0)
        return mean / np.linalg.norm(mean)

    def _layer(self, x: Array, name: str) -> Array:
        query, key, value = (self._heads(x, f"{name}attention.self.{part}") for part in ("query", "key", "value"))
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(32)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        mixed = (shares @ value).transpose(1, 0, 2).reshape(len(x), 384)
        x = self._norm(self._linear(mixed, f"{name}attention.output.dense") + x, f"{name}attention.output.LayerNorm")
        wide = self._linear(x, f"{name}intermediate.dense")
        wide = wide * 0.5 * (1 + _erf(wide / math.sqrt(2)))
        return self._norm(self._linear(wide, f"{name}output.dense") + x, f"{name}output.LayerNorm")

    def _heads(self, x: Array, name: str) -> Array:
        return self._linear(x, name).reshape(len(x), 12, 32).transpose(1, 0, 2)

    def _linear(self, x: Array, name: str) -> Array:
        return x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        return scaled * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
