"""One process owns the vectors, the others ask it; nobody notices who, and nobody else can ask.

Two indexes over one folder stand for two processes here: the lock and the socket know no difference.
"""

import os
import socket
import stat
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

import msgpack
import pytest

from infra.errors import StoreError, StoreLocked
from infra.settings import load_settings
from infra.store import client, server, shared, wire
from infra.store.collection import Collection
from infra.store.follow import Followed, Progress, Truth
from infra.store.index import Index, tenant_folder
from infra.store.owner import socket_of
from infra.store.vectors import EdgeVectors
from tests.infra.store.samples import CATS, DOGS, ROOT, CountingEmbedder, entry, snapshot

EMBEDDER = CountingEmbedder()
Opened = Callable[[], Index]


@pytest.fixture
def opened(data_dir: Path) -> Iterator[Opened]:
    """Opens the same folder again and again, as one process each."""
    indexes: list[Index] = []

    def another() -> Index:
        indexes.append(Index.open(load_settings(data_dir=data_dir), CountingEmbedder()))
        return indexes[-1]

    yield another
    for index in reversed(indexes):
        index.close()


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The system's folder for temporary files; short, unlike the test's own."""
    with TemporaryDirectory() as folder:
        monkeypatch.setattr(wire, "gettempdir", lambda: folder)
        yield Path(folder)


def found(index: Index, *words: str) -> set[str]:
    """Documents that hold one of the words."""
    return {hit.document_id for hit in index.sparse(words, 99)}


def place(data_dir: Path) -> Path:
    """The socket of the index that is open."""
    path = socket_of(tenant_folder(load_settings(data_dir=data_dir)))
    assert path is not None
    return path


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


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">I", 2**32 - 1),
        struct.pack(">I", 5) + b"\xc1\xc1\xc1\xc1\xc1",
        struct.pack(">I", 3) + b"\x81\xa1a",
        struct.pack(">I", 200_000) + b"\x91" * 200_000,
    ],
)
@pytest.mark.parametrize("greeted", [False, True])
def test_garbage_ends_its_own_connection_only(opened: Opened, data_dir: Path, garbage: bytes, greeted: bool) -> None:
    first, second = opened(), opened()
    first.change([CATS])
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(20)
        stranger.connect(str(place(data_dir)))
        if greeted:
            wire.send(stranger, wire.Hello(collection=next(first.folder.glob("vectors-*")).name))
            assert wire.read_reply(stranger, 20).kind == "ok"
        stranger.sendall(garbage)
        stranger.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            assert stranger.recv(99) == b""
    assert found(second, "mice") == {CATS.document.id}


def test_requests_are_checked(opened: Opened, data_dir: Path) -> None:
    first = opened()
    requests = [
        {"kind": "dense", "vector": b"123", "limit": 1, "scopes": None},
        {"kind": "dense", "vector": b"", "limit": 10**9, "scopes": None},
        {"kind": "sparse", "weights": {b"text": 1.0}, "limit": 1, "scopes": None},
        {"kind": "sparse", "weights": {"text": "1"}, "limit": 1, "scopes": None},
        {"kind": "count", "more": 1},
        {"kind": "delete"},
        [],
    ]
    for request in requests:
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.settimeout(20)
            stranger.connect(str(place(data_dir)))
            wire.send(stranger, wire.Hello(collection=next(first.folder.glob("vectors-*")).name))
            assert wire.read_reply(stranger, 20).kind == "ok"
            data = bytes(msgpack.packb(request) or b"")
            stranger.sendall(struct.pack(">I", len(data)) + data)
            assert stranger.recv(99) == b"", request


def test_only_the_user_can_open_the_socket(opened: Opened, data_dir: Path) -> None:
    folder = tenant_folder(load_settings(data_dir=data_dir))
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    opened()
    path = place(data_dir)
    assert path == folder / "vectors.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_long_path_has_its_socket_in_a_private_folder(
    data_dir: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = load_settings(data_dir=data_dir / ("long" * 30))
    with Index.open(options, CountingEmbedder()) as first:
        first.change([CATS])
        monkeypatch.setattr(wire, "gettempdir", lambda: "/another/process/may/think/otherwise")
        with Index.open(options, CountingEmbedder()) as second:
            assert found(second, "mice") == {CATS.document.id}
            (path,) = temporary.glob("docmind-*/*.sock")
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()


def test_a_private_folder_that_somebody_else_prepared_is_not_used(
    data_dir: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (temporary / "elsewhere").mkdir()
    (temporary / f"docmind-{os.geteuid()}").symlink_to(temporary / "elsewhere")
    monkeypatch.setattr(shared, "WAIT_SECONDS", 0.1)
    options = load_settings(data_dir=data_dir / ("long" * 30))
    with Index.open(options, CountingEmbedder()) as first:
        first.change([CATS])
        assert found(first, "mice") == {CATS.document.id}
        with pytest.raises(StoreLocked, match="in use by process"):
            Index.open(options, CountingEmbedder())
    assert list((temporary / "elsewhere").iterdir()) == []


def test_another_users_process_is_not_answered(opened: Opened, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened()
    monkeypatch.setattr(wire.os, "geteuid", lambda: 12_345)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(20)
        stranger.connect(str(place(data_dir)))
        with pytest.raises(wire.WireError, match="another user's"):
            wire.check_same_user(stranger)
        assert stranger.recv(9) == b""


def test_too_many_are_told_so_and_wait(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CLIENTS", 1)
    monkeypatch.setattr(shared, "WAIT_SECONDS", 0.1)
    opened()
    second = opened()
    with pytest.raises(StoreLocked, match="in use by process"):
        opened()
    second.close()


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
