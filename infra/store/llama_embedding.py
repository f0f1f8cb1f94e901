"""LlamaIndex's door to our embedding model.

Gives `EmbedderEmbedding`, LlamaIndex's `BaseEmbedding` over an `Embedder`. Texts go in batches; awaiting callers wait
in a thread of their own, never on the event loop. Texts longer than the model's window are cut.
"""

import asyncio

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from pydantic import PrivateAttr

from infra.store.embeddings import Embedder

BATCH_TEXTS = 256
"""Texts of one call; the embedder makes batches of equal length of them."""


class EmbedderEmbedding(BaseEmbedding):
    """LlamaIndex's embedding model over ours; thread-safe."""

    _embedder: Embedder = PrivateAttr()

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(model_name=embedder.model_id, embed_batch_size=BATCH_TEXTS)
        self._embedder = embedder

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return self._embedder.embed(texts).tolist()

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._get_text_embeddings([text])[0]

    def _get_query_embedding(self, query: str) -> Embedding:
        return self._embedder.embed_queries([query]).tolist()[0]

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return (await self._aget_text_embeddings([text]))[0]

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return await asyncio.to_thread(self._get_query_embedding, query)
