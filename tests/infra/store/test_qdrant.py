"""Vectors on a Qdrant server: over the wire, under one name after another, and what is said when it goes wrong."""

import logging
import socket
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from qdrant_client import models

from infra.errors import StoreError
from infra.settings import QdrantSettings
from infra.store import qdrant_bounds, qdrant_faults
from infra.store.qdrant import QdrantVectors, open_qdrant
from infra.store.qdrant_collection import CollectionName, library_id
from infra.store.vectors import Bm25
from tests.infra.store.local_qdrant import NAME, LocalQdrant
from tests.infra.store.test_vectors_conformance import DIMENSION, towards, window
from tests.infra.store.wire_qdrant import wired
from tests.loopback import Answered, Asked, Broken, Loopback, serving

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning")

BM25 = Bm25()
KEY = "qd-secret-key"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qdrant_faults, "LONGEST_PAUSE_SECONDS", 0.0)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with wired(KEY) as server:
        yield server


def settings(server: Loopback, **more: Any) -> QdrantSettings:
    return QdrantSettings.model_validate({"url": server.url, "api_key": KEY, **more})


def opened(server: Loopback, name: CollectionName = NAME, **more: Any) -> QdrantVectors:
    return open_qdrant(settings(server, **more), name, DIMENSION, BM25)


def collections(store: QdrantVectors) -> set[str]:
    return {entry.name for entry in store.client.get_collections().collections}


async def test_blocking_and_awaiting_callers_find_the_same_over_the_wire(server: Loopback):
    store = opened(server)
    store.upsert([window(n, "a b" if n % 2 else "a", document=f"d{n}") for n in range(20)])
    dense, sparse = store.dense(towards(5), 7, ["root"]), store.sparse({"b": 1.5}, 30, None)
    assert (len(dense), dense[0].chunk_id, len(sparse)) == (7, "c5", 10)
    for awaited, blocking in (
        (await store.adense(towards(5), 7, ["root"]), dense),
        (await store.asparse({"b": 1.5}, 30, None), sparse),
    ):
        assert [replace(hit, score=0.0) for hit in awaited] == [replace(hit, score=0.0) for hit in blocking]
        assert [hit.score for hit in awaited] == pytest.approx([hit.score for hit in blocking], abs=1e-6)
    assert await store.asparse({}, 30, None) == await store.adense(towards(5), 7, []) == []
    store.delete_documents(["d5"])
    assert store.count() == 19
    store.clear()
    assert store.count() == 0
    await store.aclose()


def test_every_write_waits_and_goes_through_the_leader(server: Loopback):
    store = opened(server)
    store.upsert([window(0)])
    store.delete_documents(["d"])
    store.close()
    writes = [asked for asked in server.requests if "/points" in asked.path]
    assert [(asked.query["wait"], asked.query["ordering"]) for asked in writes] == [("true", "medium")] * 2


def test_a_cluster_gets_the_settings_of_its_collections(server: Loopback):
    opened(server, shard_number=4, replication_factor=2, write_consistency_factor=2, on_disk=True).close()
    made = server.bodies(f"/collections/{NAME}")[0] or next(filter(None, server.bodies(f"/collections/{NAME}")))
    assert {key: made[key] for key in ("shard_number", "replication_factor", "write_consistency_factor")} == {
        "shard_number": 4,
        "replication_factor": 2,
        "write_consistency_factor": 2,
    }
    assert made["vectors"]["dense"] == {"size": DIMENSION, "distance": "Cosine", "on_disk": True}
    assert made["sparse_vectors"] == {"bm25": {"index": {"on_disk": True}}}
    indexed = {body["field_name"]: body["field_schema"] for body in server.bodies(f"/collections/{NAME}/index")}
    assert indexed == {"d": "keyword", "s": "keyword"}


