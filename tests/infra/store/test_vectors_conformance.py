"""What every vector store does, whichever it is: embedded, qdrant-client's local mode, a real server if there is one.

A real server takes part when ``DOCMIND_QDRANT__URL`` (and its key) is set in the environment of the tests.
"""

import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import numpy as np
import pytest
import pytest_socket
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from numpy.typing import NDArray

from infra.settings import load_settings
from infra.store.qdrant import open_qdrant
from infra.store.qdrant_collection import CollectionName
from infra.store.records import Hit, Window
from infra.store.vectors import Bm25, VectorStore, open_edge
from tests.infra.store.local_qdrant import LocalQdrant

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning")

BM25 = Bm25(average_terms=4)
SERVER = {name: value for name, value in os.environ.items() if name.upper().startswith("DOCMIND_QDRANT__")}
LOOPBACK = ["127.0.0.1", "::1", "localhost"]
DIMENSION = 8
Opening = Callable[[], VectorStore]


def edge_store(tmp_path: Path) -> Iterator[Opening]:
    yield lambda: open_edge(tmp_path / "vectors", DIMENSION, BM25)


def local_store(tmp_path: Path) -> Iterator[Opening]:
    server = LocalQdrant()
    yield lambda: server.open(DIMENSION, BM25)


def server_store(tmp_path: Path) -> Iterator[Opening]:
    if not SERVER.get("DOCMIND_QDRANT__URL"):
        pytest.skip("DOCMIND_QDRANT__URL is not set: no Qdrant server to test on")
    pytest_socket.socket_allow_hosts([*LOOPBACK, urlsplit(SERVER["DOCMIND_QDRANT__URL"]).hostname or ""])
    with pytest.MonkeyPatch.context() as environment:
        for name, value in SERVER.items():
            environment.setenv(name, value)
        settings = load_settings().qdrant
    name = CollectionName("docmind_test", "conformance", uuid.uuid4().hex[:8], "0" * 16)
    yield lambda: open_qdrant(settings, name, DIMENSION, BM25)
    opened = open_qdrant(settings, name, DIMENSION, BM25)
    opened.client.delete_collection(str(name))
    opened.close()


