"""LlamaIndex's Qdrant store over our collections, for retrievers and query engines of LlamaIndex: reading only.

Gives `llama_store`, a `QdrantVectorStore` with both clients. It asks the alias, so a rebuilt collection is found
without a restart. Dense, sparse (BM25 as everywhere here) and hybrid queries work; filters may use the payload's
fields ``d`` (document) and ``s`` (scopes). A node's words come from the library, which is the truth, never from the
server; a window that the library no longer holds is left out. What is stored is written by ingestion alone.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryResult
from llama_index.vector_stores.qdrant import QdrantVectorStore
from pydantic import PrivateAttr

from infra.store.qdrant import QdrantVectors
from infra.store.records import StoredWindow
from infra.store.vectors import CHUNK, DENSE, DOCUMENT, SPARSE, term_index
from infra.text.terms import terms


class Words(Protocol):
    """What is asked of the index beside the vectors."""

    def windows(self, window_ids: Sequence[str]) -> list[StoredWindow]:
        """The windows with these ids; ids that are no longer stored are left out."""
        ...

    def idf(self, query_terms: Sequence[str]) -> Mapping[str, float]:
        """The inverse document frequency of each term."""
        ...


class WindowStore(QdrantVectorStore):
    """`QdrantVectorStore` whose nodes are our windows."""

    _words: Words = PrivateAttr()

    def __init__(self, collection_name: str, words: Words, **options: Any) -> None:
        super().__init__(collection_name, **options)  # pyright: ignore[reportUnknownMemberType] - the vendor's
        self._words = words

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Find windows, blocking."""
        return self._worded(super().query(query, **kwargs))

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Find windows; the library is read in a thread."""
        return await asyncio.to_thread(self._worded, await super().aquery(query, **kwargs))

    def parse_to_query_result(self, response: list[Any]) -> VectorStoreQueryResult:
        """Take the server's points as nodes without words; `query` and `aquery` put them in."""
        nodes = [
            TextNode(
                id_=str(point.id),
                metadata={"chunk_id": point.payload[CHUNK], "document_id": point.payload[DOCUMENT]},
                excluded_embed_metadata_keys=["chunk_id", "document_id"],
                excluded_llm_metadata_keys=["chunk_id", "document_id"],
            )
            for point in response
        ]
        return VectorStoreQueryResult(
            nodes=nodes, similarities=[point.score for point in response], ids=[str(point.id) for point in response]
        )

    def _worded(self, found: VectorStoreQueryResult) -> VectorStoreQueryResult:
        stored = {window.id: window for window in self._words.windows(found.ids or [])}
        kept: list[tuple[TextNode, float]] = []
        for node, score in zip(found.nodes or [], found.similarities or [], strict=True):
            window = stored.get(node.node_id)
            if window is not None and isinstance(node, TextNode):
                metadata = node.metadata | {"context": window.header}
                kept.append((node.model_copy(update={"text": window.text, "metadata": metadata}), score))
        return VectorStoreQueryResult(
            nodes=[node for node, _ in kept],
            similarities=[score for _, score in kept],
            ids=[node.node_id for node, _ in kept],
        )


def llama_store(vectors: QdrantVectors, words: Words) -> QdrantVectorStore:
    """Return LlamaIndex's store over the library's collection in use, through the clients of ``vectors``.

    Awaiting callers must use it on the loop it was made on.
    """

    def weighed(texts: list[str]) -> tuple[list[list[int]], list[list[float]]]:
        asked = [Counter(terms(text)) for text in texts]
        idf = words.idf([term for counts in asked for term in counts])
        rows = [{term_index(term): idf[term] * count for term, count in counts.items()} for counts in asked]
        return [list(row) for row in rows], [list(row.values()) for row in rows]

    def refused(texts: list[str]) -> tuple[list[list[int]], list[list[float]]]:
        raise NotImplementedError(f"{len(texts)} texts: windows are written by ingestion, not through LlamaIndex")

    return WindowStore(
        vectors.name.alias,
        words,
        client=vectors.client,
        aclient=vectors.awaiting(),
        enable_hybrid=True,
        sparse_doc_fn=refused,
        sparse_query_fn=weighed,
        dense_vector_name=DENSE,
        sparse_vector_name=SPARSE,
    )
