"""A server's embeddings: batched, checked, normalised, and known again; a fault is one line that names the setting."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Condition
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from infra.errors import BackendUnavailable, ConfigurationError
from infra.settings import load_settings
from infra.store import asking
from infra.store.embeddings import TokenEmbedder
from infra.store.embeddings_open import open_embedder
from infra.store.embeddings_server import open_server
from infra.store.index import Index
from tests.infra.store.embedding_servers import EmbeddingServer, Ollama, Vllm, expected, opened, running, settings
from tests.infra.store.samples import CATS, DOGS
from tests.loopback import Answered, Asked, Loopback
from tests.tools.words import DIMENSION, WordEmbedder

KEY = "sk-embedding-secret"
TEXTS = ["Paris is in France.", "Oslo", "Dogs chase cats through the garden.", "日本語 text", ""]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "LONGEST_PAUSE_SECONDS", 0.0)


@pytest.mark.parametrize("server", [Vllm(), Ollama("bge-m3")], ids=["vllm", "ollama"])
def test_vectors_are_the_servers_normalised_in_the_order_of_the_texts(server: EmbeddingServer, data_dir: Path):
    with opened(server, data_dir, model=server.model, batch_texts=2) as (embedder, loopback):
        vectors = embedder.embed(TEXTS)
        assert (vectors.shape, vectors.dtype, embedder.dimension) == ((5, DIMENSION), np.float32, DIMENSION)
        assert vectors == expected(TEXTS)
        assert embedder.embed_queries(["Oslo"]) == expected(["Oslo"])
        assert embedder.embed([]).shape == (0, DIMENSION)
    asked = loopback.bodies("/v1/embeddings")[1:]
    assert sorted(len(body["input"]) for body in asked) == [1, 1, 2, 2]
    assert {body["encoding_format"] for body in asked} == {"float"}


def test_texts_of_one_length_go_together_the_longest_first(data_dir: Path):
    with opened(Vllm(), data_dir, batch_texts=2, in_flight=1) as (embedder, loopback):
        embedder.embed(["a", "a b c d", "a b", "a b c"])
    assert [body["input"] for body in loopback.bodies("/v1/embeddings")[1:]] == [["a b c d", "a b c"], ["a b", "a"]]


def test_a_request_holds_a_bounded_number_of_characters(data_dir: Path):
    with opened(Vllm(window=10**6), data_dir) as (embedder, loopback):
        embedder.embed(["word " * 50_000] * 3)
    assert [len(body["input"]) for body in loopback.bodies("/v1/embeddings")[1:]] == [1, 1, 1]


def test_no_more_requests_are_in_flight_than_allowed(data_dir: Path):
    server, changed, running_, most = Vllm(), Condition(), [0], [0]

    def slowly(asked: Asked, reply: dict[str, Any]) -> None:
        with changed:
            running_[0] += 1
            most[0] = max(most[0], running_[0])
            changed.notify_all()
            assert changed.wait_for(lambda: most[0] >= 3, timeout=60)
            # room for one too many to show itself; nobody waits once it has
            changed.wait_for(lambda: most[0] > 3, timeout=0.02)
            running_[0] -= 1

    with opened(server, data_dir, batch_texts=1, in_flight=3) as (embedder, _), ThreadPoolExecutor(4) as pool:
        server.otherwise = slowly
        found = list(pool.map(embedder.embed, [[f"text {n}" for n in range(8)]] * 4))
    assert most[0] == 3
    assert all(vectors == expected([f"text {n}" for n in range(8)]) for vectors in found)


def test_questions_and_documents_have_prefixes_of_their_own(data_dir: Path):
    prefixes = {"query_prefix": "query: ", "document_prefix": "passage: "}
    with opened(Vllm(), data_dir, **prefixes) as (embedder, loopback):
        embedder.embed(["Oslo"])
        embedder.embed_queries(["Oslo"])
    assert [body["input"] for body in loopback.bodies("/v1/embeddings")[1:]] == [["passage: Oslo"], ["query: Oslo"]]


def test_vllm_cuts_what_is_longer_than_its_window(data_dir: Path):
    words = [f"word{n}" for n in range(600)]
    with opened(Vllm(window=512), data_dir) as (embedder, loopback):
        assert embedder.embed([" ".join(words)]) == expected([" ".join(words[:512])])
    assert loopback.bodies("/v1/embeddings")[-1]["truncate_prompt_tokens"] == 512


def test_a_smaller_window_of_the_settings_wins_and_a_larger_one_does_not(data_dir: Path):
    for ours, cut in ((100, 100), (10_000, 512)):
        with opened(Vllm(window=512), data_dir, max_tokens=ours) as (embedder, loopback):
            embedder.embed(["Oslo"])
        assert loopback.bodies("/v1/embeddings")[-1]["truncate_prompt_tokens"] == cut


def test_what_ollama_refuses_for_its_length_is_halved_until_it_is_taken_and_only_that(data_dir: Path):
    words = [f"word{n:04}" for n in range(1_000)]
    with opened(Ollama("bge-m3", window=300), data_dir, model="bge-m3") as (embedder, loopback):
        vectors = embedder.embed(["Oslo", " ".join(words), "Paris"])
        assert vectors == expected(["Oslo", " ".join(words[:250])[:2_249], "Paris"])
    assert len(loopback.bodies("/v1/embeddings")) < 12


def test_a_window_of_the_settings_spares_other_servers_the_tries(data_dir: Path):
    with opened(Ollama("bge-m3", window=300), data_dir, model="bge-m3", max_tokens=200) as (embedder, loopback):
        embedder.embed(["words " * 1_000])
    assert len(loopback.bodies("/v1/embeddings")) == 2


def test_half_characters_and_blanks_are_made_sendable(data_dir: Path):
    with opened(Vllm(), data_dir) as (embedder, loopback):
        embedder.embed(["a\ud800b", " \n"])
    assert sorted(loopback.bodies("/v1/embeddings")[-1]["input"]) == [".", "a?b"]


def test_the_only_model_is_taken_and_of_several_one_must_be_named(data_dir: Path):
    with opened(Vllm("only/one"), data_dir) as (embedder, _):
        assert embedder.model_id.startswith("server/only/one/")
    with pytest.raises(ConfigurationError) as caught, opened(Ollama("bge-m3"), data_dir) as _:
        pass
    assert str(caught.value).endswith("serves qwen3:4b, bge-m3:latest")
    assert str(caught.value).startswith("name a model in DOCMIND_EMBEDDING__MODEL: http://127.0.0.1:")
    wanted = pytest.raises(ConfigurationError, match="DOCMIND_EMBEDDING__MODEL='other' is not served: ")
    with wanted, opened(Vllm("only/one"), data_dir, model="other"):
        pass


def test_a_server_without_a_list_of_models_is_asked_for_the_one_named(data_dir: Path):
    server = Vllm("tei")
    answer = server.answer
    server.answer = lambda asked: Answered(status=404) if asked.path == "/v1/models" else answer(asked)
    with opened(server, data_dir, model="tei") as (embedder, _):
        assert embedder.embed(["Oslo"]) == expected(["Oslo"])


def test_models_prefixes_and_cuts_have_ids_of_their_own(data_dir: Path):
    ids: list[str] = []
    for more in ({}, {"query_prefix": "q: "}, {"document_prefix": "p: "}, {"max_tokens": 64}, {"model": "other"}):
        with opened(Vllm(str(more.get("model", "one"))), data_dir, **more) as (embedder, _):
            ids.append(embedder.model_id)
    with opened(Vllm("one"), data_dir) as (embedder, _):
        assert embedder.model_id == ids[0]
    assert len(set(ids)) == 5


class Reversed(WordEmbedder):
    """Another model."""

    def embed(self, texts: Any) -> Any:
        return super().embed(texts)[:, ::-1]


def test_another_model_under_the_same_name_gets_an_id_of_its_own(data_dir: Path):
    server = Vllm("one")
    with opened(server, data_dir) as (embedder, _):
        first = embedder.model_id
    server.embedder = Reversed()
    with opened(server, data_dir) as (embedder, _):
        assert embedder.model_id == first.removesuffix("/1") + "/2"
    with opened(server, data_dir) as (embedder, _):
        assert embedder.model_id == first.removesuffix("/1") + "/2"


def test_a_model_that_changed_is_a_new_index_by_itself(data_dir: Path):
    server = Vllm("one")
    with running(server) as loopback:
        options = load_settings(embedding=settings(loopback).model_dump())
        for embedder_behind in (WordEmbedder(), Reversed()):
            server.embedder = embedder_behind
            embedder = open_embedder(options)
            with Index.open(options, embedder) as index:
                index.change([CATS, DOGS])
                hit = index.dense(embedder.embed_queries(["Dogs\nDogs bark."])[0], 1)[0]
                assert hit.score == pytest.approx(1, abs=1e-5)
            embedder.close()  # pyright: ignore[reportAttributeAccessIssue] - a server's


@pytest.mark.parametrize("named", ["one", ""])
def test_a_server_that_is_down_is_remembered_until_a_text_must_be_embedded(data_dir: Path, named: str):
    with opened(Vllm("one"), data_dir, model=named) as (embedder, loopback):
        known = (embedder.model_id, embedder.dimension)
        options = settings(loopback, model=named)
    later = open_server(options, data_dir)
    assert (later.model_id, later.dimension) == known
    with pytest.raises(
        BackendUnavailable, match=r"cannot be reached .*; start it, or check DOCMIND_EMBEDDING__BASE_URL"
    ):
        later.embed(["Oslo"])
    later.close()


def test_a_server_that_was_never_met_must_answer(data_dir: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(BackendUnavailable, match=rf"^the embedding server at {url}/v1 cannot be reached"):
            open_server(settings(Loopback(url, []), model="one"), data_dir)


def test_what_was_kept_and_is_damaged_is_found_out_anew(data_dir: Path):
    with opened(Vllm("one"), data_dir) as (embedder, _):
        known = embedder.model_id
    files = list((data_dir / "models").glob("embedding-*.json"))
    for file in files:
        file.write_text('{"model": "one", "dimension": -1')
    with opened(Vllm("one"), data_dir) as (embedder, _):
        assert embedder.model_id == known
    assert [json.loads(file.read_text())["dimension"] for file in files] == [DIMENSION] * 2


def test_token_vectors_are_not_offered(data_dir: Path):
    with opened(Vllm(), data_dir) as (embedder, _):
        assert not isinstance(embedder, TokenEmbedder)
    assert isinstance(WordEmbedder(), TokenEmbedder)


@given(st.lists(st.text(max_size=30), max_size=12), st.integers(1, 5), st.integers(1, 3))
@examples(max_examples=20)
def test_every_text_gets_its_vector_whatever_the_batches(texts: list[str], batch: int, in_flight: int):
    server = Vllm(window=10**6)
    with running(server) as loopback:
        options = settings(loopback, batch_texts=batch, in_flight=in_flight)
        embedder = open_server(options, Path(load_settings().data_dir))
        sent = [text if text.strip() else "." for text in texts]
        assert embedder.embed(texts) == pytest.approx(WordEmbedder().embed(sent), abs=1e-6)
        embedder.close()
