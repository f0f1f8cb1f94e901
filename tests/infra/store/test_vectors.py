"""The vector store: nearest by cosine and by BM25, limited to scopes, safe under threads."""

import math
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import StoreError
from infra.store.records import Window
from infra.store.vectors import Bm25, EdgeVectors, open_edge, term_index

BM25 = Bm25(average_terms=4)


def window(number: int, words: str, *, document: str = "d", scopes: tuple[str, ...] = ("root",)) -> Window:
    angle = number / 10
    dense = np.array([math.cos(angle), math.sin(angle)], dtype=np.float32)
    name = str(UUID(int=number))
    return Window(name, f"c{number}", document, (document, *scopes), dense, Counter(words.split()))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EdgeVectors]:
    opened = EdgeVectors(tmp_path / "vectors", 2, BM25)
    yield opened
    opened.close()


def test_the_nearest_windows_come_first_with_their_cosine(store: EdgeVectors) -> None:
    store.upsert([window(n, "a") for n in range(5)])
    hits = store.dense(np.array([1, 0], dtype=np.float32), 3, None)
    assert [hit.chunk_id for hit in hits] == ["c0", "c1", "c2"]
    assert [hit.score for hit in hits] == pytest.approx([1, math.cos(0.1), math.cos(0.2)], abs=1e-5)
    assert (hits[0].window_id, hits[0].document_id) == (str(UUID(int=0)), "d")


def test_words_are_scored_by_bm25(store: EdgeVectors) -> None:
    texts = ["kv cache memory", "cache cache cache cache invalidation rules", "weather in june", "memory of june"]
    store.upsert([window(n, text) for n, text in enumerate(texts)])

    idf = {"cache": 1.5, "memory": 0.5, "nowhere": 3.0}

    def expected(text: str) -> float:
        counts = Counter(text.split())
        score = 0.0
        for word, weight in idf.items():
            length = sum(counts.values()) / BM25.average_terms
            held_back = BM25.k1 * (1 - BM25.b + BM25.b * length)
            score += weight * counts[word] * (BM25.k1 + 1) / (counts[word] + held_back)
        return score

    hits = store.sparse(idf, 10, None)
    scores = {hit.chunk_id: hit.score for hit in hits}
    assert scores == pytest.approx({f"c{n}": expected(texts[n]) for n in (0, 1, 3)}, rel=1e-4)
    assert [hit.chunk_id for hit in hits] == sorted(scores, key=lambda name: -scores[name])


def test_no_terms_find_nothing(store: EdgeVectors) -> None:
    store.upsert([window(0, "a")])
    assert store.sparse({}, 5, None) == []


def test_searches_are_limited_to_scopes(store: EdgeVectors) -> None:
    store.upsert([window(n, "a", document=f"d{n}", scopes=("root", "even" if n % 2 == 0 else "odd")) for n in range(6)])
    vector = np.array([1, 0], dtype=np.float32)
    assert [hit.chunk_id for hit in store.dense(vector, 9, ["odd"])] == ["c1", "c3", "c5"]
    assert [hit.chunk_id for hit in store.dense(vector, 9, ["d4", "d1", "nowhere"])] == ["c1", "c4"]
    assert {hit.chunk_id for hit in store.sparse({"a": 1.0}, 9, ["even"])} == {"c0", "c2", "c4"}
    assert len(store.dense(vector, 9, ["root"])) == 6
    assert store.dense(vector, 9, []) == []


def test_windows_take_the_place_of_what_has_their_id_and_go_with_their_document(store: EdgeVectors) -> None:
    store.upsert([window(0, "a", document="x"), window(1, "a", document="y")])
    store.upsert([window(0, "b", document="x")])
    assert store.count() == 2
    assert [hit.chunk_id for hit in store.sparse({"a": 1.0}, 9, None)] == ["c1"]
    store.delete_documents(["x", "z"])
    store.delete_documents([])
    assert store.count() == 1
    assert store.sparse({"b": 1.0}, 9, None) == []


def test_what_was_stored_is_there_again_after_closing(tmp_path: Path) -> None:
    first = open_edge(tmp_path / "v", 2, BM25)
    first.upsert([window(n, "a") for n in range(300)])
    first.close()
    first.close()
    second = open_edge(tmp_path / "v", 2, BM25)
    assert second.count() == 300
    second.close()


def test_vendor_errors_become_ours(tmp_path: Path, store: EdgeVectors) -> None:
    with pytest.raises(StoreError, match=r"the vector store could not search: .*expected dim: 2, got 3"):
        store.dense(np.zeros(3, dtype=np.float32), 1, None)
    with pytest.raises(StoreError, match=r"could not open .*WAL"):
        open_edge(tmp_path / "vectors", 2, BM25)


def test_threads_read_while_one_writes(store: EdgeVectors) -> None:
    vector = np.array([1, 0], dtype=np.float32)

    def read(_: int) -> int:
        return max(len(store.dense(vector, 50, None)) + len(store.sparse({"a": 1.0}, 50, None)) for _ in range(20))

    with ThreadPoolExecutor(5) as pool:
        reads = [pool.submit(read, n) for n in range(4)]
        for first in range(0, 200, 20):
            store.upsert([window(n, "a b") for n in range(first, first + 20)])
        assert all(one.result() <= 100 for one in reads)
    assert store.count() == 200


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.integers(1, 50), max_size=20))
@settings(max_examples=50)
def test_term_weights_are_positive_and_bounded(terms: dict[str, int]) -> None:
    weights = Bm25().weights(terms)
    assert set(weights) == {term_index(term) for term in terms}
    assert all(0 < weight < 2.2 * len(terms) for weight in weights.values())
    assert all(0 <= index < 2**32 for index in weights)


def test_the_place_of_a_term_is_the_same_in_every_run() -> None:
    assert [term_index("cache"), term_index("")] == [3333543002, 309448485]