@pytest.fixture(params=[edge_store, local_store, server_store], ids=["embedded", "local", "server"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opening]:
    yield from request.param(tmp_path)


@pytest.fixture
def store(opening: Opening) -> Iterator[VectorStore]:
    opened = opening()
    yield opened
    opened.close()


def towards(number: int) -> NDArray[np.float32]:
    """A direction of its own for each number, the same in every run."""
    vector = np.random.default_rng(number).normal(size=DIMENSION)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def window(number: int, words: str = "a", *, document: str = "d", scopes: Sequence[str] = ("root",)) -> Window:
    identity = str(UUID(int=number))
    return Window(identity, f"c{number}", document, (document, *scopes), towards(number), Counter(words.split()))


def cosines(windows: Sequence[Window], vector: NDArray[np.float32]) -> dict[str, float]:
    return {w.chunk_id: float(w.dense.astype(np.float64) @ vector.astype(np.float64)) for w in windows}


def bm25_by_hand(words: str, idf: dict[str, float]) -> float:
    counts = Counter(words.split())
    held_back = BM25.k1 * (1 - BM25.b + BM25.b * sum(counts.values()) / BM25.average_terms)
    return sum(idf[t] * counts[t] * (BM25.k1 + 1) / (counts[t] + held_back) for t in idf if t in counts)


def chunks(hits: Sequence[Hit]) -> list[str]:
    return [hit.chunk_id for hit in hits]


def test_the_nearest_come_first_with_their_cosine(store: VectorStore):
    windows = [window(n) for n in range(50)]
    store.upsert(windows)
    asked = towards(1_000)
    expected = cosines(windows, asked)
    hits = store.dense(asked, 20, None)
    assert chunks(hits) == sorted(expected, key=lambda name: -expected[name])[:20]
    assert [hit.score for hit in hits] == pytest.approx([expected[hit.chunk_id] for hit in hits], abs=1e-5)
    assert hits[0].window_id in {w.id for w in windows}
    assert {hit.document_id for hit in hits} == {"d"}


def test_words_are_scored_by_bm25(store: VectorStore):
    texts = ["kv cache memory", "cache cache cache cache invalidation rules", "weather in june", "memory of june"]
    store.upsert([window(n, text) for n, text in enumerate(texts)])
    idf = {"cache": 1.5, "memory": 0.5, "nowhere": 3.0}
    hits = store.sparse(idf, 10, None)
    expected = {f"c{n}": score for n, text in enumerate(texts) if (score := bm25_by_hand(text, idf))}
    assert {hit.chunk_id: hit.score for hit in hits} == pytest.approx(expected, rel=1e-5)
    assert chunks(hits) == sorted(expected, key=lambda name: -expected[name])


def test_scores_do_not_depend_on_what_was_deleted(store: VectorStore):
    store.upsert([window(n, "rare common", document=f"d{n}") for n in range(30)])
    before = store.sparse({"rare": 1.0}, 1, ["d0"])[0].score
    store.delete_documents([f"d{n}" for n in range(1, 30)])
    assert store.sparse({"rare": 1.0}, 9, None)[0].score == before


def test_searches_are_limited_to_any_of_the_scopes(store: VectorStore):
    store.upsert([window(n, document=f"d{n}", scopes=("root", "even" if n % 2 == 0 else "odd")) for n in range(6)])
    asked = towards(3)
    assert set(chunks(store.dense(asked, 9, ["odd"]))) == {"c1", "c3", "c5"}
    assert set(chunks(store.dense(asked, 9, ["d4", "d1", "nowhere"]))) == {"c1", "c4"}
    assert set(chunks(store.sparse({"a": 1.0}, 9, ["even"]))) == {"c0", "c2", "c4"}
    assert len(store.dense(asked, 9, ["root"])) == 6
    assert store.dense(asked, 9, ["nowhere"]) == []
    assert store.dense(asked, 9, []) == store.sparse({"a": 1.0}, 9, []) == []


def test_a_scope_may_be_one_of_very_many(store: VectorStore):
    store.upsert([window(n, document=f"d{n}") for n in range(4)])
    wanted = [*(f"other{n}" for n in range(5_000)), "d2"]
    assert chunks(store.dense(towards(0), 9, wanted)) == ["c2"]


@pytest.mark.parametrize("limit", [0, 1, 3, 100])
def test_no_more_than_the_limit_comes_back(store: VectorStore, limit: int):
    store.upsert([window(n) for n in range(5)])
    assert len(store.dense(towards(0), limit, None)) == min(limit, 5)
    assert len(store.sparse({"a": 1.0}, limit, None)) == min(limit, 5)


def test_an_empty_store_and_an_empty_question_find_nothing(store: VectorStore):
    assert (store.count(), store.dense(towards(0), 5, None), store.sparse({"a": 1.0}, 5, None)) == (0, [], [])
    store.upsert([window(0)])
    assert store.sparse({}, 5, None) == []


def test_a_window_takes_the_place_of_what_has_its_id(store: VectorStore):
    store.upsert([window(0, "old", document="x"), window(1, "old", document="y")])
    store.upsert([window(0, "new", document="z")])
    assert store.count() == 2
    assert chunks(store.sparse({"old": 1.0}, 9, None)) == ["c1"]
    assert store.dense(towards(0), 1, ["z"])[0].document_id == "z"
    assert store.dense(towards(0), 9, ["x"]) == []


def test_of_one_id_given_twice_at_once_the_last_counts(store: VectorStore):
    store.upsert([window(0, "first"), window(0, "second")])
    assert store.count() == 1
    assert chunks(store.sparse({"second": 1.0}, 9, None)) == ["c0"]
    assert store.sparse({"first": 1.0}, 9, None) == []


def test_windows_go_with_their_document(store: VectorStore):
    store.upsert([window(n, document=f"d{n % 3}") for n in range(9)])
    store.delete_documents(["d0", "d2", "nowhere"])
    store.delete_documents([])
    assert store.count() == 3
    assert set(chunks(store.dense(towards(0), 9, None))) == {"c1", "c4", "c7"}


def test_windows_that_are_to_stay_stay_when_the_others_of_their_document_go(store: VectorStore):
    windows = [window(n, document=f"d{n % 3}") for n in range(9)]
    store.upsert(windows)
    store.delete_documents(["d0", "d2"], keep=[windows[n].id for n in (0, 5, 8)])
    assert set(chunks(store.dense(towards(0), 9, None))) == {"c0", "c5", "c8", "c1", "c4", "c7"}


def test_many_documents_go_at_once(store: VectorStore):
    store.upsert([window(n, document=f"d{n}") for n in range(1_200)])
    store.delete_documents([f"d{n}" for n in range(1_199)])
    assert store.count() == 1


def test_nothing_to_store_changes_nothing(store: VectorStore):
    store.upsert([])
    store.flush()
    assert store.count() == 0


def test_what_was_stored_is_there_again_after_opening_anew(opening: Opening):
    first = opening()
    first.upsert([window(n, "a b") for n in range(400)])
    first.flush()
    first.close()
    first.close()
    second = opening()
    assert second.count() == 400
    assert chunks(second.dense(towards(350), 1, None)) == ["c350"]
    assert len(second.sparse({"b": 1.0}, 1_000, None)) == 400
    second.close()


def test_names_and_words_of_any_script_come_back_as_they_were(store: VectorStore):
    document, chunk, scope = "Ünïcode/日本語 🤖.md", "Ω≈ç√", "/home/ñ/'\"\\%"
    odd = Window(str(UUID(int=1)), chunk, document, (document, scope), towards(1), Counter({"日本": 2, "école": 1}))
    store.upsert([odd, window(2)])
    expected = (odd.id, chunk, document)
    for hits in (store.dense(towards(1), 1, [scope]), store.sparse({"日本": 1.0}, 5, [document])):
        assert [(hit.window_id, hit.chunk_id, hit.document_id) for hit in hits] == [expected]
    store.delete_documents([document])
    assert store.count() == 1


def test_a_window_without_words_is_found_by_its_meaning_only(store: VectorStore):
    store.upsert([window(0, ""), window(1, "word")])
    assert chunks(store.dense(towards(0), 1, None)) == ["c0"]
    assert chunks(store.sparse({"word": 1.0}, 9, None)) == ["c1"]


def test_threads_read_while_one_writes_and_nothing_is_lost(store: VectorStore):
    def read(_: int) -> int:
        return max(
            len(store.dense(towards(0), 50, None)) + len(store.sparse({"a": 1.0}, 50, ["root"])) for _ in range(10)
        )

    with ThreadPoolExecutor(5) as pool:
        reads = [pool.submit(read, n) for n in range(4)]
        for first in range(0, 200, 20):
            store.upsert([window(n, "a b") for n in range(first, first + 20)])
        assert all(one.result() <= 100 for one in reads)
    assert store.count() == 200


WORDS = st.lists(st.sampled_from(["cache", "memory", "june", "日本"]), max_size=5).map(" ".join)
STORED = st.tuples(st.just("upsert"), st.lists(st.tuples(st.integers(0, 9), WORDS, st.integers(0, 3)), max_size=6))
DELETED = st.tuples(st.just("delete"), st.lists(st.integers(0, 4), max_size=3))


@pytest.mark.parametrize("kind", [edge_store, local_store, server_store], ids=["embedded", "local", "server"])
def test_any_order_of_writes_leaves_what_a_dictionary_would_hold(
    kind: Callable[[Path], Iterator[Opening]], tmp_path_factory: pytest.TempPathFactory
):
    @given(st.lists(st.one_of(STORED, DELETED), max_size=8))
    @examples(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
    def holds(steps: list[tuple[str, list[Any]]]) -> None:
        for opening in kind(tmp_path_factory.mktemp("store")):
            store = opening()
            try:
                equals_the_dictionary(store, written(store, steps))
            finally:
                store.close()

    holds()


def written(store: VectorStore, steps: Sequence[tuple[str, Sequence[Any]]]) -> dict[str, Window]:
    model: dict[str, Window] = {}
    for step, given_ in steps:
        if step == "upsert":
            windows = [window(number, words, document=f"d{document}") for number, words, document in given_]
            store.upsert(windows)
            model |= {w.id: w for w in windows}
        else:
            gone = [f"d{number}" for number in given_]
            store.delete_documents(gone)
            model = {identity: w for identity, w in model.items() if w.document_id not in gone}
    return model


def equals_the_dictionary(store: VectorStore, model: dict[str, Window]) -> None:
    asked, idf = towards(77), {"cache": 2.0, "日本": 0.7}
    assert store.count() == len(model)
    for document in (None, "d1"):
        scopes = None if document is None else [document]
        left = [w for w in model.values() if document in (None, w.document_id)]
        found = {hit.chunk_id: hit.score for hit in store.dense(asked, 50, scopes)}
        assert found == pytest.approx(cosines(left, asked), abs=1e-5)
        by_words = {w.chunk_id: bm25_by_hand(" ".join(Counter(w.terms).elements()), idf) for w in left}
        found = {hit.chunk_id: hit.score for hit in store.sparse(idf, 50, scopes)}
        assert found == pytest.approx({name: score for name, score in by_words.items() if score}, rel=1e-5)
