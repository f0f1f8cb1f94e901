"""One process owns the vectors, the others ask it, and nobody notices who."""

import resource
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from threading import Event

import pytest

from infra.errors import BackendError, StoreError
from infra.store import client, server, wire
from infra.store.collection import Collection
from infra.store.follow import Followed, Progress, Truth
from infra.store.memory import EmbeddingMemory
from infra.store.vectors import EdgeVectors
from infra.store.wire import Reply
from tests.infra.store.samples import CATS, DOGS, ROOT, CountingEmbedder, Opened, entry, found, snapshot

EMBEDDER = CountingEmbedder()


def test_the_second_asks_and_changes_what_the_first_owns(opened: Opened) -> None:
    first, second = opened(), opened()
    assert (first.owns, second.owns) == (True, False)
    first.library.set_roots([ROOT])
    first.change([CATS])
    assert found(second, "mice") == {CATS.document.id}
    generation = first.generation
    second.change([DOGS])
    assert found(first, "bark") == {DOGS.document.id}
    assert first.generation == generation + 1
    assert first.idf(["cat"]) == second.idf(["cat"])
    assert snapshot(first, EMBEDDER) == snapshot(second, EMBEDDER)
    assert second.dense(EMBEDDER.embed(["x"])[0], 9, []) == []


def test_the_second_takes_over_when_the_first_leaves(opened: Opened) -> None:
    first, second, third = opened(), opened(), opened()
    first.change([CATS, DOGS])
    first.close()
    assert found(second, "bark") == {DOGS.document.id}
    assert found(third, "bark") == {DOGS.document.id}
    assert [index.owns for index in (second, third)] == [True, False]
    third.change([], [DOGS.document.id])
    assert found(second, "bark") == set()


def test_when_many_notice_at_once_one_wins_and_all_are_answered(opened: Opened) -> None:
    first = opened()
    first.change([CATS])
    others = [opened() for _ in range(4)]
    first.close()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda index: found(index, "mice"), others)) == [{CATS.document.id}] * 4
    assert sum(index.owns for index in others) == 1