def test_another_layout_takes_over_in_one_step_and_the_old_collection_goes(server: Loopback):
    old = opened(server)
    old.take_over()
    new = opened(server, replace(NAME, layout="f" * 16))
    others = [replace(NAME, tenant="other"), replace(NAME, library="feedbeef"), replace(NAME, prefix="mine")]
    for name in others:
        opened(server, name).close()
    old.upsert([window(0)])
    assert (old.count(), new.count()) == (1, 0)
    server.requests.clear()
    new.take_over()
    assert [len(body["actions"]) for body in server.bodies("/collections/aliases")] == [2]
    assert collections(new) == {str(new.name), *map(str, others)}
    alias = new.client.get_aliases().aliases
    assert [(a.alias_name, a.collection_name) for a in alias] == [("docmind-default-0badcafe", str(new.name))]
    server.requests.clear()
    new.take_over()
    assert server.bodies("/collections/aliases") == []
    old.close()
    new.close()


def test_a_tenant_named_like_anothers_collection_is_not_mistaken_for_it():
    mine = replace(NAME, tenant="a")
    assert not mine.is_layout(str(replace(NAME, tenant=f"a-{NAME.library}")))
    assert not mine.is_layout(replace(NAME, tenant=f"a-{NAME.library}").alias)
    assert not mine.is_layout(mine.alias)
    assert mine.is_layout(str(replace(mine, layout="e" * 16)))


def test_a_wrong_key_names_its_setting_and_is_not_shown(
    server: Loopback, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(StoreError) as caught:
        opened(server, api_key="wrong-key-123")
    assert str(caught.value) == (
        f"Qdrant at {server.url} could not look for a collection: it answered 401; set DOCMIND_QDRANT__API_KEY"
    )
    opened(server).close()
    told = caplog.text + "".join(capsys.readouterr()) + repr(settings(server))
    assert KEY not in told
    assert "wrong-key-123" not in told


def test_a_server_that_repeats_the_key_does_not_make_us_show_it():
    with (
        serving(lambda asked: Answered({"status": {"error": f"key {KEY}\nis odd"}}, 400)) as server,
        pytest.raises(StoreError, match=r"it answered 400 \(key \*\*\* is odd\); check DOCMIND_QDRANT__URL"),
    ):
        opened(server)


def test_a_server_that_is_not_there_is_named_with_its_setting():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StoreError, match=rf"^Qdrant at {url} could not .* reached .*check DOCMIND_QDRANT__URL$"):
            opened(Loopback(url, []))


@pytest.mark.parametrize("content", [b"<html>hello</html>", b'{"result": 5}', b"", b"[" * 100_000])
def test_what_is_not_qdrant_is_recognised(content: bytes):
    with serving(lambda asked: Answered(content)) as server, pytest.raises(StoreError, match="DOCMIND_QDRANT__URL"):
        opened(server)


def test_what_passes_is_tried_again(server: Loopback):
    def a_bad_day(asked: Asked) -> Answered:
        if len(flaky.requests) == 1:
            raise Broken
        return Answered({"status": {"error": "busy"}}, 503 if len(flaky.requests) == 2 else 400)

    with serving(a_bad_day) as flaky, pytest.raises(StoreError, match=r"it answered 400 \(busy\)"):
        opened(flaky)
    assert len(flaky.requests) == 3


def test_a_refusal_is_not_tried_again():
    with serving(lambda asked: Answered({"status": {"error": "no"}}, 400)) as server, pytest.raises(StoreError):
        opened(server)
    assert len(server.requests) == 1


def test_a_server_that_is_too_slow_is_left_with_its_setting(monkeypatch: pytest.MonkeyPatch):
    from qdrant_client.http.exceptions import ResponseHandlingException  # noqa: PLC0415

    def slow() -> None:
        raise ResponseHandlingException(TimeoutError("timed out"))

    patience = qdrant_faults.Patience("http://x", settings(Loopback("http://x", [])).api_key)
    with pytest.raises(StoreError, match=r"no answer in time .*; raise DOCMIND_QDRANT__TIMEOUT_SECONDS$"):
        patience.do("search", slow)


