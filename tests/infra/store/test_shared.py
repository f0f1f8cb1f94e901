"""One process owns the vectors, the others ask it, and nobody notices who."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from infra.errors import StoreError
from infra.store import client, server
from infra.store.collection import Collection
from infra.store.follow import Followed, Progress, Truth
from infra.store.vectors import EdgeVectors
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
    monkeypatch.setattr(EdgeVectors, "count", lambda _: int(released.wait(20)))
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
        assert go.wait(20)
        return real(collection, truth, progress)

    monkeypatch.setattr(Collection, "open", slow)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(opened)
        assert repairing.wait(20)
        second = opened()
        side = second._vectors._side
        assert isinstance(side, client.RemoteVectors)
        waits: list[int] = []

        def waiting(*_: int) -> None:
            waits.append(1)
            go.set()

        side.follow(waiting)
        assert waits
        assert second._vectors.count() == 3


def test_the_owners_errors_reach_whoever_asked(opened: Opened) -> None:
    first, second = opened(), opened()
    first.change([CATS])
    with pytest.raises(StoreError, match="expected dim: 64, got 3"):
        second.dense(EMBEDDER.embed(["x"])[0][:3], 1)
    assert found(second, "mice") == {CATS.document.id}


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
        assert all(one.result() <= 4 for one in reads)
    assert found(first, "9") == found(second, "9") == {CATS.document.id}
    assert len(first.sparse(["cat"], 50)) == 2
