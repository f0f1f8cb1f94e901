"""What retrieval is compared with, over the same files: plain word search, plain embeddings, both, and LlamaIndex.

Each peer is opened on a set and then asked questions; it gives places, best first. BM25 (bm25s, its own stop words and
its defaults, no stemming), MiniLM over whole records and reciprocal rank fusion of both search the set's units, or
passages of 200 tokens where it has none. LlamaIndex is its default index: ``VectorStoreIndex.from_documents`` with the
same embedding model.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graph.bench.sets import EvaluationSet, Place
from infra.errors import ConfigurationError
from infra.store.embeddings import Embedder
from tools.chunk import cut
from tools.extracted import Extracted, Section

PLACES = 50
"""Places a peer gives."""

RRF_CONSTANT = 60
"""Cormack, Clarke and Büttcher 2009."""

Ask = Callable[[str], list[Place]]
Open = Callable[[EvaluationSet, Embedder], Ask]


def bm25(evaluated: EvaluationSet, embedder: Embedder) -> Ask:
    """Word search over the records."""
    del embedder
    try:
        import bm25s  # noqa: PLC0415 - of the development tools
    except ImportError as error:
        raise ConfigurationError("the peers need bm25s: pip install 'docmind[bench]', or leave them out") from error
    records, texts = _records(evaluated)
    library: Any = bm25s
    index = library.BM25()
    index.index(library.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)

    def ask(question: str) -> list[Place]:
        words = library.tokenize([question], stopwords="en", show_progress=False)
        found, _ = index.retrieve(words, k=min(PLACES, len(records)), show_progress=False)
        return [records[int(place)] for place in found[0]]

    return ask


def dense(evaluated: EvaluationSet, embedder: Embedder) -> Ask:
    """Embeddings of whole records, by cosine; longer records are cut at the model's window."""
    records, texts = _records(evaluated)
    vectors = embedder.embed(texts)

    def ask(question: str) -> list[Place]:
        cosines = vectors @ embedder.embed_queries([question])[0]
        return [records[int(place)] for place in np.argsort(-cosines, kind="stable")[:PLACES]]

    return ask


def both(evaluated: EvaluationSet, embedder: Embedder) -> Ask:
    """BM25 and embeddings, by reciprocal rank fusion."""
    asked = [bm25(evaluated, embedder), dense(evaluated, embedder)]

    def ask(question: str) -> list[Place]:
        fused: dict[Place, float] = {}
        for peer in asked:
            for rank, place in enumerate(peer(question), start=1):
                fused[place] = fused.get(place, 0.0) + 1 / (RRF_CONSTANT + rank)
        return sorted(fused, key=lambda place: -fused[place])[:PLACES]

    return ask


def llama_index(evaluated: EvaluationSet, embedder: Embedder) -> Ask:
    """LlamaIndex's default index: nodes of 1,024 tokens, embedded with their metadata."""
    from llama_index.core import Document, VectorStoreIndex  # noqa: PLC0415 - takes 2 s to import
    from llama_index.core.schema import TextNode  # noqa: PLC0415 - likewise

    from infra.store.llama_embedding import EmbedderEmbedding  # noqa: PLC0415 - likewise

    documents = [Document(text=t, metadata={"file_name": n}) for n, t in evaluated.documents.items()]
    retriever = VectorStoreIndex.from_documents(documents, embed_model=EmbedderEmbedding(embedder)).as_retriever(
        similarity_top_k=PLACES
    )

    def ask(question: str) -> list[Place]:
        nodes = [found.node for found in retriever.retrieve(question)]
        return [
            Place(str(n.metadata["file_name"]), n.start_char_idx or 0, n.end_char_idx or 0)
            for n in nodes
            if isinstance(n, TextNode)
        ]

    return ask


PEERS: dict[str, Open] = {
    "bm25": bm25,
    "minilm_whole_records": dense,
    "bm25_and_minilm_rrf": both,
    "llama_index_default": llama_index,
}


def _records(evaluated: EvaluationSet) -> tuple[Sequence[Place], list[str]]:
    records = evaluated.units or [
        Place(name, piece.start, piece.end)
        for name, text in evaluated.documents.items()
        for piece in cut(Extracted(text, "", (Section(0, len(text)),)), lambda _: "")
    ]
    return records, [evaluated.documents[record.doc][record.start : record.end] for record in records]