def test_what_the_owner_did_not_finish_is_repaired_by_the_next_one(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = opened(), opened()

    def broken(*_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(EdgeVectors, "upsert", broken)
        with pytest.raises(StoreError, match="the disk is full"):
            second.change([CATS])
    assert found(second, "mice") == set()
    first.close()
    assert found(second, "mice") == {CATS.document.id}


def test_an_owner_that_says_nothing_is_not_waited_for_without_end(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened()
    second = opened()
    released = Event()
    monkeypatch.setattr(client, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(EdgeVectors, "count", lambda _: int(released.wait(60)))
    with pytest.raises(StoreError, match="lost its owner twice over one request"):
        second._vectors.count()
    released.set()


def test_whoever_comes_while_the_owner_repairs_is_told_to_wait(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BEAT_SECONDS", 0.01)
    with_cats = opened()
    with_cats.change([CATS])
    with_cats.close()
    repairing, go = Event(), Event()
    real = Collection.open

    def slow(collection: Collection, truth: Truth, progress: Progress) -> Followed:
        repairing.set()
        assert go.wait(60)
        return real(collection, truth, progress)

    monkeypatch.setattr(Collection, "open", slow)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(opened)
        assert repairing.wait(60)
        second = opened()
        go_when_told_to_wait(monkeypatch, go)
        assert second._vectors.count() == 3


@pytest.mark.parametrize("method", ["count", "dense", "upsert", "flush"])
def test_an_owner_at_work_says_so_however_long_it_takes(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(server, "BEAT_SECONDS", 0.01)
    opened()
    second = opened()
    go, real = Event(), getattr(EdgeVectors, method)

    def slow(*arguments: object) -> object:
        assert go.wait(60)
        return real(*arguments)

    go_when_told_to_wait(monkeypatch, go)
    monkeypatch.setattr(EdgeVectors, method, slow)
    second.change([CATS])
    second.settle()
    assert second._vectors.count() == len(second.dense(EMBEDDER.embed(["x"])[0], 9)) == 3
    assert go.is_set()


def go_when_told_to_wait(monkeypatch: pytest.MonkeyPatch, go: Event) -> None:
    """Set ``go`` when an owner has said for the third time that it is at work."""
    real, waits = client.read_reply, count(1)

    def read(channel: socket.socket, seconds: float) -> Reply:
        reply = real(channel, seconds)
        if reply.kind == "wait" and next(waits) == 3:
            go.set()
        return reply

    monkeypatch.setattr(client, "read_reply", read)


def test_the_owners_errors_reach_whoever_asked(opened: Opened) -> None:
    first, second = opened(), opened()
    first.change([CATS])
    with pytest.raises(StoreError, match="expected dim: 64, got 3"):
        second.dense(EMBEDDER.embed(["x"])[0][:3], 1)
    assert found(second, "mice") == {CATS.document.id}


def test_a_model_that_fails_in_the_owner_is_named_to_whoever_asked(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = opened(), opened()

    def down(*_: object) -> None:
        raise BackendError("the embedding server cannot be reached; start it")

    with monkeypatch.context() as patch:
        patch.setattr(EmbeddingMemory, "recall", down)
        with pytest.raises(StoreError, match="the embedding server cannot be reached; start it"):
            second.change([CATS])
    second.settle()
    assert found(first, "mice") == {CATS.document.id}


def test_a_question_that_fits_no_message_is_refused_and_not_asked_for_ever(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened().change([CATS])
    second = opened()
    monkeypatch.setattr(wire, "MAX_FRAME_BYTES", 10_000)
    with pytest.raises(StoreError, match=r"asked for too much at once: it takes .* bytes, 10,000 are the most; name"):
        second.sparse(["mice"], 9, [f"{ROOT}/{n}" for n in range(1_000)])
    assert found(second, "mice") == {CATS.document.id}


@pytest.mark.parametrize("limit", [-1, 0, 1, 2**40])
def test_owner_and_asker_take_the_same_limits(opened: Opened, limit: int) -> None:
    first, second = opened(), opened()
    first.change([CATS])
    vector = EMBEDDER.embed(["x"])[0]
    for index in (first, second):
        assert len(index.dense(vector, limit)) == len(index.sparse(["cat"], limit)) == min(max(limit, 0), 3)


def test_a_process_with_very_many_open_files_asks_all_the_same(opened: Opened, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened().change([CATS])
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4_096), hard))
    with ExitStack() as files:
        files.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(1_100):
            files.enter_context((tmp_path / "x").open("w"))
        second = opened()
        assert found(second, "mice") == found(second, "mice") == {CATS.document.id}
        second.close()


def test_an_owner_that_cannot_write_at_its_end_gives_everything_back(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened()
    first.change([CATS])

    def full(_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(EdgeVectors, "flush", full)
        with pytest.raises(StoreError, match="the disk is full"):
            first.close()
    monkeypatch.setattr(Collection, "_build", None)  # nothing is to be built anew
    assert found(opened(), "mice") == {CATS.document.id}
    with pytest.raises(StoreError, match="closed database"):
        first.roots()


def test_eight_threads_read_while_one_writes_on_either_side(opened: Opened) -> None:
    first, second = opened(), opened()
    versions = [entry(CATS.document.path, f"cat one {n}\ncat two {n}") for n in range(10)]
    first.change([versions[0]])

    def read(number: int) -> int:
        index = first if number % 2 else second
        return max(len(index.sparse(["cat"], 50)) + len(index.dense(EMBEDDER.embed(["cat"])[0], 50)) for _ in range(15))

    with ThreadPoolExecutor(8) as pool:
        reads = [pool.submit(read, n) for n in range(8)]
        for n, version in enumerate(versions):
            (second if n % 2 else first).change([version])
        assert all(one.result() <= 8 for one in reads)  # by words, by meaning; both versions while one follows
    assert found(first, "9") == found(second, "9") == {CATS.document.id}
    assert len(first.sparse(["cat"], 50)) == 2
