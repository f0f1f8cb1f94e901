"""LlamaIndex's ingestion, for comparison: its default reader, pipeline and index in memory, with the same model.

``SimpleDirectoryReader``, ``IngestionPipeline`` with its sentence splitter, its cache and our model through its
embedding interface, then a ``VectorStoreIndex`` over the nodes. Each gives the texts as they were embedded. Batches of
256 texts go to the model, which sorts them; LlamaIndex's own default of 10 would be slower.
"""

from collections.abc import Callable
from pathlib import Path

from llama_index.core import SimpleDirectoryReader, VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import MetadataMode

from infra.store.embeddings import Embedder
from infra.store.llama_embedding import EmbedderEmbedding
from tools.chunk import OVERLAP_TOKENS, WINDOW_TOKENS

Ingestion = Callable[[Path, Embedder], list[str]]


def llama_index_default(folder: Path, embedder: Embedder) -> list[str]:
    """With the default splitter: nodes of 1,024 tokens that overlap by 200."""
    return _ingested(folder, embedder, SentenceSplitter())


def llama_index_our_windows(folder: Path, embedder: Embedder) -> list[str]:
    """With nodes as long as our windows, so that the model reads all of the text."""
    return _ingested(folder, embedder, SentenceSplitter(chunk_size=WINDOW_TOKENS, chunk_overlap=OVERLAP_TOKENS))


def _ingested(folder: Path, embedder: Embedder, splitter: SentenceSplitter) -> list[str]:
    embedding = EmbedderEmbedding(embedder)
    read = SimpleDirectoryReader(str(folder), recursive=True).load_data()
    nodes = IngestionPipeline(transformations=[splitter, embedding]).run(documents=read)
    VectorStoreIndex(list(nodes), embed_model=embedding)
    return [node.get_content(MetadataMode.EMBED) for node in nodes]


LLAMA_INGESTIONS: dict[str, Ingestion] = {
    "llama_index_default": llama_index_default,
    "llama_index_our_windows": llama_index_our_windows,
}
