"""A real vLLM as the embedding and the rerank server: the vectors mean nothing, everything around them is real."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from infra.settings import EmbeddingSettings, RerankerSettings, Settings
from infra.store.embeddings_server import ServerEmbedder, open_server
from infra.store.index import Index
from infra.store.reranker import RerankServer
from tests.live.server import served
from tests.live.test_graph_live import DOCS
from tools.ingest import ingest
from tools.search import open_retriever

pytestmark = pytest.mark.live
TEXTS = ["one word", "", "longer " * 20, "the longest of them " * 2_000, "Zürich, 東京 and 🚢"]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a server whose model gives embeddings."""
    log = tmp_path_factory.mktemp("vllm") / "server.log"
    with served(log, "--runner", "pooling", "--convert", "embed") as server:
        yield server.url


@pytest.fixture
def embedder(url: str, tmp_path: Path) -> Iterator[ServerEmbedder]:
    with closing(open_server(EmbeddingSettings(kind="server", base_url=url), tmp_path)) as opened:
        yield opened


def test_texts_of_any_length_get_the_same_vector_in_a_batch_and_alone(embedder: ServerEmbedder) -> None:
    together = embedder.embed(TEXTS)
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    assert together.shape == (len(TEXTS), embedder.dimension)
    assert np.sum(together * alone, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=0.01)
    assert abs(together[0] @ together[4]) < 0.99


def test_a_folder_is_ingested_once_and_what_is_found_stands_in_its_files(
    embedder: ServerEmbedder, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path)
    with Index.open(settings, embedder) as index:
        first = ingest(index, embedder, [DOCS], settings=settings.ingest)
        assert first.embedded > 0
        assert ingest(index, embedder, [DOCS], settings=settings.ingest).embedded == 0
        passage = open_retriever(index, embedder, settings).search("memory of the KV cache", k=1).passages[0]
        assert passage.text in (DOCS / passage.doc).read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["rerank", "score"])
def test_both_forms_of_reranking_give_the_models_own_similarity(url: str, embedder: ServerEmbedder, kind: str) -> None:
    question, texts = "Which port?", ["Port 8000.", "A cat.", "Which port?"]
    with closing(RerankServer(RerankerSettings.model_validate({"base_url": url, "kind": kind}))) as server:
        scores = server.scores(question, texts)
    assert scores == pytest.approx(embedder.embed(texts) @ embedder.embed([question])[0], abs=0.02)
    assert max(scores) == scores[2]
