"""LlamaIndex's embedding model is ours: the same vectors, and never on the event loop."""

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from infra.store.llama_embedding import EmbedderEmbedding
from tests.tools.words import WordEmbedder

TEXTS = ["Paris is in France.", "Oslo is in Norway.", ""]


class WatchedEmbedder(WordEmbedder):
    """Knows which threads asked, for how many texts."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.append((threading.current_thread().name, len(texts)))
        return super().embed(texts)


async def test_blocking_and_awaiting_callers_get_the_embedders_vectors():
    embedding = EmbedderEmbedding(WordEmbedder())
    expected = WordEmbedder().embed(TEXTS).tolist()
    assert embedding.model_name == "words/test"
    assert embedding.get_text_embedding_batch(TEXTS) == expected
    assert await embedding.aget_text_embedding_batch(TEXTS) == expected
    assert embedding.get_text_embedding(TEXTS[0]) == await embedding.aget_text_embedding(TEXTS[0]) == expected[0]
    assert embedding.get_query_embedding(TEXTS[1]) == await embedding.aget_query_embedding(TEXTS[1]) == expected[1]


class AskingEmbedder(WordEmbedder):
    """Puts a word before questions."""

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.embed([f"query {text}" for text in texts])


async def test_a_question_is_embedded_as_the_model_wants_questions():
    embedding, expected = EmbedderEmbedding(AskingEmbedder()), WordEmbedder().embed(["query Oslo"])[0].tolist()
    assert embedding.get_query_embedding("Oslo") == await embedding.aget_query_embedding("Oslo") == expected
    assert embedding.get_text_embedding("Oslo") == WordEmbedder().embed(["Oslo"])[0].tolist()


async def test_awaiting_callers_never_hold_up_the_event_loop_and_texts_go_in_batches():
    embedder = WatchedEmbedder()
    embedding = EmbedderEmbedding(embedder)
    await embedding.aget_text_embedding_batch([f"text {n}" for n in range(300)])
    await embedding.aget_query_embedding("Where?")
    here = threading.current_thread().name
    assert sorted(count for _, count in embedder.asked) == [1, 44, 256]
    assert here not in {name for name, _ in embedder.asked}