@pytest.mark.parametrize(
    ("headers", "said"),
    [({}, "its answer is longer than 10,000 bytes"), ({"content-encoding": "gzip"}, "its answer is compressed")],
)
async def test_an_answer_without_end_is_given_up_at_once(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], said: str
):
    with serving(lambda asked: Answered(b" " * 50_000, headers=headers)) as endless:
        elsewhere = opened_without_looking(endless, monkeypatch)
        monkeypatch.setattr(qdrant_bounds, "MAX_BYTES", 10_000)
        with pytest.raises(StoreError, match=f"could not search: .*{said}.*; check DOCMIND_QDRANT__URL$"):
            elsewhere.dense(towards(0), 1, None)
        with pytest.raises(StoreError, match=f"could not search: .*{said}.*; check DOCMIND_QDRANT__URL$"):
            await elsewhere.adense(towards(0), 1, None)
    assert len(endless.requests) == 2
    await elsewhere.aclose()


async def test_an_answer_that_trickles_is_given_up_when_its_time_is_over(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
):
    store = opened(server)
    clock = count(step=31)
    monkeypatch.setattr(qdrant_bounds, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    late = r"no answer in time \(not done after 30 s\); raise DOCMIND_QDRANT__TIMEOUT_SECONDS$"
    with pytest.raises(StoreError, match=late):
        store.dense(towards(0), 1, None)
    with pytest.raises(StoreError, match=late):
        await store.adense(towards(0), 1, None)
    await store.aclose()


def opened_without_looking(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> QdrantVectors:
    """A store on a server that is none."""
    with monkeypatch.context() as patch:
        patch.setattr("infra.store.qdrant.prepare", lambda *_: None)
        return opened(server)


@pytest.mark.parametrize(("dimension", "problem"), [(DIMENSION + 1, "have 8 numbers, the embedding model's 9")])
def test_a_collection_of_another_dimension_is_refused(dimension: int, problem: str):
    server = LocalQdrant()
    server.open(DIMENSION, BM25)
    with pytest.raises(StoreError, match=problem) as caught:
        server.open(dimension, BM25)
    assert str(caught.value).endswith("delete it there, or set DOCMIND_QDRANT__COLLECTION_PREFIX")
    assert "\n" not in str(caught.value)


def test_a_collection_of_somebody_else_is_refused():
    server = LocalQdrant()
    server.blocking.create_collection(str(NAME), {})
    with pytest.raises(StoreError, match="it has no vectors 'dense' and 'bm25'"):
        server.open(DIMENSION, BM25)


def test_a_point_that_somebody_else_put_there_is_left_out():
    server = LocalQdrant()
    store = server.open(DIMENSION, BM25)
    store.upsert([window(1, "a")])
    vectors: Any = {"dense": towards(2).tolist()}
    payloads = [{}, {"s": ["root"]}, {"c": 1, "d": "x"}]
    points = [models.PointStruct(id=n, vector=vectors, payload=payload) for n, payload in enumerate(payloads)]
    server.blocking.upsert(str(NAME), points)
    assert [hit.chunk_id for hit in store.dense(towards(2), 9, None)] == ["c1"]


def test_a_collection_that_vanished_is_named():
    server = LocalQdrant()
    store = server.open(DIMENSION, BM25)
    server.blocking.delete_collection(str(NAME))
    with pytest.raises(StoreError, match=f"could not search: Collection {NAME} not found"):
        store.dense(towards(0), 1, None)


def test_a_library_keeps_its_id_and_no_two_have_the_same(tmp_path: Path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    identity = library_id(first)
    assert library_id(first) == identity
    assert library_id(second) != identity
    assert [file.name for file in first.iterdir()] == ["library.id"]
    (first / "library.id").write_text("../../x")
    with pytest.raises(StoreError, match="holds no library id"):
        library_id(first)
