"""LlamaIndex retrieves from our collections: blocking, awaiting, by meaning, by words and by both."""

from collections.abc import AsyncIterator, Sequence

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.vector_stores.types import VectorStoreQueryMode

from infra.settings import QdrantSettings
from infra.store.llama_embedding import EmbedderEmbedding
from infra.store.llama_vectors import llama_store
from infra.store.qdrant import QdrantVectors, open_qdrant
from infra.store.records import StoredWindow, Window
from infra.store.vectors import Bm25
from infra.text.terms import terms
from tests.infra.store.local_qdrant import NAME
from tests.infra.store.wire_qdrant import wired
from tests.tools.words import DIMENSION, WordEmbedder

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning")

TEXTS = ["Cats sleep all day.", "Dogs bark at night.", "Mice fear cats."]
IDS = [f"00000000-0000-0000-0000-00000000000{n}" for n in range(3)]


class Library:
    """Holds the first two windows only: the third was removed since."""

    def windows(self, window_ids: Sequence[str]) -> list[StoredWindow]:
        held = {IDS[n]: StoredWindow(IDS[n], f"c{n}", "d", 0, len(TEXTS[n]), TEXTS[n], f"Header {n}") for n in range(2)}
        return [held[identity] for identity in window_ids if identity in held]

    def idf(self, query_terms: Sequence[str]) -> dict[str, float]:
        return dict.fromkeys(query_terms, 1.0)


@pytest.fixture
async def index() -> AsyncIterator[VectorStoreIndex]:
    with wired() as server:
        vectors = open_qdrant(QdrantSettings(url=server.url), NAME, DIMENSION, Bm25())
        yield filled(vectors)
        await vectors.aclose()


def filled(vectors: QdrantVectors) -> VectorStoreIndex:
    rows = WordEmbedder().embed(TEXTS)
    words = [dict.fromkeys(terms(text), 1) for text in TEXTS]
    vectors.upsert([Window(IDS[n], f"c{n}", "d", ("d",), rows[n], words[n]) for n in range(3)])
    vectors.take_over()
    store = llama_store(vectors, Library())
    return VectorStoreIndex.from_vector_store(store, embed_model=EmbedderEmbedding(WordEmbedder()))


def said(found: list[NodeWithScore]) -> list[str]:
    assert all(isinstance(hit.node, TextNode) for hit in found)
    return [hit.node.get_content() for hit in found]


async def test_nodes_carry_the_librarys_words_and_what_it_dropped_is_left_out(index: VectorStoreIndex):
    retriever = index.as_retriever(similarity_top_k=3)
    blocking, awaited = retriever.retrieve("cats"), await retriever.aretrieve("cats")
    assert said(blocking) == said(awaited) == TEXTS[:2]
    assert blocking[0].node.metadata == {"chunk_id": "c0", "document_id": "d", "context": "Header 0"}
    assert blocking[0].score == pytest.approx(float(WordEmbedder().embed(["cats"])[0] @ WordEmbedder().embed(TEXTS)[0]))


@pytest.mark.parametrize("mode", [VectorStoreQueryMode.SPARSE, VectorStoreQueryMode.HYBRID])
async def test_words_and_both_together_find_as_well(index: VectorStoreIndex, mode: VectorStoreQueryMode):
    retriever = index.as_retriever(vector_store_query_mode=mode, similarity_top_k=2, sparse_top_k=2)
    assert said(retriever.retrieve("barking dogs"))[0] == said(await retriever.aretrieve("barking dogs"))[0] == TEXTS[1]


async def test_nothing_is_written_this_way(index: VectorStoreIndex):
    with pytest.raises(NotImplementedError, match="written by ingestion"):
        index.insert_nodes([TextNode(text="new")])
