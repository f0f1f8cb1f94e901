"""The gates as the answer cache asks them, and one pass of the embedding model for all that a question needs.

A question's vector finds candidates, and its token vectors go into its reading. ``Meaning`` is both the embedder that
the questions are kept with and the gates that judge them: what one step of an ask works out, the next one finds here.
Thread-safe.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, Literal, TypeVar

import numpy as np

from infra.cache.gates.reading import VERSION, Reading, is_personal, packed, reading, unpacked
from infra.cache.gates.verdict import verdict
from infra.cache.records import Asked, Kept, normal
from infra.store.embeddings import Embedder, TokenEmbedder, Vectors
from infra.store.records import digest_of

__all__ = ["VERSION", "Meaning"]

REMEMBERED = 512
"""Questions whose reading is at hand; one takes some 10 KB."""

JUDGED: dict[str, Literal["hit", "near", "miss"]] = {"serve": "hit", "near": "near", "refuse": "miss"}

Value = TypeVar("Value")
Pieces = Callable[[str], Sequence[int]]


class _Newest(Generic[Value]):
    """The newest values by key."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, Value] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str, make: Callable[[], Value]) -> Value:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            self._values[key] = value
            while len(self._values) > REMEMBERED:
                self._values.popitem(last=False)
        return value


class Meaning:
    """Implements ``Embedder`` and ``infra.cache.records.Gates``.

    Args:
        embedder: the model; one without token vectors leaves exchanged words to the verifier.
        pieces: text to the model's word pieces (see ``infra.store.embeddings.word_pieces``); None: no token vectors.
    """

    def __init__(self, embedder: Embedder, pieces: Pieces | None) -> None:
        self._embedder = embedder
        self._pieces = pieces if isinstance(embedder, TokenEmbedder) else None
        self._vectors: _Newest[tuple[Vectors, Vectors | None]] = _Newest()
        self._readings: _Newest[Reading] = _Newest()

    @property
    def model_id(self) -> str:
        """Name of model and arithmetic."""
        return self._embedder.model_id

    @property
    def dimension(self) -> int:
        """Length of every vector."""
        return self._embedder.dimension

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row a question, shape (len(texts), dimension); a single one is remembered with its token vectors."""
        if len(texts) == 1:
            return self._both(texts[0])[0][np.newaxis]
        return self._embedder.embed(texts)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """As `embed`: a question is compared with questions."""
        return self.embed(texts)

    def unfit(self, asked: Asked) -> str:
        """Why no answer to such a question is kept or served, or ""."""
        if self._read(asked.text).deictic:
            return "the question points at something outside itself"
        return "the question is about whoever asks it" if is_personal(asked.text) else ""

    def words(self, asked: Asked) -> str:
        """What is left of the question without case, punctuation, courtesy and filler, as a digest."""
        return digest_of(self._read(asked.text).key)

    def reading(self, asked: Asked) -> bytes:
        """The question's reading, at most some 10 KB."""
        return packed(self._read(asked.text))

    def judge(self, asked: Asked, kept: Kept) -> tuple[Literal["hit", "near", "miss"], str]:
        """What the gates say of a candidate; of the same text without looking closer."""
        if asked.key == kept.key:
            return "hit", "the same question"
        made = unpacked(kept.reading) if kept.reading else None
        judged = verdict(self._read(asked.text), made or self._read(kept.question))
        return JUDGED[judged.outcome], f"{judged.gate}: {judged.reason}"

    def _read(self, text: str) -> Reading:
        question = normal(text)

        def make() -> Reading:
            return reading(question, self._both(question)[1], self._pieces)

        return self._readings.get(question, make)

    def _both(self, text: str) -> tuple[Vectors, Vectors | None]:
        def make() -> tuple[Vectors, Vectors | None]:
            if self._pieces is not None and isinstance(self._embedder, TokenEmbedder):
                return self._embedder.embed_both(text)
            return self._embedder.embed([text])[0], None

        return self._vectors.get(text, make)
